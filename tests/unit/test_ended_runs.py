"""Runs that end just when they are taken back from their engine."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import trio
import trio.testing

from dagrun.domain.ids import RunId
from dagrun.errors import RunHasEnded
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import balancers
from dagrun.services.dispatcher import Dispatcher, Ticket
from dagrun.services.fleet.assignments import Assignments
from dagrun.testing.drive import make_node, make_workflow

RUN = RunId("r")


class Engine:
    """Is given no run that has ended."""

    offers, ready, capacity = None, True, 1

    def __init__(self, name):
        self.name = name


class Store:
    """Knows that the run has ended, and says so when it may."""

    def __init__(self):
        self.says = trio.Event()

    async def claim(self, run_id):
        await self.says.wait()
        raise RunHasEnded(run_id)

    async def load(self, run_id):
        return SimpleNamespace(ended=False, status="running"), 1

    async def post_cancel(self, run_id, *, reason):
        return False


@asynccontextmanager
async def taken_back(store):
    """Give a dispatcher, and a run that its lost engine reported the end of."""
    dispatcher = Dispatcher(runs=store, journal=None, balancer=balancers(load_plugins().registry))
    async with trio.open_nursery() as nursery:
        await nursery.start(dispatcher.run)
        ticket = Ticket(run_id=RUN, workflow=make_workflow(make_node("a")), fresh=False)
        dispatcher.assume(ticket, Engine("lost"))
        dispatcher.take_back(RUN, lost=True)
        yield dispatcher, ticket
        nursery.cancel_scope.cancel()


def is_gone(dispatcher, ticket):
    statistics = dispatcher.statistics()
    gone = ticket.gone and dispatcher.ticket(RUN) is None
    return gone and ticket.abandoned is None and statistics.queued == statistics.running == 0


async def test_a_run_whose_end_is_heard_of_while_it_waits_waits_no_more():
    async with taken_back(Store()) as (dispatcher, ticket):
        assert dispatcher.statistics().queued == 1
        Assignments(journal=None, placer=dispatcher).ended(RUN)
        assert is_gone(dispatcher, ticket)


async def test_a_run_that_turns_out_to_have_ended_is_not_abandoned():
    store = Store()
    async with taken_back(store) as (dispatcher, ticket):
        dispatcher.add_engine(Engine("new"))
        await trio.testing.wait_all_tasks_blocked()
        dispatcher.ended(RUN)  # while it is read
        store.says.set()
        await ticket.wait()
        assert is_gone(dispatcher, ticket)


async def test_a_run_that_turns_out_to_have_ended_is_not_cancelled():
    store = Store()
    store.says.set()
    async with taken_back(store) as (dispatcher, ticket):
        dispatcher.pause_dispatch()
        dispatcher.add_engine(Engine("new"))
        assert not await dispatcher.cancel(RUN)
        await ticket.wait()
        assert is_gone(dispatcher, ticket)
