"""What subscribers get, in which order, and what becomes of those that are slow."""

import tracemalloc
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.monitoring import Severity, observed, position_of
from dagrun.services.monitor import Monitor
from dagrun.testing.journals import add_run, journal, new_run

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = {"type": "boom", "message": "it broke"}


def event(seq, kind, node_id=None, **data):
    return Event(RunId("r"), seq, 1, kind, NOW, node_id, None, None, data or None)


def monitor(store=None, engine=None, position=0):
    return Monitor(store or MemoryStore(), lambda _run: ("w", engine), position=position)


async def take(events, count):
    return [await anext(events) for _ in range(count)]


async def test_a_subscriber_gets_events_in_their_order_with_their_positions():
    bus = monitor(engine="e1")
    async with bus.subscribe() as events:
        bus.publish([event(1, Type.RUN_QUEUED), event(2, Type.RUN_RUNNING, engine="e1")], 7)
        bus.publish([event(3, Type.NODE_RUNNING, "a"), event(4, Type.RUN_SUCCEEDED)], 9)
        seen = await take(events, 4)
    assert [(e.id, e.type, e.node_id) for e in seen] == [
        ("7", "run.queued", None),
        ("8", "run.running", None),
        ("9", "node.running", "a"),
        ("10", "run.succeeded", None),
    ]
    assert {(e.run_id, e.workflow_id, e.engine_id, e.time) for e in seen} == {("r", "w", "e1", NOW)}


async def test_nothing_is_kept_of_runs_whose_end_is_never_told():
    bus = monitor()
    async with bus.subscribe(buffer=1):
        for number in range(1, 51):
            run = Event(RunId(f"r{number}"), 1, 1, Type.RUN_RUNNING, NOW, data={"engine": "e1"})
            bus.publish([run], number)
        kept = [value for value in vars(bus).values() if hasattr(value, "__len__")]
        assert [len(value) for value in kept] == [1]  # the subscription


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
    assert (
        observed(event(1, kind), position=1, workflow_id="w", engine_id=None).severity == severity
    )


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
    assert observed(given, position=1, workflow_id="w", engine_id=None).data == {"error": ERROR}


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


async def test_who_knows_of_an_event_that_the_store_does_not_have_goes_on_behind_a_gap():
    async with MemoryStore() as store:
        await add_run(store)
        last = await store.last_position()
        bus = monitor(store, position=last)
    async with bus.subscribe(after=str(last + 5)) as events:
        bus.publish([event(1, Type.RUN_QUEUED)], last + 1)
        seen = await take(events, 2)
    assert [(e.type, e.id) for e in seen] == [("gap", str(last)), ("run.queued", str(last + 1))]


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


async def test_the_first_announcement_stands_behind_what_the_store_held_before():
    bus = monitor(position=4000)
    async with bus.subscribe() as events:
        bus.announce("engine.joined", engine_id="e1")
        assert (await anext(events)).id == "4000.1"


async def test_a_subscriber_of_one_run_reads_no_other_from_the_store():
    async with MemoryStore() as store:
        for run_id in ("r", "s", "t"):
            await add_run(store, run_id)
        reads = []

        async def log(**asked):
            reads.append(asked)
            return await MemoryStore.log(store, **asked)

        store.log = log
        async with monitor(store).subscribe(run_id="s", after="9") as events:
            assert [e.id for e in await take(events, 5)] == ["10", "11", "12", "13", "14"]
            with trio.move_on_after(0):
                await anext(events)
        assert {asked["run_id"] for asked in reads} == {"s"}
        assert [asked["after"] for asked in reads] == [9, 14]


async def test_a_gap_never_leads_back_behind_what_was_read_from_the_store():
    async with MemoryStore() as store:
        bus = monitor(store)
        await add_run(store, upto=1)
        async with bus.subscribe(after="0", buffer=1) as events:
            for given in journal()[1:6]:  # more than the buffer holds, before a page is read
                late = await store.commit([given])
                bus.publish(late.taken, late.position)
            seen = await take(events, 7)
            assert [e.id for e in seen] == ["1", "2", "3", "4", "5", "6", "6"]
            assert (seen[-1].type, seen[-1].data) == ("gap", {"after": "6"})


# closing


