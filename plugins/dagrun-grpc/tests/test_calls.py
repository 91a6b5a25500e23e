"""Every call is served, to those whom it is meant for."""

import struct
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from dagrun.errors import ChannelLost
from dagrun.ports.frames import BeatSeen
from dagrun_grpc import grpc
from dagrun_grpc.aio.calls import CHECK, ENGINE_SERVICE, ORCHESTRATOR_SERVICE, WATCH
from dagrun_grpc.limits import MAX_OF_STRANGERS
from dagrun_grpc.testing import (
    HASTE,
    SLACK,
    answer,
    connected,
    message,
    of_engine,
    of_orchestrator,
    right,
    serving,
)
from dagrun_grpc.wire.grpc.health import v1 as health


def calls():
    return [(call, "engine") for call in ENGINE_SERVICE] + [
        (call, "orchestrator") for call in ORCHESTRATOR_SERVICE
    ]


@asynccontextmanager
async def listening(role, **options):
    async with grpc(port=0, **options) as transport, trio.open_nursery() as nursery:
        accepts = options.get("accepts")
        serve = (
            partial(transport.serve_engine, answer, offered=of_engine())
            if role == "engine"
            else partial(transport.serve_orchestrator, answer, offered=of_orchestrator(accepts))
        )
        address = await nursery.start(serve)
        yield int(address.rpartition(":")[2])
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("call", "role"), calls(), ids=lambda value: getattr(value, "path", value))
@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "right"},
        {"authorization": "Basic right"},
    ],
)
async def test_no_call_is_let_in_without_the_right_token(call, role, shown):
    async with listening(role, accepts=right) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(call.path, **shown)
        assert (await raw.status(number))[0] == 16  # UNAUTHENTICATED


@pytest.mark.parametrize(("call", "role"), calls(), ids=lambda value: getattr(value, "path", value))
async def test_every_call_is_served(call, role):
    async with listening(role, accepts=right) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(call.path, authorization="Bearer right")
        await raw.data(number, message(b""), end=True)
        await raw.accepted(number)
        assert raw.told(number) is None or raw.told(number)[0] in (0, 3)  # OK, INVALID_ARGUMENT


async def test_a_call_that_is_unknown_says_so():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        assert (await raw.status(await raw.call("/dagrun.v1.EngineService/Nothing")))[0] == 12
        assert (await raw.status(await raw.call("nonsense")))[0] == 12


@pytest.mark.parametrize("token", [None, "wrong", "rightly"])
async def test_who_dials_without_the_right_token_is_told_so(token):
    async with serving(accepts=right, token="right") as served, grpc(token=token) as other:
        with pytest.raises(ChannelLost, match="UNAUTHENTICATED: this call needs a token"):
            async with other.attach(served.address):
                pass
        assert served.channels == []


@pytest.mark.parametrize("says", ["something", "nothing"])
async def test_who_dials_is_told_why_the_other_side_ends_the_conversation(says):
    async def decline(channel):
        if says == "something":
            await channel.send([BeatSeen(number=1)])
        raise ChannelLost("somebody else is talked with")

    async with (
        serving(decline, neighbour=False) as served,
        grpc() as other,
        other.attach(served.address) as channel,
    ):
        if says == "something":
            assert list(await channel.receive()) == [BeatSeen(number=1)]
        with pytest.raises(ChannelLost, match="UNAVAILABLE: somebody else is talked with"):
            await channel.receive()


async def test_the_standard_health_check_needs_no_token():
    async with listening("engine", accepts=right) as port, connected(port) as raw:
        await raw.begin()
        for service, status in (("", 0), ("dagrun.v1.EngineService", 0), ("other", 5)):
            number = await raw.call(CHECK.path)
            asked = bytes(health.HealthCheckRequest(service=service))
            await raw.data(number, message(asked), end=True)
            assert (await raw.status(number))[0] == status


async def test_who_only_watches_the_health_is_cut_off_as_who_makes_no_call():
    async with listening("engine", accepts=right, patience=HASTE) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(WATCH.path)
        await raw.data(number, message(b""), end=True)
        assert await raw.closed() < HASTE.handshake + SLACK


@pytest.mark.parametrize("path", [CHECK.path, WATCH.path])
async def test_strangers_ask_for_the_health_in_few_bytes(path):
    async with listening("engine", accepts=right) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(path)
        await raw.data(number, struct.pack(">?I", False, MAX_OF_STRANGERS + 1))
        status, said = await raw.status(number)
        assert status == 8  # RESOURCE_EXHAUSTED
        assert str(MAX_OF_STRANGERS) in said


async def test_who_was_let_in_and_only_watches_the_health_keeps_no_connection():
    async with listening("engine", accepts=right, patience=HASTE) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(WATCH.path, authorization="Bearer right")
        await raw.data(number, message(b""), end=True)
        assert HASTE.idle / 2 < await raw.closed() < HASTE.idle + SLACK
