"""What waits to be sent to an engine that does not read is bounded."""

import pytest
import trio
import trio.testing

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.errors import ChannelLost
from dagrun.ports.children import ChildRequest
from dagrun.ports.frames import BeatSeen, StartChild, Stop
from dagrun.services.fleet import child_starts
from dagrun.services.fleet.child_starts import ChildStarts
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


class Engine:
    name = "e"
    outbox = None


async def test_an_engine_that_wants_too_many_child_runs_at_once_loses_its_stream(monkeypatch):
    monkeypatch.setattr(child_starts, "MAX_WANTED", 3)
    request = ChildRequest(
        parent=RunId("r"),
        epoch=1,
        node_id="a",
        item=None,
        attempt=1,
        workflow_id="w",
        version=None,
        inputs=EMPTY,
    )
    async with trio.open_nursery() as nursery:
        starts = ChildStarts(None, nursery.start_soon)
        for _ in range(2):
            for number in range(3):
                starts.wanted(Engine(), StartChild(number=number, request=request))
            with pytest.raises(ChannelLost, match="too many child runs"):
                starts.wanted(Engine(), StartChild(number=9, request=request))
            await trio.testing.wait_all_tasks_blocked()
