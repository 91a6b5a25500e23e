"""Runs that wait for others with no engine, and what brings them back."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import trio
import trio.testing

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.plugin.loading import load_plugins
from dagrun.ports.frames import Hello, Stop
from dagrun.ports.store import Message, MessageKind
from dagrun.roles.local import balancers
from dagrun.services.dispatcher import Dispatcher, Ticket
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.testing.drive import make_node, make_plan

RUN = RunId("r")
ENDED = Message(number=1, kind=MessageKind.CHILD_ENDED, data={})


class Engine:
    """Notes under which epochs it is given a run."""

    offers, ready, capacity = None, True, 5

    def __init__(self, name):
        self.name, self.epochs = name, []

    def execute(self, state, *, epoch, messages=(), lost=False):
        self.epochs.append(epoch)


class SlowStore:
    """Takes half a second to hand a run over."""

    def __init__(self, plan):
        self.plan, self.epoch = plan, 1

    async def claim(self, run_id):
        self.epoch += 1
        epoch = self.epoch
        await trio.sleep(0.5)
        return RunState(self.plan, run_id, EMPTY), epoch, ()

    async def look(self, run_id):
        state = RunState(self.plan, run_id, EMPTY)
        state.started_at, state.status = datetime.now(UTC), RunStatus.RUNNING
        return state


@asynccontextmanager
async def parked(*engines, limit):
    plan = make_plan(make_node("a"), timeout=limit)
    dispatcher = Dispatcher(
        runs=SlowStore(plan), journal=None, balancer=balancers(load_plugins().registry)
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.run)
        for engine in engines:
            dispatcher.add_engine(engine)
        ticket = Ticket(run_id=RUN, workflow=plan.workflow, fresh=False)
        dispatcher.assume(ticket, engines[0])
        dispatcher.rests(RUN, parked=True)
        yield dispatcher
        nursery.cancel_scope.cancel()


async def test_a_run_whose_time_is_over_while_it_comes_back_goes_to_one_engine(autojump_clock):
    engines = [Engine("a"), Engine("b")]
    async with parked(*engines, limit=1.0) as dispatcher:
        await trio.sleep(0.8)
        dispatcher.tell(RUN, ENDED)
        await trio.sleep(1.5)
        assert engines[0].epochs + engines[1].epochs == [2]
        assert dispatcher.statistics().running == 1


async def test_nothing_minds_the_time_of_a_run_that_has_ended(autojump_clock):
    async with parked(Engine("a"), limit=3600.0) as dispatcher:
        await trio.testing.wait_all_tasks_blocked()
        minded = trio.lowlevel.current_statistics().tasks_living
        dispatcher.ended(RUN)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == minded - 1
        assert trio.current_time() == 0


class Journal:
    """Forgets."""

    def forget(self, run_id):
        pass


def remote(name):
    hello = Hello(engine_id=name, instance="i", release="0", capacity=1)
    engine = RemoteEngine(hello, None, None)
    engine.attach(Outbox(), address="", close=lambda: None)
    return engine


async def test_an_engine_that_still_has_a_run_that_another_one_is_given_stops_it():
    first, second = remote("a"), remote("b")
    assignments = Assignments(journal=Journal(), placer=None)
    assignments.begin(first, Assigned(RUN, 1, 0.0))
    assignments.begin(second, Assigned(RUN, 2, 0.0, sent=False))
    assert (list(first.runs), list(second.runs)) == ([], [RUN])
    assert assignments.of(RUN) is second
    (stop,) = await first.outbox.take()
    assert isinstance(stop, Stop)
    assert (stop.run_id, stop.epoch) == (RUN, 1)
