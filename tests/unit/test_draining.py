"""When an engine elsewhere that drains is given no runs, and who hears of it."""

from contextlib import suppress

import pytest
import trio

from dagrun.domain.ids import RunId
from dagrun.errors import ChannelLost
from dagrun.ports.frames import Beat, Drain, Hello
from dagrun.services.fleet.expiry import Expiry
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.services.fleet.roster import Roster
from dagrun.services.fleet.session import Session


class Placer:
    """Notes whether the engine would be given runs, whenever it is told to look."""

    def __init__(self):
        self.ready = []

    def add_engine(self, engine):
        pass

    def remove_engine(self, engine):
        pass

    def engine_changed(self, engine):
        self.ready.append(engine.ready)


class Stream:
    """What an engine says, one heartbeat after the other."""

    def __init__(self, *draining):
        self._beats = [Beat(number=n, held=(), draining=on) for n, on in enumerate(draining, 1)]

    async def send(self, frames):
        pass

    async def receive(self):
        if not self._beats:
            raise ChannelLost("it has ended")
        return [self._beats.pop(0)]


class Rig:
    """A roster with one engine that has a stream."""

    def __init__(self):
        self.placer, self.told = Placer(), []
        self.roster = Roster(
            placer=self.placer,
            announce=lambda kind, **_: self.told.append(kind),
            make=lambda hello: RemoteEngine(hello, None, None),
        )
        hello = Hello(engine_id="e", instance="i", release="0", capacity=1)
        self.engine = self.roster.admit(hello)
        self.engine.attach(Outbox(), address="here", close=lambda: None)
        self.told.clear()

    def take_back(self, engine, run_id, *, lost):
        engine.drop(run_id)

    async def hear(self, *draining):
        session = Session(
            Stream(*draining),
            self.engine,
            journal=None,
            roster=self.roster,
            assignments=None,
            returns=None,
            child_starts=None,
            log_came=None,
        )
        with suppress(ChannelLost):
            await session.run(self.engine.outbox)


@pytest.fixture
async def rig():
    return Rig()


async def test_a_heartbeat_that_crosses_the_request_to_drain_lets_no_run_through(rig):
    assert rig.roster.drain("e", on=True)
    await rig.hear(False, True)
    assert rig.placer.ready == [False]
    assert rig.told == ["engine.draining"]


async def test_an_engine_that_drains_by_itself_is_given_no_runs_from_then_on(rig):
    await rig.hear(False, True, True)
    assert rig.placer.ready == [False]
    assert rig.told == ["engine.draining"]


async def test_an_engine_that_was_drained_and_is_asked_to_go_on_is_given_runs_again(rig):
    rig.roster.drain("e", on=True)
    rig.roster.drain("e", on=False)
    await rig.hear(True, False)
    assert rig.placer.ready == [False, True]
    assert rig.told == ["engine.draining"]


async def test_that_an_engine_drains_is_told_once_however_often_it_is_asked_for(rig):
    rig.roster.drain("e", on=True)
    rig.roster.drain("e", on=True)
    await rig.hear(True)
    rig.roster.drain("e", on=True)
    assert rig.told == ["engine.draining"]
    rig.roster.drain("e", on=False)
    rig.roster.drain("e", on=True)
    assert rig.told == ["engine.draining"] * 2


async def test_an_engine_that_drains_when_it_comes_or_comes_back_is_told_of(rig):
    for life in ("i", "i", "another"):
        rig.engine.outbox = None
        rig.roster.admit(
            Hello(engine_id="e", instance=life, release="0", capacity=1, draining=True)
        )
    assert rig.told == ["engine.draining", "engine.joined", "engine.draining"]


async def test_an_engine_that_is_silent_while_it_drains_is_lost_if_runs_of_it_go_on_elsewhere():
    for held, told in (([], []), (["r"], ["engine.lost"])):
        rig = Rig()
        rig.roster.drain("e", on=True)
        rig.told.clear()
        for run_id in held:
            rig.engine.runs[RunId(run_id)] = Assigned(RunId(run_id), 1, 0.0, sent=True)
        rig.engine.outbox = None
        expiry = Expiry(roster=rig.roster, assignments=rig)
        expiry.expire(before=trio.current_time())
        assert rig.told == told


async def test_an_engine_that_drains_again_after_it_had_answered_is_believed(rig):
    rig.roster.drain("e", on=False)
    await rig.hear(False, True)
    assert rig.placer.ready == [True, False]


async def test_an_engine_that_refused_a_run_is_looked_at_again_and_nobody_is_told(rig):
    rig.roster.drain("e", on=True)
    rig.engine.refuses = True
    await rig.hear(True)
    assert rig.placer.ready == [False, False]
    assert rig.told == ["engine.draining"]


async def test_an_engine_says_why_it_may_be_given_no_runs(rig):
    told = [rig.engine.unready]
    rig.roster.drain("e", on=True)
    told.append(rig.engine.unready)
    rig.engine.detach(rig.engine.outbox)
    told.append(rig.engine.unready)
    assert told == [None, "is draining", "is not connected"]


async def test_a_drain_that_was_lost_with_the_stream_is_asked_for_again():
    rig = Rig()
    assert rig.roster.drain("e", on=True)
    rig.engine.detach(rig.engine.outbox)
    rig.roster.detached(rig.engine)
    assert (
        rig.roster.admit(Hello(engine_id="e", instance="i", release="0", capacity=1)) is rig.engine
    )
    rig.engine.attach(Outbox(), address="here", close=lambda: None)
    rig.engine.ask_again()
    assert not rig.engine.ready
    assert await rig.engine.outbox.take() == [Drain(on=True)]
    await rig.hear(True)
    rig.engine.ask_again()
    assert rig.engine.goes
