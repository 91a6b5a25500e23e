"""Engines that say what is not true, and those of another version: nobody else is harmed."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from dagrun.domain.events import Event, Type
from dagrun.domain.workflow import Workflow
from dagrun.errors import ChannelLost
from dagrun.plugin.loading import load_plugins
from dagrun.ports.frames import (
    MAX_CAPACITY,
    PROTOCOL,
    Beat,
    BeatSeen,
    Dispatch,
    GivenBack,
    Hello,
    Report,
    Stop,
    TurnedAway,
    Welcome,
    Why,
)
from dagrun.services.fleet import handshake
from dagrun.testing.elsewhere import until
from dagrun.testing.programs import COMMAND, LIMIT
from dagrun.testing.roles import address_of

LEASE = 1.0  # seconds
LONG = 6.0  # seconds of a lease that must not end on a busy machine
SLACK = 10.0  # seconds that a busy machine may take; simulations know the exact time


@attrs.define
class Liar:
    """An engine that says what a test wants it to say."""

    channel: object
    heard: list = attrs.field(factory=list)

    async def say(self, *frames):
        await self.channel.send(frames)

    async def hears(self, kind):
        """Wait for a frame of a kind, and give it; those before it are passed over."""
        with trio.fail_after(LIMIT):
            while not (found := [one for one in self.heard if isinstance(one, kind)]):
                self.heard += await self.channel.receive()
        self.heard.remove(found[0])
        return found[0]

    async def answered(self, number, *held):
        """Send a heartbeat, and wait until all that was said before was heard."""
        await self.say(Beat(number=number, held=held))
        assert (await self.hears(BeatSeen)).number == number


def hello(engine_id="liar", **fields):
    known = {"release": "0", "instance": "i", "capacity": 1, "executors": ("shell", "lua")}
    return Hello(engine_id=engine_id, **{**known, **fields})


@asynccontextmanager
async def lying(it, first=None):
    """Attach as an engine."""
    grpc = load_plugins().registry.transports.get("grpc")()
    async with grpc, grpc.attach(it.leading.addresses[0]) as channel:
        liar = Liar(channel)
        await liar.say(first or hello())
        yield liar


@pytest.fixture
def workflow(tmp_path):
    def make(it, **fields):
        return Workflow("w", "1.0.0", nodes=[it.node("a", **fields), it.node("b", "a")])

    return make


async def end_well(it, workflow, *runs):
    """Let an honest engine end runs, and see that all is right with them."""
    it.engine("honest")
    for run_id in runs:
        assert (await it.result(run_id)).status == "succeeded"
    assert await it.problems(workflow, *runs) == []
    assert len(it.witness) == 4 * len(runs)


@pytest.mark.parametrize("capacity", [0, -1])
async def test_an_engine_without_capacity_is_turned_away_for_good(opened, capacity):
    async with opened() as it, lying(it, hello(capacity=capacity)) as liar:
        turned = await liar.hears(TurnedAway)
        assert (turned.reason, turned.final) == ("its capacity is less than 1", True)
        assert it.leading.engines() == []


async def test_an_engine_that_takes_more_than_it_can_do_keeps_no_run_from_those_who_can(
    opened, workflow
):
    async with opened() as it:
        honest = workflow(it)
        async with lying(it, hello(capacity=MAX_CAPACITY)) as liar:
            await liar.hears(Welcome)
            runs = [await it.submit(honest) for _ in range(5)]
            for _ in runs:  # all of them come, as there is nobody else
                got = await liar.hears(Dispatch)
                back = {"epoch": got.epoch, "seen": 0, "why": Why.UNUSABLE}
                await liar.say(GivenBack(run_id=got.run_id, **back))
            await until(lambda: it.leading.dispatcher.statistics().queued == len(runs))
            await end_well(it, honest, *runs)


async def test_an_engine_that_lives_and_does_not_list_its_run_loses_it_after_a_lease(
    opened, workflow
):
    async with opened(lease=LEASE) as it:
        honest = workflow(it)
        async with lying(it) as liar:
            await liar.hears(Welcome)
            run_id = await it.submit(honest)
            got = await liar.hears(Dispatch)
            began = trio.current_time()
            number = 0
            with trio.fail_after(LIMIT):
                while not [one for one in liar.heard if isinstance(one, Stop)]:
                    number += 1
                    await liar.answered(number)
                    await trio.sleep(0.1)
            assert LEASE * 0.9 <= trio.current_time() - began <= LEASE * 1.2 + SLACK
            assert (await liar.hears(Stop)).run_id == got.run_id
            liar.heard.clear()
            await liar.say(Beat(number=99, held=(), draining=True))
            await end_well(it, honest, run_id)


async def test_what_is_reported_after_the_lease_is_refused(opened, workflow):
    async with opened(lease=LEASE) as it:
        honest = workflow(it)
        async with lying(it) as liar:
            await liar.hears(Welcome)
            run_id = await it.submit(honest)
            got = await liar.hears(Dispatch)
            with pytest.raises(ChannelLost):  # it says nothing, and the stream is ended
                await liar.hears(Report)
        it.engine("honest")
        assert (await it.result(run_id)).status == "succeeded"
        before = await it.journal(run_id)
        async with lying(it) as liar:
            await liar.hears(Welcome)
            late = event_of(got, Type.RUN_RUNNING)
            await liar.say(Report(events=(late,)))
            assert (await liar.hears(Stop)).run_id == run_id
        assert await it.journal(run_id) == before
        assert await it.problems(honest, run_id) == []


async def test_what_an_engine_says_of_runs_of_others_changes_nothing(opened, workflow):
    async with opened() as it:
        honest = workflow(it, seconds=1.0)
        it.engine("honest")
        await it.attached("honest")
        run_id = await it.submit(honest)
        await until(lambda: it.witness)
        async with lying(it, hello(held=((run_id, 1),), draining=True)) as liar:
            assert (await liar.hears(Welcome)).stopped == ((run_id, 1),)
            (accepted, *_) = await it.journal(run_id)
            end = attrs.evolve(accepted, type=Type.RUN_FAILED, seq=4, data={"error": {}})
            await liar.say(Report(events=(end,)))
            assert (await liar.hears(Stop)).run_id == run_id
            back = {"seen": 0, "why": Why.STOPPED}
            await liar.say(GivenBack(run_id=run_id, epoch=1, **back))
            assert (await liar.hears(Stop)).run_id == run_id
            await liar.answered(1, (run_id, 1))
        assert (await it.result(run_id)).status == "succeeded"
        assert await it.problems(honest, run_id) == []
        assert {event.epoch for event in await it.journal(run_id)} == {1}


async def test_events_that_cannot_follow_are_not_taken_and_the_run_goes_on(opened, workflow):
    async with opened(lease=LEASE) as it:
        honest = workflow(it)
        async with lying(it) as liar:
            await liar.hears(Welcome)
            run_id = await it.submit(honest)
            got = await liar.hears(Dispatch)
            await liar.say(Report(events=(event_of(got, Type.RUN_SUCCEEDED, seq=7),)))
            assert (await liar.hears(Stop)).run_id == run_id
            assert [event.seq for event in await it.journal(run_id)] == [1]
        await end_well(it, honest, run_id)


def event_of(dispatch, kind, seq=None):
    """Make an event of a run that was dispatched, as its engine would."""
    last = dispatch.events[-1]
    return Event(
        run_id=dispatch.run_id,
        seq=seq or last.seq + 1,
        epoch=dispatch.epoch,
        time=last.time,
        type=kind,
        data={"engine": "liar"},
    )


@pytest.mark.parametrize("protocol", [PROTOCOL - 1, PROTOCOL + 1])
async def test_an_engine_of_another_protocol_is_told_both_versions_and_not_to_come_again(
    opened, protocol
):
    async with opened() as it, lying(it, hello(protocol=protocol, release="7.8")) as liar:
        turned = await liar.hears(TurnedAway)
        assert f"it speaks version {protocol} of the protocol (dagrun 7.8)" in turned.reason
        assert f"this orchestrator version {PROTOCOL}" in turned.reason
        assert turned.final
        assert it.leading.engines() == []


@pytest.mark.parametrize(
    ("protocol", "dials"), [(PROTOCOL - 1, "engine"), (PROTOCOL + 1, "orchestrator")]
)
async def test_an_engine_ends_with_the_reason_when_its_orchestrator_has_another_protocol(
    opened, monkeypatch, launch, tmp_path, protocol, dials
):
    monkeypatch.setattr(handshake, "PROTOCOL", protocol)
    async with opened() as it:
        if dials == "engine":
            engine = it.engine("e1")
        else:
            given = ("--engine-id", "e1", "--data-dir", tmp_path / "e1", "--port", 0)
            engine = launch(*COMMAND, "engine", *given)
            it.leading.register(await trio.to_thread.run_sync(address_of, engine))
        _, printed = await trio.to_thread.run_sync(engine.communicate)
    assert engine.returncode == 1
    assert f"this orchestrator version {protocol}" in printed.splitlines()[-1]


async def test_an_engine_of_another_release_with_the_same_protocol_is_taken(opened):
    async with opened() as it, lying(it, hello(release="99.0")) as liar:
        await liar.hears(Welcome)
        await it.attached("liar")


async def test_a_second_live_instance_of_an_engine_is_turned_away_and_the_first_one_keeps_its_run(
    opened, workflow
):
    async with opened(lease=LONG) as it:
        honest = workflow(it, seconds=LONG + 2)
        it.engine("e1")
        await it.attached("e1")
        run_id = await it.submit(honest)
        await until(lambda: it.witness)
        for instance in ("other", "yet-another"):
            async with lying(it, hello("e1", instance=instance)) as liar:
                turned = await liar.hears(TurnedAway)
                assert "an engine with the id e1 is attached already" in turned.reason
                assert not turned.final
        assert (await it.result(run_id)).status == "succeeded"
        assert await it.problems(honest, run_id) == []
        assert {event.epoch for event in await it.journal(run_id)} == {1}
