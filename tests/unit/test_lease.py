"""For how long an engine goes on when its orchestrator is not heard."""

import pytest
import trio

from dagrun.services.attachment import Lease
from dagrun.services.attachment.lease_watch import LeaseWatch

LENGTH = 15.0  # seconds
TICK = 0.1  # seconds


class Clock:
    """Gives the seconds that a test has let pass."""

    now = 0.0

    def __call__(self):
        return self.now


def fenced_after(begin):
    """Give the seconds from the time at which nothing is answered any more until the fence."""
    clock = Clock()
    lease = Lease(clock)
    lease.begin(LENGTH, 0.0)
    due, ticks = lease.interval, 0
    while not lease.fenced():
        ticks += 1
        clock.now = ticks * TICK
        if clock.now >= due:
            number, due = lease.beat(), due + lease.interval
            if clock.now < begin:
                lease.answered(number)
    return clock.now - begin


@pytest.mark.parametrize("begin", [3.1, 3.8, 4.4, 4.5])
def test_an_outage_of_two_thirds_of_a_lease_stops_nothing_whenever_it_begins(begin):
    assert fenced_after(begin) > LENGTH * 2 / 3


@pytest.mark.parametrize("begin", [3.1, 3.8, 4.4, 4.5])
def test_an_engine_that_is_not_heard_stops_all_well_before_its_lease_is_over(begin):
    assert fenced_after(begin) < LENGTH * 0.9


def test_an_answer_counts_from_when_its_heartbeat_was_sent():
    clock = Clock()
    lease = Lease(clock)
    lease.begin(LENGTH, 0.0)
    clock.now = 3.0
    number = lease.beat()
    clock.now = 5.0
    lease.answered(number)
    assert lease.dead_at() == pytest.approx(3.0 + 0.9 * LENGTH)
    lease.answered(number - 1)
    assert lease.dead_at() == pytest.approx(3.0 + 0.9 * LENGTH)


async def test_a_lease_that_is_shorter_than_the_last_one_ends_in_its_own_time(
    nursery, autojump_clock
):
    ends = []
    lease = Lease(trio.current_time)
    watch = LeaseWatch(
        lease, expired=lambda: ends.append(trio.current_time()), renewed=lambda _dead_at: None
    )
    nursery.start_soon(watch.run)
    watch.begin(60.0, trio.current_time())
    await trio.sleep(1)
    again = trio.current_time()
    watch.begin(5.0, again)
    await trio.sleep(30)
    assert ends == pytest.approx([again + 0.8 * 5.0])
