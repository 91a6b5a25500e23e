"""What an engine says of itself, and how it knows that it was heard."""

import trio
import trio.testing

from dagrun.services.attachment import Lease
from dagrun.services.attachment.heartbeats import Heartbeats

LENGTH = 10.0  # seconds


class Outbox:
    def __init__(self):
        self.beats = []

    def put_beat(self, beat):
        self.beats.append(beat)


def made(**more):
    outbox, lease = Outbox(), Lease(trio.current_time)
    lease.begin(LENGTH, trio.current_time())
    return Heartbeats(lease=lease, outbox=outbox, holdings=list, **more), outbox.beats


async def test_who_drains_is_heard_when_a_heartbeat_that_says_so_is_answered(
    nursery, autojump_clock
):
    heartbeats, beats = made()
    nursery.start_soon(heartbeats.run)
    await trio.testing.wait_all_tasks_blocked()
    heartbeats.say_draining(on=True)
    await trio.testing.wait_all_tasks_blocked()
    assert [(beat.number, beat.draining) for beat in beats] == [(1, False), (2, True)]
    heartbeats.answered(1)
    with trio.move_on_after(LENGTH) as waits:
        await heartbeats.wait_drain_heard()
    assert waits.cancelled_caught
    heartbeats.answered(3)  # one later than the first that said so
    await heartbeats.wait_drain_heard()


async def test_nobody_waits_to_be_heard_without_a_stream(autojump_clock):
    heartbeats, _ = made()
    heartbeats.say_draining(on=True)
    await heartbeats.wait_drain_heard()


async def test_who_waits_to_be_heard_goes_on_when_the_stream_ends(autojump_clock):
    heartbeats, _ = made()
    async with trio.open_nursery() as stream:
        stream.start_soon(heartbeats.run)
        await trio.testing.wait_all_tasks_blocked()
        heartbeats.say_draining(on=True)
        stream.cancel_scope.cancel()
    await heartbeats.wait_drain_heard()


async def test_who_waits_to_be_heard_hears_of_a_later_word_of_the_same(nursery, autojump_clock):
    heartbeats, beats = made()
    nursery.start_soon(heartbeats.run)
    await trio.testing.wait_all_tasks_blocked()
    heartbeats.say_draining(on=True)
    nursery.start_soon(heartbeats.wait_drain_heard)
    await trio.testing.wait_all_tasks_blocked()
    heartbeats.say_draining(on=True)  # as somebody asked for it just now
    await trio.testing.wait_all_tasks_blocked()
    heartbeats.answered(beats[-1].number)
    await trio.testing.wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 1  # the heartbeats go on, and nobody waits any more


async def test_whether_nodes_can_start_here_is_said_at_once(nursery, autojump_clock):
    health = [True]
    heartbeats, beats = made(healthy=lambda: health[-1])
    nursery.start_soon(heartbeats.run)
    for healthy in (False, True):
        await trio.testing.wait_all_tasks_blocked()
        health.append(healthy)
        heartbeats.say_health()
    await trio.testing.wait_all_tasks_blocked()
    assert [beat.unhealthy for beat in beats] == [False, True, False]
    assert trio.current_time() == 0
