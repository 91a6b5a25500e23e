"""Whose start timeout is minded."""

import pytest
import trio

from dagrun.domain.ids import RunId
from dagrun.services.dispatcher import Ticket
from dagrun.services.dispatcher.expiry import FEW, Expiry
from dagrun.testing.drive import make_node, make_workflow

WORKFLOW = make_workflow(make_node("a"))


class Placing:
    """Knows tickets; those with a time wait."""

    def __init__(self):
        self.tickets = {}

    @property
    def queued(self):
        return sum(ticket.due is not None for ticket in self.tickets.values())

    def ticket(self, run_id):
        return self.tickets.get(run_id)


class Changes:
    """Notes what expires."""

    def __init__(self):
        self.expired = []

    async def expire(self, ticket):
        self.expired.append(ticket.run_id)


@pytest.fixture
def placing():
    return Placing()


@pytest.fixture
def changes():
    return Changes()


@pytest.fixture
def expiry(placing, changes):
    return Expiry(placing=placing, changes=changes)


def submit(placing, expiry, number):
    ticket = Ticket(run_id=RunId(f"r{number}"), workflow=WORKFLOW, due=1000.0 - number % 7)
    placing.tickets[ticket.run_id] = ticket
    expiry.watch(ticket)
    return ticket


@pytest.mark.parametrize("what", ["placed", "ended"])
def test_runs_that_wait_no_more_are_not_minded_until_they_would_be_due(placing, expiry, what):
    for number in range(20 * FEW):
        ticket = submit(placing, expiry, number)
        if what == "placed":
            ticket.due = None
        else:
            del placing.tickets[ticket.run_id]
    assert len(expiry) <= FEW


async def test_runs_that_wait_expire_though_others_were_left_out(
    placing, expiry, changes, nursery, autojump_clock
):
    waiting = []
    for number in range(5 * FEW):
        ticket = submit(placing, expiry, number)
        if number % 3:
            ticket.due = None
        else:
            waiting.append(ticket.run_id)
    assert len(expiry) <= 2 * len(waiting) + 1
    await nursery.start(expiry.run)
    await trio.sleep(2000)
    assert sorted(changes.expired) == sorted(waiting)


async def test_a_run_that_an_engine_is_asked_about_keeps_no_other_from_expiring(
    placing, expiry, changes, nursery, autojump_clock
):
    placed, waiting = (submit(placing, expiry, number) for number in (2, 1))
    placed.due = None
    await nursery.start(expiry.run)
    async with placed.alone():
        await trio.sleep(2000)
        assert changes.expired == [waiting.run_id]
