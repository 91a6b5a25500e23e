"""What an orchestrator finds in its store when it begins, and goes on with."""

from contextlib import asynccontextmanager

import trio
import trio.testing

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.domain import decide
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.status import RunStatus
from dagrun.ports.management import Wanted
from dagrun.ports.store import Assignment, Message, MessageKind, Slot
from dagrun.roles.submission import Submission
from dagrun.services.dispatcher.ticket import Rest
from dagrun.testing.managed import CAPACITY, EXECUTOR, managed
from dagrun.testing.seeds import Seeds, begun, child_of, now, told

SOON = 8.0  # seconds that all that a test waits for may take


@asynccontextmanager
async def begin_anew(tmp_path, store, **options):
    """Run an orchestrator with what is in a store."""
    hub = Hub()
    with trio.fail_after(SOON):
        async with managed(
            tmp_path / "data", lambda: MemoryTransport(hub=hub), store=store, **options
        ) as world:
            yield world.leading


def ending(state):
    for work in begun(state):
        decide.succeed(state, work, EMPTY, now())
    assert state.status is RunStatus.ENDING


async def test_a_run_that_was_cut_off_within_its_handlers_ends_for_a_newer_one(tmp_path):
    newest = told(
        "a",
        concurrency={"key": "k", "limit": 1, "on_limit": "cancel_oldest"},
        handlers={"exit": {"executor": {"type": EXECUTOR}}},
    )
    store = MemoryStore()
    dead = await Seeds(store).put(newest, owner="dead", go=ending)
    assert await store.admit(dead.run_id, Slot(key="w/k", limit=1))
    async with begin_anew(tmp_path, store) as leading:
        run_id = await leading.submit(Submission(workflow=newest, inputs={}))
        assert (await leading.result(run_id)).status is RunStatus.SUCCEEDED
        assert (await store.run(dead.run_id)).status is RunStatus.SUCCEEDED


async def test_a_run_with_other_work_than_its_children_waits_for_an_engine(tmp_path):
    store = MemoryStore()
    seeds = Seeds(store)
    busy = await seeds.put(told("a", "b"), go=begun)
    lonely = await seeds.put(told("a"), go=begun)
    for run_id, wait in ((busy.run_id, True), (lonely.run_id, False)):
        await seeds.put(told("c"), parent=child_of(run_id, "a", wait=wait), go=begun)
    async with begin_anew(tmp_path, store, engine=False) as leading:
        for run_id in (busy.run_id, lonely.run_id):
            assert "waits for an engine" in leading.dispatcher.explain(run_id)


async def test_a_run_of_an_engine_that_is_not_back_is_explained_by_its_lease(tmp_path):
    store = MemoryStore()
    run_id = (await Seeds(store).put(told("a"), go=begun)).run_id
    epoch = (await store.run(run_id)).epoch
    given = Assignment(run_id=run_id, epoch=epoch, engine_id="away", instance="i")
    assert not (await store.commit([], assignments=[given])).unassigned
    async with begin_anew(tmp_path, store, engine=False) as leading:
        reasons = (await leading.management.runs.explain(run_id)).reasons
        assert reasons[1] == (
            "engine away has it and is unhealthy: it is not connected, and another one gets "
            "the run a lease later, or its disk cannot be used, and the run waits there"
        )


async def test_a_run_that_only_waits_for_its_child_rests(tmp_path):
    store = MemoryStore()
    seeds = Seeds(store)
    parent = await seeds.put(told("a"), go=waiting_for("the child"))
    child = await seeds.put(told("c"), parent=child_of(parent.run_id, "a"), go=begun)
    async with begin_anew(tmp_path, store, engine=False) as leading:
        assert leading.dispatcher.ticket(parent.run_id).rest is Rest.PARKED
        assert (await leading.management.runs.explain(parent.run_id)).reasons[-1] == (
            f"run {child.run_id} is running: it waits for an engine: none is attached"
        )


