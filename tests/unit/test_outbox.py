"""What waits to be sent to an engine that does not read is bounded."""

from dagrun.domain.ids import RunId
from dagrun.ports.frames import BeatSeen, Stop
from dagrun.services.fleet.outbox import MAX_STOPS, Outbox


def stop(run_id, epoch=1):
    return Stop(run_id=RunId(run_id), epoch=epoch, reason="")


async def test_only_the_newest_heartbeat_is_answered():
    outbox = Outbox()
    for number in range(1000):
        outbox.put_beat_seen(number)
    assert list(await outbox.take()) == [BeatSeen(number=999)]


async def test_an_order_to_stop_waits_once():
    outbox = Outbox()
    for _ in range(9):
        outbox.put_stop(stop("r"))
        outbox.put_stop(stop("r", 2))
    assert list(await outbox.take()) == [stop("r"), stop("r", 2)]
    outbox.put_stop(stop("r"))
    assert list(await outbox.take()) == [stop("r")]


async def test_orders_to_stop_beyond_the_most_are_left_to_the_next_heartbeat():
    outbox = Outbox()
    for number in range(MAX_STOPS + 9):
        outbox.put_stop(stop(str(number)))
    assert len(await outbox.take()) == MAX_STOPS