async def test_iterating_ends_behind_the_last_event_when_the_monitor_is_closed():
    bus = monitor()
    async with bus.subscribe() as events, bus.subscribe(buffer=1) as slow:
        bus.publish([event(1, Type.RUN_QUEUED), event(2, Type.RUN_RUNNING)], 1)
        bus.close()
        assert [e.id async for e in events] == ["1", "2"]
        assert [e.type async for e in slow] == ["run.queued", "gap"]
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_who_waits_for_an_event_goes_on_when_the_monitor_is_closed():
    bus = monitor()
    ended = []

    async def watch(after):
        async with bus.subscribe(after=after) as events:
            ended.extend([e.id async for e in events])
            ended.append(after)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, None)
        nursery.start_soon(watch, "0")
        await trio.testing.wait_all_tasks_blocked()
        bus.close()
    assert {*ended} == {None, "0"}
    assert bus.statistics().subscribers == 0


async def test_a_closed_monitor_has_nothing_to_tell_and_does_not_read_the_store():
    async with MemoryStore() as store:
        await add_run(store)
        bus = monitor(store)
        bus.close()
        for after in (None, "0"):
            async with bus.subscribe(after=after) as events:
                assert [e.id async for e in events] == []


# many


async def test_an_event_is_made_once_however_many_get_it():
    bus = monitor()
    async with AsyncExitStack() as stack:
        subscribers = [await stack.enter_async_context(bus.subscribe()) for _ in range(100)]
        bus.publish([event(1, Type.RUN_QUEUED), event(2, Type.RUN_RUNNING)], 1)
        seen = [await take(events, 2) for events in subscribers]
    assert [len({id(e) for e in column}) for column in zip(*seen, strict=True)] == [1, 1]


async def test_a_thousand_subscribers_that_read_nothing_cost_no_more_for_more_events():
    bus = monitor()
    sizes = []
    async with AsyncExitStack() as stack:
        for _ in range(1000):
            await stack.enter_async_context(bus.subscribe(buffer=20))
        tracemalloc.start()
        try:
            for number in range(1, 2001):
                bus.publish([event(number, Type.NODE_RUNNING, "a")], number)
                if number in (100, 2000):
                    sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        assert bus.statistics().waiting == 20_000
    assert sizes[1] - sizes[0] < 50_000, sizes  # bytes


async def test_of_a_thousand_subscribers_one_reads_one_event_a_second_and_misses_none(
    autojump_clock,
):
    """It goes on behind each gap with the token of the gap; the others are not held up."""
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        bus = monitor(store)
        events = [event(number, Type.NODE_RUNNING, "a") for number in range(1, 101)]
        quick, slow, gaps, waiting = [], [], [], []

        async def read_at_once(*, task_status):
            async with bus.subscribe() as told:
                task_status.started()
                quick.append([e.id for e in await take(told, 100)])

        async def read_one_a_second(*, task_status):
            after = None
            while len(slow) < 100:
                async with bus.subscribe(after=after, buffer=10) as told:
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
                    async for one in told:
                        await trio.sleep(1)
                        if one.type == "gap":
                            gaps.append(after := one.data["after"])
                            break
                        slow.append(one.id)
                        if len(slow) == 100:
                            return

        for _ in range(999):
            await nursery.start(read_at_once)
        await nursery.start(read_one_a_second)
        for number, one in enumerate(events, start=1):
            new = [new_run()] if number == 1 else []
            done = await store.commit([one], new_runs=new)
            bus.publish(done.taken, done.position)
            await trio.sleep(0.1)
            waiting.append(bus.statistics().waiting)
        assert len(quick) == 999  # long before the slow one
        assert max(waiting) <= 10
    ids = [str(number) for number in range(1, 101)]
    assert gaps
    assert slow == ids
    assert quick == [ids] * 999
    assert trio.current_time() >= 100


async def test_a_buffer_holds_at_least_one_event():
    with pytest.raises(ValueError, match="buffer"):
        async with monitor().subscribe(buffer=0):
            pass


@pytest.mark.parametrize("wrong", ["", "x", "-1", "1x", "9" * 30, "٣"])
async def test_what_is_no_id_of_an_event_is_refused(wrong):
    with pytest.raises(ValueError, match="is no id of an event"):
        async with monitor().subscribe(after=wrong):
            pass


async def test_an_unknown_severity_is_refused():
    with pytest.raises(ValueError, match="loud"):
        async with monitor().subscribe(min_severity="loud"):
            pass