async def test_a_run_that_only_waits_needs_no_place_to_end(tmp_path):
    store = MemoryStore()
    parent = (await Seeds(store).put(told("a", timeout=0.3), go=waiting_for("the child"))).run_id
    ended = {"node_id": "a", "item": None, "attempt": 1, "run_id": "the child"}
    async with begin_anew(tmp_path, store) as leading:
        gated = told("a", workflow_id="gated", inputs={"gate": "shut"})
        for _ in range(CAPACITY):
            await leading.submit(Submission(workflow=gated, inputs={}))
        while (await store.run(parent)).status is not RunStatus.CANCELLING:  # noqa: ASYNC110 — looks at the store
            await trio.sleep(0.02)
        await trio.testing.wait_all_tasks_blocked(0.05)
        for one in await store.post(
            parent, MessageKind.CHILD_ENDED, {**ended, "status": "cancelled"}
        ):
            leading.dispatcher.tell(parent, one.message)
        assert (await leading.result(parent)).error["type"] == "timeout"
        assert leading.dispatcher.statistics().running == CAPACITY


def waiting_for(child):
    def go(state):
        for work in begun(state):
            decide.wait(state, work, {"child": child, "version": "1.0.0"}, now())

    return go


async def test_a_run_that_is_paused_while_it_rests_does_not_come_back_for_the_end_of_its_child(
    tmp_path,
):
    store = MemoryStore()
    parent = (await Seeds(store).put(told("a"), go=waiting_for("the child"))).run_id
    async with begin_anew(tmp_path, store) as leading:
        async with leading.monitor.subscribe() as live:
            assert await leading.pause(parent)
            news = await anext(live)
        (stored,) = (await leading.management.events.list(Wanted(), limit=1)).items
        assert (stored, stored.engine_id) == (news, None)
        assert leading.dispatcher.explain(parent) == "it waits until it is resumed"
        paused = await store.run(parent)
        leading.dispatcher.tell(parent, Message(number=1, kind=MessageKind.CHILD_ENDED, data={}))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (await store.run(parent)).epoch == paused.epoch


async def test_a_queued_child_is_cancelled_after_a_restart_though_there_is_no_engine(tmp_path):
    store = MemoryStore()
    seeds = Seeds(store)
    parent = await seeds.put(told("a"), go=begun)
    child = await seeds.put(told("c"), parent=child_of(parent.run_id, "a"))
    async with begin_anew(tmp_path, store, engine=False) as leading:
        assert await leading.cancel(child.run_id)
        assert (await store.run(child.run_id)).status is RunStatus.CANCELLED


async def test_a_queued_child_that_was_to_be_cancelled_is_so_after_a_restart(tmp_path):
    store = MemoryStore()
    seeds = Seeds(store)
    parent = await seeds.put(told("a"), go=begun)
    child = await seeds.put(told("c"), parent=child_of(parent.run_id, "a"))
    await store.post(child.run_id, MessageKind.CANCEL, {"reason": "requested"})
    async with begin_anew(tmp_path, store, engine=False) as leading:
        assert (await leading.result(child.run_id)).status is RunStatus.CANCELLED


async def test_a_queued_child_goes_before_other_runs_after_a_restart(tmp_path):
    store = MemoryStore()
    seeds = Seeds(store)
    parent = await seeds.put(told("a"), go=begun)
    child = await seeds.put(told("c"), parent=child_of(parent.run_id, "a"))
    async with begin_anew(tmp_path, store, engine=False) as leading:
        assert not leading.dispatcher.ticket(child.run_id).entry().fresh


