"""What subscribers get, in which order, and what becomes of those that are slow."""

from datetime import UTC, datetime

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.monitoring import Severity, observed, position_of
from dagrun.services.monitor import Monitor
from dagrun.testing.stores import add_run, journal

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = {"type": "boom", "message": "it broke"}


def event(seq, kind, node_id=None, **data):
    return Event(RunId("r"), seq, 1, kind, NOW, node_id, None, None, data or None)


def monitor(store=None):
    return Monitor(store or MemoryStore(), lambda _run: "w")


async def take(events, count):
    return [await anext(events) for _ in range(count)]


async def test_a_subscriber_gets_events_in_their_order_with_their_positions():
    bus = monitor()
    async with bus.subscribe() as events:
        bus.publish([event(1, Type.RUN_QUEUED), event(2, Type.RUN_RUNNING, engine="e1")], 7)
        bus.publish([event(3, Type.NODE_RUNNING, "a"), event(4, Type.RUN_SUCCEEDED)], 9)
        bus.publish([event(1, Type.RUN_QUEUED)], 11)
        seen = await take(events, 5)
    assert [(e.id, e.type, e.node_id, e.engine_id) for e in seen] == [
        ("7", "run.queued", None, None),
        ("8", "run.running", None, "e1"),
        ("9", "node.running", "a", "e1"),
        ("10", "run.succeeded", None, "e1"),
        ("11", "run.queued", None, None),
    ]
    assert {(e.run_id, e.workflow_id, e.time) for e in seen} == {("r", "w", NOW)}


async def test_what_happened_before_a_subscription_is_not_told():
    bus = monitor()
    bus.publish([event(1, Type.RUN_QUEUED)], 1)
    async with bus.subscribe() as events:
        bus.publish([event(2, Type.RUN_RUNNING)], 2)
        assert (await anext(events)).id == "2"


@pytest.mark.parametrize(
    ("kind", "severity"),
    [
        (Type.RUN_FAILED, "error"),
        (Type.NODE_FAILED, "error"),
        (Type.NODE_RETRYING, "warning"),
        (Type.RUN_CANCELLED, "info"),
        (Type.NODE_SUCCEEDED, "info"),
    ],
)
def test_a_failure_is_an_error_and_a_retry_a_warning(kind, severity):
    assert observed(event(1, kind), position=1, workflow_id="w").severity == severity


async def test_a_subscriber_may_leave_out_what_it_does_not_want():
    bus = monitor()
    all_of_it = [
        event(1, Type.RUN_QUEUED),
        event(2, Type.NODE_RETRYING, "a", error=ERROR, delay=1.0),
        event(3, Type.NODE_FAILED, "a", error=ERROR),
        event(4, Type.RUN_FAILED, error=ERROR),
    ]
    wanted = [
        ({"min_severity": "warning"}, ["2", "3", "4"]),
        ({"min_severity": Severity.ERROR}, ["3", "4"]),
        ({"types": ["run"]}, ["1", "4"]),
        ({"types": ["node.failed", "run.queued"]}, ["1", "3"]),
        ({"run_id": "other"}, []),
        ({"workflow_id": "w", "types": ["run.failed"]}, ["4"]),
    ]
    for options, ids in wanted:
        async with bus.subscribe(**options) as events:
            bus.publish(all_of_it, 1)
            assert events.waiting == len(ids)
            assert [e.id for e in await take(events, len(ids))] == ids


async def test_outputs_and_items_are_left_out_and_errors_are_not():
    given = event(1, Type.NODE_FAILED, "a", error=ERROR, outputs=Raw(b"{}"), items=Raw(b"[]"))
    assert observed(given, position=1, workflow_id="w").data == {"error": ERROR}


async def test_a_slow_subscriber_gets_a_gap_with_where_to_go_on_and_the_others_get_all():
    bus = monitor()
    async with bus.subscribe(buffer=3) as slow, bus.subscribe() as quick:
        for number in range(1, 11):
            bus.publish([event(number, Type.NODE_RUNNING, "a")], number)
        assert (slow.waiting, quick.waiting) == (3, 10)
        seen = await take(slow, 4)
        assert [e.type for e in seen] == ["node.running"] * 3 + ["gap"]
        assert seen[3].data == {"after": "3"}
        assert seen[3].severity == "warning"
        bus.publish([event(11, Type.NODE_RUNNING, "a")], 11)
        assert (await anext(slow)).id == "11"
        assert [e.id for e in await take(quick, 11)] == [str(n) for n in range(1, 12)]


async def test_a_thousand_slow_subscribers_hold_a_bounded_number_of_events():
    bus = monitor()
    async with trio.open_nursery() as nursery:

        async def watch(*, task_status):
            async with bus.subscribe(buffer=5):
                task_status.started()
                await trio.sleep_forever()

        for _ in range(1000):
            await nursery.start(watch)
        for number in range(50):
            bus.publish([event(number, Type.NODE_RUNNING, "a")], number)
        statistics = bus.statistics()
        assert (statistics.subscribers, statistics.waiting) == (1000, 5000)
        nursery.cancel_scope.cancel()
    assert bus.statistics().subscribers == 0


async def test_a_subscriber_that_goes_on_gets_each_event_once_from_the_store_and_then_live():
    async with MemoryStore() as store:
        bus = monitor(store)
        result = await store.commit(journal()[:4], new_runs=[])
        await add_run(store, upto=4)
        position = await store.last_position()
        assert not result.taken
        async with bus.subscribe(after="2") as events:
            assert [e.id for e in await take(events, 1)] == ["3"]
            # Stored and told of while the subscriber reads: it must not come twice.
            late = await store.commit(journal()[4:6])
            bus.publish(late.taken, late.position)
            ids = [e.id for e in await take(events, position - 3 + 2)]
            assert ids == [str(n) for n in range(4, position + 3)]
            last = await store.commit(journal()[6:])
            bus.publish(last.taken, last.position)
            assert (await anext(events)).type == "run.succeeded"


async def test_a_gap_can_be_filled_from_the_store():
    async with MemoryStore() as store:
        bus = monitor(store)
        async with bus.subscribe(buffer=2) as events:
            await add_run(store)
            bus.publish(journal(), 1)
            seen = await take(events, 3)
        async with bus.subscribe(after=seen[-1].data["after"]) as events:
            assert [e.id for e in await take(events, 5)] == ["3", "4", "5", "6", "7"]


async def test_announcements_stand_behind_the_last_event_and_never_hide_the_next():
    bus = monitor()
    async with bus.subscribe() as events:
        bus.publish([event(1, Type.RUN_QUEUED)], 5)
        bus.announce("engine.joined", engine_id="e1")
        bus.announce("workflow.registered", workflow_id="w", data={"version": "1.0.0"})
        bus.publish([event(2, Type.RUN_RUNNING)], 6)
        seen = await take(events, 4)
    assert [e.id for e in seen] == ["5", "5.1", "5.2", "6"]
    assert [position_of(e.id) for e in seen] == [5, 5, 5, 6]
    assert (seen[1].engine_id, seen[2].workflow_id, seen[2].data) == (
        "e1",
        "w",
        {"version": "1.0.0"},
    )


@pytest.mark.parametrize("wrong", ["", "x", "-1", "1x", "9" * 30, "٣"])
async def test_what_is_no_id_of_an_event_is_refused(wrong):
    with pytest.raises(ValueError, match="is no id of an event"):
        async with monitor().subscribe(after=wrong):
            pass


async def test_an_unknown_severity_is_refused():
    with pytest.raises(ValueError, match="loud"):
        async with monitor().subscribe(min_severity="loud"):
            pass
