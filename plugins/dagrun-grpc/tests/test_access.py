"""Who may call what: every call of an orchestrator, without a token, with a wrong one, in each role."""

import re
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from dagrun.errors import AccessError, DagrunError, NotAllowed, NotAuthenticated
from dagrun.ports.tokens import INCLUDED, Role
from dagrun.services.gate import TokenGate, token_hash
from dagrun.testing.managed import managed
from dagrun.testing.stores.tokens import token
from dagrun_grpc import grpc
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.calls import CHECK, ENGINE_SERVICE, ORCHESTRATOR_SERVICE, WATCH
from dagrun_grpc.aio.manage_calls import MANAGEMENT_SERVICE
from dagrun_grpc.limits import Patience
from dagrun_grpc.testing import of_engine

ROOT = Path(__file__).parents[3]
CALLS = (*ORCHESTRATOR_SERVICE, *MANAGEMENT_SERVICE)
LIMIT = 20.0
CLOSED = partial(TokenGate, open_without=False)


@asynccontextmanager
async def orchestrator(folder, **options):
    with trio.fail_after(LIMIT):
        async with managed(folder, lambda: grpc(port=0), engine=False, **options) as world:
            yield world


@asynccontextmanager
async def asking(address, shown=None):
    metadata = {} if shown is None else {"authorization": f"Bearer {shown}"}
    async with Bridge() as bridge:
        asks = Asking(bridge, address, context=None, metadata=metadata, patience=Patience())
        try:
            yield asks
        finally:
            await asks.close()


async def attempt(asks, call):
    """Make a call, and give its error as far as it is of access; None if it is let in."""
    try:
        with trio.move_on_after(1), suppress(StopAsyncIteration):
            async with asks.stream(call, call.request()) as replies:
                await anext(replies)
    except AccessError as error:
        return type(error)
    except DagrunError:
        pass
    return None


def test_every_call_of_the_protocol_is_in_the_table_with_a_role():
    declared = set()
    for name in ("orchestrator", "management", "engine"):
        text = (ROOT / f"proto/dagrun/v1/{name}.proto").read_text()
        service = re.search(r"^service (\w+) {", text, re.MULTILINE)[1]
        declared |= {
            f"/dagrun.v1.{service}/{rpc}"
            for rpc in re.findall(r"^  rpc (\w+)\(", text, re.MULTILINE)
        }
    table = (*CALLS, *ENGINE_SERVICE)
    assert {call.path for call in table} == declared
    assert all(call.role is not None for call in table)


def test_the_role_of_each_call_is_the_one_that_the_protocol_says():
    text = (ROOT / "proto/dagrun/v1/management.proto").read_text()
    said = dict(reversed(found) for found in re.findall(r"Role: (\w+)\.\n  rpc (\w+)\(", text))
    assert said == {call.path.rpartition("/")[2]: str(call.role) for call in MANAGEMENT_SERVICE}


@pytest.mark.parametrize("shown", [None, "wrong", "", "Bearer", token_hash("admin")])
async def test_no_call_is_let_in_without_a_token_that_is_known(tmp_path, shown):
    async with orchestrator(tmp_path) as world:
        await world.leading.store.add_token(
            token("admin", role=Role.ADMIN, hash=token_hash("admin"))
        )
        async with asking(world.address, shown) as asks:
            for call in CALLS:
                assert await attempt(asks, call) is NotAuthenticated, call.path
            for call in (CHECK, WATCH):
                assert await attempt(asks, call) is None, call.path


@pytest.mark.parametrize("role", Role)
async def test_each_role_may_call_what_the_table_says_and_nothing_else(tmp_path, role):
    async with orchestrator(tmp_path) as world:
        await world.leading.store.add_token(token("mine", role=role, hash=token_hash("mine")))
        async with asking(world.address, "mine") as asks:
            for call in CALLS:
                expected = None if call.role in INCLUDED[role] else NotAllowed
                assert await attempt(asks, call) is expected, call.path


async def test_without_any_token_a_loopback_listener_takes_every_call(tmp_path):
    async with orchestrator(tmp_path) as world, asking(world.address) as asks:
        for call in CALLS:
            assert await attempt(asks, call) is None, call.path


async def test_where_others_listen_no_call_is_let_in_while_there_is_no_token(tmp_path):
    async with orchestrator(tmp_path, gate=CLOSED) as world, asking(world.address) as asks:
        for call in CALLS:
            assert await attempt(asks, call) is NotAuthenticated, call.path


async def test_the_first_token_closes_what_was_open_within_a_second(tmp_path):
    async with orchestrator(tmp_path) as world, asking(world.address) as asks:
        call = MANAGEMENT_SERVICE[3]
        assert await attempt(asks, call) is None
        await world.leading.store.add_token(token())
        await trio.sleep(1.0)
        assert await attempt(asks, call) is NotAuthenticated


async def test_a_token_that_is_shown_twice_or_in_another_way_is_none(tmp_path):
    async with orchestrator(tmp_path) as world, Bridge() as bridge:
        await world.leading.store.add_token(token("mine", role=Role.ADMIN, hash=token_hash("mine")))
        for metadata in (
            {"authorization": "Basic mine"},
            {"authorization": "mine"},
            {"token": "mine"},
        ):
            asks = Asking(
                bridge, world.address, context=None, metadata=metadata, patience=Patience()
            )
            assert await attempt(asks, MANAGEMENT_SERVICE[3]) is NotAuthenticated
            await asks.close()


async def test_an_engine_lets_in_who_shows_its_token_only():
    async def hold(channel):
        await channel.receive()

    accepts = {"mine"}
    listening = grpc(port=0, accepts=lambda shown, _role: shown in accepts)
    async with listening as transport, trio.open_nursery() as nursery:
        address = await nursery.start(partial(transport.serve_engine, hold, offered=of_engine()))
        for shown, expected in (
            ("mine", None),
            ("other", NotAuthenticated),
            (None, NotAuthenticated),
        ):
            async with asking(address, shown) as asks:
                for call in ENGINE_SERVICE:
                    assert await attempt(asks, call) is expected, call.path
        nursery.cancel_scope.cancel()


async def test_the_log_tells_who_was_refused_what_and_why(tmp_path, caplog):
    async with orchestrator(tmp_path, gate=CLOSED) as world, asking(world.address, "wrong") as asks:
        assert await attempt(asks, CALLS[0]) is NotAuthenticated
    told = [one.getMessage() for one in caplog.records if one.name.endswith("turned_away")]
    assert len(told) == 1
    assert re.match(rf"{CALLS[0].path} from 127.0.0.1:[0-9]+ is refused: .*token", told[0])
    assert "wrong" not in told[0]
