"""Changes of runs whose engine was lost, in the order in which they reach the store."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.state import RunState
from dagrun.errors import StoreBusy
from dagrun.ports.store import Message, MessageKind
from dagrun.roles.stored_runs import read_on
from dagrun.services.dispatcher import Dispatcher, DispatcherStatistics, Ticket
from dagrun.services.journal import Journal
from dagrun.testing.drive import make_node, make_plan
from dagrun.testing.journals import ATTEMPT, NOON, add_run, event

RUN = RunId("r")
PLAN = make_plan(make_node("a"), make_node("b"))
CANCEL = Message(number=1, kind=MessageKind.CANCEL, data={"reason": "requested"})
CHILD_ENDED = Message(number=1, kind=MessageKind.CHILD_ENDED, data={})
PAUSE = Message(number=1, kind=MessageKind.PAUSE, data={})


class Held(MemoryStore):
    """A store whose commits another process holds up for as long as a test wants."""

    held = False

    async def commit(self, *args, **more):
        if self.held:
            raise StoreBusy("held")
        return await super().commit(*args, **more)


@attrs.define
class Runs:
    """What a dispatcher asks of one run."""

    store: MemoryStore

    async def load(self, run_id):
        record = await self.store.run(run_id)
        state = RunState(PLAN, run_id, EMPTY)
        await read_on(self.store, record, state)
        return state, record.epoch

    async def claim(self, run_id):
        epoch = (await self.store.run(run_id)).epoch
        await self.store.claim(run_id, owner="owner", expected_epoch=epoch)
        return *await self.load(run_id), ()


class Engine:
    """Has the run, and is lost."""

    name, offers, ready, capacity = "e", None, False, 1


@asynccontextmanager
async def lost():
    """Give what knows of a run that its engine was lost with; a node of it was running."""
    async with Held() as store, trio.open_nursery() as nursery:
        await add_run(store, upto=3)
        journal = await nursery.start(Journal(store).run)
        dispatcher = Dispatcher(runs=Runs(store), journal=journal, balancer=lambda _: None)
        await nursery.start(dispatcher.run)
        dispatcher.assume(Ticket(run_id=RUN, workflow=PLAN.workflow), Engine())
        dispatcher.take_back(RUN, lost=True)
        yield store, journal, dispatcher
        nursery.cancel_scope.cancel()


def types(events: list[Event]):
    return [(one.epoch, one.type) for one in events]


async def test_what_a_lost_engine_said_does_not_stand_in_the_way_of_a_pause(autojump_clock):
    """It waits before the pause to be written, under the epoch that has ended by then."""
    async with lost() as (store, journal, dispatcher), trio.open_nursery() as nursery:
        store.held = True
        journal.append([event(4, Type.NODE_SUCCEEDED, **ATTEMPT, data={"outputs": EMPTY})])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(dispatcher.pause, RUN)
        await trio.testing.wait_all_tasks_blocked()
        store.held = False
        with trio.fail_after(5):
            while (await store.run(RUN)).status != "paused":  # noqa: ASYNC110 — it is stored
                await trio.sleep(0.1)
        stored = await store.events(RUN)
        assert types(stored[3:]) == [(2, Type.RUN_PAUSED)]
        assert stored[3].time > NOON
        assert dispatcher.ticket(RUN).paused


async def test_a_lost_run_is_paused_under_an_epoch_of_its_own_though_nothing_of_it_ran(
    autojump_clock,
):
    async with lost() as (store, journal, dispatcher):
        journal.append([event(4, Type.NODE_SUCCEEDED, **ATTEMPT, data={"outputs": EMPTY})])
        await journal.wait_durable(RUN, 4)
        assert await dispatcher.pause(RUN)
        assert await dispatcher.resume(RUN)
        stored = await store.events(RUN)
        assert types(stored[4:]) == [(2, Type.RUN_PAUSED), (2, Type.RUN_QUEUED)]


class Place:
    """An engine with one place, which notes under which epochs it is given runs."""

    offers, ready, capacity = None, True, 1

    def __init__(self, name="e"):
        self.name, self.given = name, []

    def tell(self, run_id, message):
        return True

    def execute(self, state, *, epoch, messages=(), lost=False):
        self.given.append((state.run_id, epoch))


@attrs.define
class Busy(Runs):
    """Runs that are being cancelled already, and a store that is held when one is to be read."""

    held: Callable[[], None] | None = None

    async def post_cancel(self, run_id, *, reason):
        return False

    async def claim(self, run_id):
        if (held := self.held) is not None:
            self.held = None
            held()
            raise StoreBusy("held")
        return await super().claim(run_id)


async def test_a_run_that_finds_a_place_while_it_is_cancelled_once_more_gets_one(autojump_clock):
    other = Ticket(run_id=RunId("other"), workflow=PLAN.workflow)
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        await add_run(store, upto=3)
        place, runs = Place(), Busy(store)
        dispatcher = Dispatcher(runs=runs, journal=None, balancer=lambda _: None)
        await nursery.start(dispatcher.run)
        dispatcher.add_engine(place)
        dispatcher.assume(other, place)
        waiting = Ticket(run_id=RUN, workflow=PLAN.workflow, fresh=False)
        dispatcher.adopt(waiting)
        dispatcher.enqueue(waiting)
        runs.held = partial(dispatcher.ended, other.run_id)
        assert not await dispatcher.cancel(RUN)
        await trio.sleep(60)  # in which the store is asked again
        assert place.given == [(RUN, 2)]
        assert dispatcher.statistics() == DispatcherStatistics(queued=0, running=1)
        nursery.cancel_scope.cancel()


async def test_a_parked_run_that_was_paused_is_not_brought_back_by_the_end_of_a_child(
    autojump_clock,
):
    async with lost() as (store, journal, dispatcher):
        journal.append([event(4, Type.NODE_WAITING, **ATTEMPT, data={"child": "c"})])
        await journal.wait_durable(RUN, 4)
        dispatcher.rests(RUN, parked=True)
        assert await dispatcher.pause(RUN)
        assert dispatcher.explain(RUN) == "it waits until it is resumed"
        dispatcher.tell(RUN, CHILD_ENDED)
        await trio.testing.wait_all_tasks_blocked()
        assert dispatcher.statistics().queued == 0
        assert await dispatcher.resume(RUN)
        assert dispatcher.statistics().queued == 1
        stored = await store.events(RUN)
        assert types(stored[4:]) == [(1, Type.RUN_PAUSED), (1, Type.RUN_QUEUED)]


@asynccontextmanager
async def full():
    """Give a dispatcher, the engine that has a run, and another one, which is full."""
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        await add_run(store, upto=3)
        has, other = Place("has it"), Place("is full")
        dispatcher = Dispatcher(runs=Runs(store), journal=None, balancer=lambda _: None)
        await nursery.start(dispatcher.run)
        dispatcher.add_engine(has)
        dispatcher.assume(Ticket(run_id=RUN, workflow=PLAN.workflow), has)
        dispatcher.assume(Ticket(run_id=RunId("other"), workflow=PLAN.workflow), other)
        yield dispatcher, has, other
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("message", "given"), [(CANCEL, [(RUN, 2)]), (PAUSE, [])])
@pytest.mark.parametrize("early", [True, False])
async def test_a_run_that_is_to_be_cancelled_waits_for_no_room_when_its_engine_is_lost(
    message, given, early
):
    """It waits for an engine if there is none, be it full then."""
    async with full() as (dispatcher, has, other):
        if early:
            dispatcher.add_engine(other)
        assert dispatcher.tell(RUN, message)
        has.ready = False
        dispatcher.engine_changed(has)
        dispatcher.take_back(RUN, lost=True)
        if not early:
            dispatcher.add_engine(other)
        await trio.testing.wait_all_tasks_blocked()
        assert (has.given, other.given) == ([], given)
        assert dispatcher.statistics() == DispatcherStatistics(
            queued=not given, running=1 + len(given)
        )


async def test_a_run_that_is_to_be_cancelled_is_not_paused(autojump_clock):
    async with lost() as (store, _, dispatcher):
        ticket = dispatcher.ticket(RUN)
        dispatcher.cancelling(RUN)
        assert not await dispatcher.pause(RUN)
        assert not ticket.paused
        assert (await store.run(RUN)).status == "running"


async def test_a_run_that_is_being_cancelled_needs_no_room_when_its_engine_is_lost(autojump_clock):
    async with full() as (dispatcher, has, other):
        dispatcher.cancelling(RUN)
        dispatcher.remove_engine(has)
        dispatcher.add_engine(other)
        dispatcher.take_back(RUN, lost=True)
        await trio.testing.wait_all_tasks_blocked()
        assert [run for run, _ in other.given] == [RUN]