async def test_a_run_that_waits_for_its_end_is_not_handed_over_each_time_it_is_cancelled(tmp_path):
    def cancelled(state):
        waiting_for("the child")(state)
        decide.cancel(state, now())

    store = MemoryStore()
    parent = await Seeds(store).put(told("a"), go=cancelled)
    async with begin_anew(tmp_path, store) as leading:
        for _ in range(3):
            assert not await leading.cancel(parent.run_id)
        record = await store.run(parent.run_id)
        assert (record.status, record.epoch) == (RunStatus.CANCELLING, 1)


async def test_a_pause_has_ended_the_start_timeout_after_a_restart_too(tmp_path):
    def paused(state):
        decide.pause(state, now())

    def resumed(state):
        paused(state)
        decide.requeue(state, now())

    store = MemoryStore()
    seeds = Seeds(store)
    document = told("a", start_timeout=100)
    fresh, *others = [
        (await seeds.put(document, go=go)).run_id for go in (lambda _: None, paused, resumed)
    ]
    async with begin_anew(tmp_path, store, engine=False) as leading:
        assert leading.dispatcher.ticket(fresh).due is not None
        assert [leading.dispatcher.ticket(run_id).due for run_id in others] == [None, None]


class Slow(MemoryStore):
    """Takes minutes to read a journal."""

    async def events(self, run_id, *, after=0):
        await trio.sleep(300)
        return await super().events(run_id, after=after)


async def test_an_engine_keeps_its_runs_however_long_the_others_take_to_be_read(
    tmp_path, autojump_clock
):
    store = Slow()
    seeds = Seeds(store)
    assigned = await seeds.put(told("b"), go=begun)
    taken = Assignment(run_id=assigned.run_id, epoch=1, engine_id="e", instance="i")
    await store.commit([], assignments=[taken])
    parent = await seeds.put(told("a"), go=waiting_for("the child"))
    await seeds.put(told("c"), parent=child_of(parent.run_id, "a"), go=begun)
    transport = MemoryTransport(hub=Hub())
    async with managed(tmp_path, lambda: transport, store=store, engine=False) as world:
        assert trio.current_time() >= 300
        assert world.leading.dispatcher.ticket(assigned.run_id).engine.name == "e"


async def test_a_run_that_was_being_cancelled_needs_no_room_when_its_engine_does_not_come_back(
    tmp_path, autojump_clock
):
    def go(state):
        begun(state)
        decide.cancel(state, now())

    store, hub = MemoryStore(), Hub()
    record = await Seeds(store).put(told("a"), go=go)
    gone = Assignment(run_id=record.run_id, epoch=1, engine_id="away", instance="i")
    await store.commit([], assignments=[gone])
    async with managed(tmp_path, lambda: MemoryTransport(hub=hub), store=store) as world:
        waits = told("a", workflow_id="waits", inputs={"gate": "shut"})
        for _ in range(CAPACITY):
            await world.leading.submit(Submission(workflow=waits, inputs={}))
        with trio.fail_after(100):
            result = await world.leading.result(record.run_id)
        assert result.status is RunStatus.CANCELLED


class Counting(MemoryStore):
    """Counts how often a definition is read."""

    def __init__(self):
        super().__init__()
        self.read = 0

    async def definition(self, hash_):
        self.read += 1
        return await super().definition(hash_)


async def test_of_a_full_queue_each_definition_is_read_once(tmp_path):
    store = Counting()
    seeds = Seeds(store)
    for number in range(12):
        await seeds.put(told("a", workflow_id=f"w{number % 3}"))
    async with begin_anew(tmp_path, store, engine=False) as leading:
        assert leading.dispatcher.statistics().queued == 12
        for run in (await store.runs())[0]:
            assert await leading.cancel(run.run_id)
        assert store.read == 3


async def test_a_queued_run_has_its_placement_key_after_a_restart(tmp_path):
    store = MemoryStore()
    state = await Seeds(store).put(told("a", placement={"key": "of ${run.id}"}))
    async with begin_anew(tmp_path, store, engine=False) as leading:
        assert leading.dispatcher.ticket(state.run_id).key == f"of {state.run_id}"
