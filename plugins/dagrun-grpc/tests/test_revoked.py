"""A stream ends soon after its token does, whoever has it open; other streams go on."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.lowlevel

from dagrun.errors import AccessError, ChannelLost, NotAuthenticated
from dagrun.ports.engine import DurableEvents
from dagrun.ports.frames import Hello, Welcome
from dagrun.ports.management import Wanted
from dagrun.ports.tokens import Role
from dagrun.services.gate import token_hash
from dagrun.testing.frames import events
from dagrun.testing.journals import LATER, NOON
from dagrun.testing.managed import managed
from dagrun.testing.stores.tokens import token
from dagrun_grpc import grpc
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.calls import STREAM_STATUS, STREAM_WORKFLOW_EVENTS
from dagrun_grpc.limits import Patience
from dagrun_grpc.testing import (
    REPORT,
    SLACK,
    answer,
    ask,
    connected,
    message,
    of_engine,
    of_orchestrator,
)
from dagrun_grpc.wire.dagrun import v1

SAID = 3.0  # seconds within which a stream ends, as the documentation says
SOON = Patience(recheck=0.1)
LIMIT = 20.0
HELLO = Hello(engine_id="e1", instance="i", release="0", capacity=1)


@asynccontextmanager
async def orchestrator(folder):
    with trio.fail_after(LIMIT):
        async with managed(folder, lambda: grpc(port=0), engine=False) as world:
            for name, role in (("engine", Role.ENGINE), ("viewer", Role.VIEWER)):
                for each in (name, f"{name}-2"):
                    one = token(each, role=role, hash=token_hash(each), created_at=NOON)
                    await world.leading.store.add_token(one)
            yield world


async def seconds_to(function, *expected):
    """Give how long it takes until a stream ends as it should."""
    began = trio.current_time()
    with pytest.raises(expected):
        await function()
    return trio.current_time() - began


async def test_an_engine_loses_its_stream_when_its_token_is_revoked(tmp_path):
    async with (
        orchestrator(tmp_path) as world,
        grpc(token="engine") as mine,
        grpc(token="engine-2") as other,
        mine.attach(world.address) as channel,
        other.attach(world.address) as stays,
    ):
        await channel.send([HELLO])
        assert isinstance((await channel.receive())[0], Welcome)
        assert [one.status for one in world.leading.engines()] == ["idle"]
        await world.leading.store.revoke_token("engine", now=LATER)
        assert await seconds_to(channel.receive, ChannelLost) < SAID
        with pytest.raises(ChannelLost, match="UNAUTHENTICATED: the token is not accepted"):
            await channel.receive()
        while [one.status for one in world.leading.engines()] != ["unhealthy"]:  # noqa: ASYNC110 — nobody tells
            await trio.sleep(0.01)
        await stays.send([HELLO])
        await stays.receive()
        with pytest.raises(ChannelLost, match="UNAUTHENTICATED"):
            async with mine.attach(world.address):
                pass


async def test_a_client_loses_its_stream_when_its_token_is_revoked(tmp_path):
    async with (
        orchestrator(tmp_path) as world,
        grpc(token="viewer") as mine,
        grpc(token="viewer-2") as other,
        mine.manage(world.address) as server,
        other.manage(world.address) as stays,
        server.events.follow(Wanted()) as news,
        stays.events.follow(Wanted()) as others,
    ):
        await world.leading.store.revoke_token("viewer", now=LATER)
        assert await seconds_to(partial(anext, news), NotAuthenticated) < SAID
        world.leading.monitor.announce("engine.joined", engine_id="e1")
        assert (await anext(others)).type == "engine.joined"


async def test_the_first_token_ends_streams_that_were_opened_without(tmp_path):
    with trio.fail_after(LIMIT):
        async with (
            managed(tmp_path, lambda: grpc(port=0), engine=False) as world,
            grpc() as mine,
            mine.attach(world.address) as channel,
        ):
            await world.leading.store.add_token(token())
            assert await seconds_to(channel.receive, ChannelLost) < SAID


async def test_an_expired_token_ends_what_was_opened_with_it(tmp_path):
    expired = []

    class Gate:
        async def admit(self, token, role):
            if expired:
                raise NotAuthenticated("it has expired")

    transport = grpc(port=0, patience=SOON)
    async with transport, grpc() as other, trio.open_nursery() as nursery:
        serve = partial(transport.serve_orchestrator, answer, offered=of_orchestrator(gate=Gate()))
        address = await nursery.start(serve)
        async with other.attach(address) as channel:
            await ask(channel)
            expired.append("by now")
            with trio.fail_after(LIMIT), pytest.raises(ChannelLost, match="it has expired"):
                await channel.receive()
        nursery.cancel_scope.cancel()


async def test_an_orchestrator_loses_its_stream_to_an_engine_that_takes_its_token_no_more():
    accepted = {"mine", "other"}
    transport = grpc(port=0, patience=SOON, accepts=lambda shown, _role: shown in accepted)
    async with transport, trio.open_nursery() as nursery:
        address = await nursery.start(partial(transport.serve_engine, answer, offered=of_engine()))
        async with (
            grpc(token="mine") as mine,
            grpc(token="other") as other,
            mine.dial(address) as channel,
            other.dial(address) as stays,
        ):
            accepted.remove("mine")
            assert await seconds_to(channel.receive, ChannelLost) < SLACK
            await stays.send([])
            with trio.move_on_after(0.5) as waiting:
                await stays.receive()
            assert waiting.cancelled_caught
        nursery.cancel_scope.cancel()


class Endless:
    """Events without an end."""

    async def follow(self, *, run_id, after) -> AsyncGenerator[DurableEvents, None]:
        while True:
            await trio.lowlevel.checkpoint()
            yield DurableEvents(events=events() * 100, position="i.1")


async def test_who_does_not_read_loses_the_stream_all_the_same():
    accepted = {"mine"}
    transport = grpc(port=0, patience=SOON, accepts=lambda shown, _role: shown in accepted)
    async with transport, trio.open_nursery() as nursery:
        offered = of_engine(events=Endless())
        address = await nursery.start(partial(transport.serve_engine, answer, offered=offered))
        async with connected(int(address.rpartition(":")[2])) as raw:
            await raw.begin()
            number = await raw.call(STREAM_WORKFLOW_EVENTS.path, authorization="Bearer mine")
            await raw.data(number, message(b""), end=True)
            await raw.accepted(number)
            await trio.sleep(0.3)  # the window is full
            accepted.clear()
            assert (await raw.status(number))[0] == 16  # UNAUTHENTICATED
        nursery.cancel_scope.cancel()


async def test_a_call_that_sends_and_receives_ends_with_its_token():
    accepted = {"mine"}
    transport = grpc(port=0, patience=SOON)
    async with transport, trio.open_nursery() as nursery, Bridge() as bridge:
        offered = of_orchestrator(lambda shown, _role: shown in accepted)
        address = await nursery.start(
            partial(transport.serve_orchestrator, answer, offered=offered)
        )
        async with connected(int(address.rpartition(":")[2])) as raw:
            await raw.begin()
            number = await raw.call(STREAM_STATUS.path, authorization="Bearer mine")
            status = v1.StreamStatusRequest(
                status=v1.EngineStatus(engine_id=REPORT.engine_id, state=v1.EngineStatusState.IDLE)
            )
            await raw.data(number, message(bytes(status)))
            await raw.accepted(number)
            accepted.clear()
            assert (await raw.status(number))[0] == 16  # UNAUTHENTICATED
        asks = Asking(bridge, address, context=None, metadata={}, patience=Patience())
        with pytest.raises(AccessError):
            await asks.all(STREAM_STATUS, status)
        await asks.close()
        nursery.cancel_scope.cancel()
