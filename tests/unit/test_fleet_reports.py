"""What an engine says of itself beside its stream, and what the orchestrator makes of it."""

import math
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import attrs
import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.ids import RunId
from dagrun.errors import ChannelLost, ConflictError, NotFound
from dagrun.ports.engine import DRAINING, IDLE, RUNNING, UNHEALTHY, EngineReport, Offers
from dagrun.ports.frames import Beat, BeatSeen, GivenBack, Hello, Stop, Welcome, Why
from dagrun.services.fleet import Fleet
from dagrun.services.fleet.handshake import unfit
from dagrun.services.fleet.returns import Returns

LEASE = 30.0
REPORT = EngineReport(
    engine_id="e",
    instance="i",
    release="0",
    status=RUNNING,
    capacity=1,
    runs=[(RunId("r"), 1), (RunId("r"), 2), (RunId("other"), 1)],
    offers=Offers(executors=frozenset()),
)
HELLO = Hello(
    engine_id="e",
    instance="i",
    release="0",
    capacity=1,
    held=((RunId("r"), 2),),
)


class Placer:
    """Notes which engines take runs, and which runs go on elsewhere."""

    def __init__(self):
        self.ready, self.lost = [], []

    def add_engine(self, engine):
        pass

    def remove_engine(self, engine):
        pass

    def engine_changed(self, engine):
        self.ready.append(engine.ready)

    def take_back(self, run_id, *, lost):
        self.lost.append(run_id)


class Journal:
    def durable(self, run_id):
        return 0

    def forget(self, run_id):
        pass


class Stream:
    """An engine's end of a stream, in memory."""

    peer = "test"

    def __init__(self):
        self.said, self._hears = trio.open_memory_channel[object](100)
        self._says, self.heard = trio.open_memory_channel[list](100)

    async def send(self, frames):
        await self._says.send(frames)

    async def receive(self):
        return [await self._hears.receive()]

    async def hear(self, kind):
        """Wait for a frame of a kind, and give all before it, too."""
        frames = []
        while True:
            frames += await self.heard.receive()
            if isinstance(frames[-1], kind):
                return frames


async def converse(fleet, stream):
    with suppress(ChannelLost):
        await fleet.converse(stream)


@asynccontextmanager
async def attached():
    placer, stream = Placer(), Stream()
    fleet = Fleet(
        lease=LEASE,
        store=MemoryStore(),
        journal=Journal(),
        placer=placer,
        definition=None,
        pass_on=lambda _posted: None,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(fleet.run)
        fleet.expect("e", "i", [(RunId("r"), 2)])
        nursery.start_soon(converse, fleet, stream)
        stream.said.send_nowait(HELLO)
        await stream.hear(Welcome)
        yield fleet, placer, stream
        nursery.cancel_scope.cancel()


async def test_the_runs_of_an_engine_are_told_from_those_that_are_not(autojump_clock):
    async with attached() as (fleet, _, stream):
        seen = fleet.report(REPORT)
        assert seen.kept == [("r", 2)]
        assert seen.stopped == [("r", 1), ("other", 1)]
        stream.said.send_nowait(Beat(number=1, held=()))
        assert not any(isinstance(frame, Stop) for frame in await stream.hear(BeatSeen))


@pytest.mark.parametrize(
    ("status", "takes"), [(IDLE, True), (RUNNING, True), (DRAINING, False), (UNHEALTHY, False)]
)
async def test_what_it_says_of_its_state_holds_until_its_next_heartbeat(
    status, takes, autojump_clock
):
    async with attached() as (fleet, placer, stream):
        fleet.report(attrs.evolve(REPORT, status=DRAINING))
        fleet.report(attrs.evolve(REPORT, status=status))
        assert placer.ready[-1] is takes
        assert (fleet.engines()[0].status == "draining") is (status == DRAINING)
        stream.said.send_nowait(Beat(number=1, held=()))
        await stream.hear(BeatSeen)
        assert placer.ready[-1]
        assert fleet.engines()[0].status == "running"


async def test_an_engine_that_can_start_no_nodes_is_unhealthy_and_given_no_runs(autojump_clock):
    async with attached() as (fleet, placer, stream):
        for number, unhealthy in enumerate([True, False], 1):
            stream.said.send_nowait(Beat(number=number, held=(), unhealthy=unhealthy))
            await stream.hear(BeatSeen)
            assert placer.ready[-1] is not unhealthy
            assert fleet.engines()[0].status == ("unhealthy" if unhealthy else "running")
        assert placer.lost == []


async def test_no_lease_is_renewed_by_it(autojump_clock):
    async with attached() as (fleet, placer, _):
        for _ in range(9):
            await trio.sleep(LEASE / 10)
            fleet.report(REPORT)
        assert placer.lost == []
        await trio.sleep(LEASE / 5)
        assert placer.lost == ["r"]
        with pytest.raises(NotFound):
            fleet.report(REPORT)


async def test_who_has_no_stream_is_not_known(autojump_clock):
    async with attached() as (fleet, placer, _):
        with pytest.raises(NotFound, match="no engine 'other'"):
            fleet.report(attrs.evolve(REPORT, engine_id="other"))
        with pytest.raises(ConflictError, match="another instance"):
            fleet.report(attrs.evolve(REPORT, instance="old", status=DRAINING))
        assert placer.ready == [True]


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        *(({"engine_id": name}, "its id") for name in ("", "../e", "e" * 129, "e\n")),
        ({"instance": "i/"}, "its id"),
        *(({"capacity": number}, "its capacity") for number in (0, 10**9)),
        *(({"resources": {"cpu": amount}}, "resources") for amount in (math.inf, math.nan, -1)),
        ({"labels": {str(number): "" for number in range(1001)}}, "more than 1000 labels"),
        (
            {"labels": {str(n): "x" * 1000 for n in range(17)}},
            "more than 16384 characters all in all",
        ),
        ({"labels": {"a": "x" * 1001}}, "of more than 1000 characters"),
    ],
)
def test_an_engine_that_says_what_cannot_be_is_turned_away_for_good(odd, why):
    assert unfit(HELLO) is None
    turned_away = unfit(attrs.evolve(HELLO, **odd))
    assert turned_away.final
    assert why in turned_away.reason


def test_of_an_engine_of_another_version_no_more_is_told_than_people_read():
    turned_away = unfit(attrs.evolve(HELLO, protocol=99, release="7" * 1_000_000))
    assert "version 99 of the protocol (dagrun 777" in turned_away.reason
    assert len(turned_away.reason) < 300


def test_of_why_a_run_is_given_back_no_more_is_logged_than_people_read(caplog):
    returns = Returns(
        journal=None,
        placer=None,
        roster=SimpleNamespace(changed=lambda _engine: None),
        assignments=SimpleNamespace(take_back=lambda *_run, lost: None),
        spawn=None,
    )
    engine = SimpleNamespace(name="e", assigned=lambda *_run: SimpleNamespace(lost=False))
    why = {"seen": 0, "why": Why.UNUSABLE, "detail": "it lacks " + "x" * 1_000_000}
    returns.given_back(engine, GivenBack(run_id=RunId("r"), epoch=1, **why))
    (record,) = caplog.records
    assert "run r: it lacks xxx" in record.getMessage()
    assert len(record.getMessage()) < 1200
