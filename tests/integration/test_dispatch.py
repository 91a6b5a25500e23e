"""Which run goes first, where it goes, what it waits for, and what can be asked of it there."""

from collections import defaultdict
from contextlib import asynccontextmanager

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain.workflow import Concurrency, Node, Placement, Workflow
from dagrun.errors import ConfigError, ConflictError, InputError, LimitReached, StoreBusy, StoreFull
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import Submission, open_local
from dagrun.settings import Settings


class Gates:
    """An executor whose nodes wait until the test lets them go."""

    def __init__(self):
        self.began = []
        self.gates = defaultdict(trio.Event)

    async def execute(self, context):
        self.began.append(context.inputs.get("name", context.run_id))
        await self.gates[context.inputs.get("name")].wait()
        return {}

    def open(self, *names):
        for name in names:
            self.gates[name].set()


class Rig:
    def __init__(self, local, gates):
        self.local, self.gates = local, gates

    async def submit(self, workflow, name=None, **options):
        submission = Submission(workflow=workflow, inputs={"name": name}, **options)
        ticket = await self.local.submit(submission)
        await trio.testing.wait_all_tasks_blocked()
        return ticket

    async def finish(self, *names):
        self.gates.open(*names)
        await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked(0.01)

    async def ended(self, *tickets):
        with trio.fail_after(100):
            for ticket in tickets:
                await ticket.wait()

    def queued(self):
        return self.local.dispatcher.statistics().queued


@asynccontextmanager
async def rig(tmp_path, **options):
    registry, gates = load_plugins().registry, Gates()
    registry.executors.add("gate", lambda: gates)
    settings = Settings(data_dir=tmp_path / "data", parallel=4)
    store = options.pop("store", None) or MemoryStore()
    async with open_local(registry, settings, store=store, **options) as local:
        yield Rig(local, gates)


def workflow(workflow_id="w", nodes=1, **fields):
    names = [f"n{number}" for number in range(nodes)]
    return Workflow(
        workflow_id,
        "1.0.0",
        nodes=[
            Node(name, executor={"type": "gate"}, dependencies=names[max(number - 1, 0) : number])
            for number, name in enumerate(names)
        ],
        **fields,
    )


async def test_an_engine_has_no_more_runs_than_its_capacity(tmp_path):
    async with rig(tmp_path, capacity=2) as r:
        tickets = [await r.submit(workflow(), name) for name in "abc"]
        assert r.gates.began == ["a", "b"]
        assert r.queued() == 1
        await r.finish("a")
        assert r.gates.began == ["a", "b", "c"]
        await r.finish("b", "c")
        assert [ticket.state.status for ticket in tickets] == ["succeeded"] * 3


async def test_the_run_with_the_highest_priority_goes_first(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        await r.submit(workflow(), "first")
        await r.submit(workflow(), "low", priority=-1)
        await r.submit(workflow(priority=7), "high")
        await r.submit(workflow(), "middle")
        for name in ("first", "high", "middle", "low"):
            await r.finish(name)
        assert r.gates.began == ["first", "high", "middle", "low"]


async def test_the_workflow_with_the_fewest_running_runs_goes_first(tmp_path):
    async with rig(tmp_path, capacity=2) as r:
        for name in ("a1", "a2", "a3"):
            await r.submit(workflow("a"), name)
        await r.submit(workflow("b"), "b1")
        await r.finish("a1")
        assert r.gates.began == ["a1", "a2", "b1"]


async def test_runs_spread_over_the_engines_in_turn(tmp_path):
    async with rig(tmp_path, engines=3, capacity=2) as r:
        turn = Placement(balancer="round-robin")
        for name in "abcdef":
            await r.submit(workflow(placement=turn), name)
        assert [engine.statistics().runs for engine in r.local.engines] == [2, 2, 2]
        await r.submit(workflow(placement=turn), "g")
        assert r.queued() == 1


async def test_runs_of_one_placement_key_share_an_engine(tmp_path):
    async with rig(tmp_path, engines=4, capacity=100) as r:
        same = Placement(key="${inputs.name}")
        for _ in range(3):
            await r.submit(workflow(placement=same), "x")
            await r.finish("x")
        engines = {
            event.data["engine"]
            for run in (await r.local.store.runs())[0]
            for event in await r.local.store.events(run.run_id)
            if event.type == "run.running"
        }
        assert len(engines) == 1


# waiting for too long


async def test_a_run_that_waits_for_longer_than_its_start_timeout_fails(tmp_path, autojump_clock):
    async with rig(tmp_path, capacity=1) as r:
        first = await r.submit(workflow(), "first")
        late = await r.submit(workflow(start_timeout=60), "late")
        patient = await r.submit(workflow(start_timeout=3600), "patient")
        start = trio.current_time()
        await late.wait()
        assert trio.current_time() - start == pytest.approx(60)
        assert late.state.error == {
            "type": "start_timeout",
            "message": "the run waited longer than 1m00s for its start",
        }
        assert (late.state.status, late.state.started_at) == ("failed", None)
        r.gates.open("first", "patient")
        await first.wait()
        await patient.wait()
        assert patient.state.status == "succeeded"
        assert "late" not in r.gates.began


async def test_a_start_timeout_ends_with_the_start(tmp_path, autojump_clock):
    async with rig(tmp_path, capacity=1) as r:
        ticket = await r.submit(workflow(start_timeout=60), "a")
        await trio.sleep(100)
        assert not ticket.gone
        r.gates.open("a")
        await ticket.wait()
        assert ticket.state.status == "succeeded"


# concurrency keys


def limited(on_limit="queue", limit=1, **fields):
    key = Concurrency(key="${inputs.name}", limit=limit, on_limit=on_limit, **fields)
    return workflow("limited", concurrency=key)


async def test_runs_of_one_key_wait_for_each_other_and_for_nobody_else(tmp_path):
    async with rig(tmp_path) as r:
        one = await r.submit(limited(), "x")
        two = await r.submit(limited(), "x")
        await r.submit(limited(), "y")
        assert r.gates.began == ["x", "y"]
        assert "a slot of 'limited/x'" in r.local.dispatcher.explain(two.run_id)
        r.gates.open("x")
        await one.wait()
        await two.wait()
        assert r.gates.began == ["x", "y", "x"]


async def test_a_limit_of_two_lets_two_run(tmp_path):
    async with rig(tmp_path) as r:
        for _ in range(3):
            await r.submit(limited(limit=2), "x")
        assert r.gates.began == ["x", "x"]


async def test_a_global_key_counts_for_all_workflows(tmp_path):
    key = Concurrency(key="same", scope="global")
    async with rig(tmp_path) as r:
        await r.submit(workflow("a", concurrency=key), "a")
        await r.submit(workflow("b", concurrency=key), "b")
        await r.submit(workflow("c", concurrency=Concurrency(key="same")), "c")
        assert r.gates.began == ["a", "c"]


async def test_a_run_over_its_limit_is_rejected_and_nothing_is_stored(tmp_path):
    async with rig(tmp_path) as r:
        first = await r.submit(limited("reject"), "x")
        with pytest.raises(LimitReached, match="1 run with the concurrency key 'limited/x'"):
            await r.submit(limited("reject"), "x")
        assert [run.run_id for run in (await r.local.store.runs())[0]] == [first.run_id]
        r.gates.open("x")
        await first.wait()
        await r.submit(limited("reject"), "x")


async def test_the_oldest_run_is_cancelled_for_a_new_one(tmp_path):
    async with rig(tmp_path) as r:
        first = await r.submit(limited("cancel_oldest"), "x")
        second = await r.submit(limited("cancel_oldest"), "x")
        await first.wait()
        assert first.state.status == "cancelled"
        (asked,) = [
            event.data["reason"]
            for event in await r.local.store.events(first.run_id)
            if event.type == "run.cancelling"
        ]
        assert asked == f"for run {second.run_id}"
        r.gates.open("x")
        await second.wait()
        assert r.gates.began == ["x", "x"]
        assert second.state.status == "succeeded"


async def test_a_key_that_cannot_be_evaluated_refuses_the_inputs(tmp_path):
    broken = workflow(concurrency=Concurrency(key="${inputs.name.x.y}"))
    async with rig(tmp_path) as r:
        with pytest.raises(InputError, match=r"spec\.concurrency\.key"):
            await r.submit(broken, "x")
        assert await r.local.store.runs() == ([], None)


async def test_a_paused_run_keeps_its_slot_and_gives_its_place_back(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        two = Workflow(
            "limited", "1.0.0", nodes=workflow(nodes=2).nodes, concurrency=limited().concurrency
        )
        paused = await r.submit(two, "x")
        same = await r.submit(two, "x")
        other = await r.submit(workflow(), "other")
        assert await r.local.pause(paused.run_id)
        await r.finish("x")
        assert r.gates.began == ["x", "other"]
        assert not same.gone
        r.gates.open("other")
        await other.wait()
        assert await r.local.resume(paused.run_id)
        await paused.wait()
        await same.wait()
        assert [paused.state.status, same.state.status] == ["succeeded"] * 2


# what is asked of runs that wait


async def test_a_queued_run_is_cancelled_before_anything_of_it_happens(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        await r.submit(workflow(), "first")
        queued = await r.submit(workflow(), "queued")
        assert await r.local.cancel(queued.run_id)
        assert (queued.gone, queued.state.status) == (True, "cancelled")
        assert not await r.local.cancel(queued.run_id)
        await r.finish("first", "queued")
        assert r.gates.began == ["first"]
        types = [event.type for event in await r.local.store.events(queued.run_id)]
        assert types == ["run.queued", "run.cancelling", "run.cancelled"]


async def test_a_run_that_waits_for_its_slot_can_be_cancelled(tmp_path):
    async with rig(tmp_path) as r:
        first = await r.submit(limited(), "x")
        second = await r.submit(limited(), "x")
        third = await r.submit(limited(), "x")
        assert await r.local.cancel(second.run_id)
        r.gates.open("x")
        await r.ended(first)
        await r.ended(third)
        assert (second.state.status, third.state.status) == ("cancelled", "succeeded")


async def test_a_queued_run_can_be_paused_and_resumed(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        await r.submit(workflow(), "first")
        queued = await r.submit(workflow(start_timeout=0.2), "queued")
        assert await r.local.pause(queued.run_id)
        assert not await r.local.pause(queued.run_id)
        await r.finish("first")
        await trio.sleep(0.3)
        assert r.gates.began == ["first"]
        assert await r.local.resume(queued.run_id)
        assert not await r.local.resume(queued.run_id)
        r.gates.open("queued")
        await r.ended(queued)
        assert queued.state.status == "succeeded"


async def test_resumed_runs_go_before_fresh_ones_of_their_priority(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        paused = await r.submit(workflow(nodes=2), "paused")
        await r.local.pause(paused.run_id)
        await r.finish("paused")
        await r.submit(workflow(), "going")
        fresh = await r.submit(workflow(), "fresh")
        await r.local.resume(paused.run_id)
        r.gates.open("fresh", "going")
        await r.ended(paused)
        await r.ended(fresh)
        assert r.gates.began == ["paused", "going", "paused", "fresh"]


async def test_a_paused_run_that_no_engine_has_can_be_cancelled(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        paused = await r.submit(workflow(nodes=2), "paused")
        await r.local.pause(paused.run_id)
        await r.finish("paused")
        await r.submit(workflow(), "other")
        assert await r.local.cancel(paused.run_id)
        await r.ended(paused)
        assert paused.state.status == "cancelled"
        assert [node.status for node in paused.state.nodes] == ["succeeded", "cancelled"]
        assert r.gates.began == ["paused", "other"]


async def test_a_resumed_run_that_waits_for_a_place_can_be_cancelled(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        paused = await r.submit(workflow(nodes=2), "paused")
        await r.local.pause(paused.run_id)
        await r.finish("paused")
        await r.submit(workflow(), "other")
        assert await r.local.resume(paused.run_id)
        assert r.queued() == 1
        assert await r.local.cancel(paused.run_id)
        await r.ended(paused)
        assert paused.state.status == "cancelled"
        assert r.gates.began == ["paused", "other"]


async def test_a_waiting_run_that_was_taken_over_is_dropped(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        paused = await r.submit(workflow(nodes=2), "paused")
        await r.local.pause(paused.run_id)
        await r.finish("paused")
        await r.local.store.claim(paused.run_id, owner="other", expected_epoch=1)
        with pytest.raises(ConflictError, match="taken over"):
            await r.local.resume(paused.run_id)


async def test_a_run_that_waits_for_a_slot_elsewhere_can_be_paused_and_lets_others_try(tmp_path):
    store = MemoryStore()
    async with rig(tmp_path, store=store) as r, rig(tmp_path / "2", store=store) as other:
        first = await other.submit(limited(), "x")
        waiting = await r.submit(limited(), "x")
        assert await r.local.pause(waiting.run_id)
        another = await r.submit(limited(), "x")
        assert "a slot of" in r.local.dispatcher.explain(another.run_id)
        assert r.local.dispatcher.explain(waiting.run_id) == "it waits until it is resumed"
        other.gates.open("x")
        await r.ended(first)
        r.gates.open("x")
        await another.wait()  # it looks again from time to time
        assert await r.local.resume(waiting.run_id)
        await r.ended(waiting)
        assert [t.state.status for t in (another, waiting)] == ["succeeded"] * 2


async def test_while_the_database_is_held_a_waiting_run_waits_on(tmp_path, monkeypatch):
    monkeypatch.setattr("dagrun.services.dispatcher.dispatcher.RECHECK", 0.01)
    trouble = [StoreBusy("held"), StoreFull("full"), StoreBusy("held")]

    class Held(MemoryStore):
        async def admit(self, run_id, slot):
            if trouble:
                raise trouble.pop()
            return await super().admit(run_id, slot)

    async with rig(tmp_path, store=Held()) as r:
        run = await r.submit(limited(), "x")
        r.gates.open("x")
        await r.ended(run)
        assert (run.state.status, trouble) == ("succeeded", [])


async def test_a_request_that_the_store_refuses_leaves_the_run_in_the_queue(tmp_path):
    class Held(MemoryStore):
        held = False

        async def run(self, run_id):
            if self.held:
                raise StoreBusy("held")
            return await super().run(run_id)

    store = Held()
    async with rig(tmp_path, store=store, capacity=1) as r:
        first = await r.submit(workflow(), "first")
        queued = await r.submit(workflow(), "queued")
        store.held = True
        with pytest.raises(StoreBusy):
            await r.local.dispatcher.pause(queued.run_id)
        store.held = False
        r.gates.open("first", "queued")
        await r.ended(first)
        await r.ended(queued)
        assert queued.state.status == "succeeded"


async def test_a_run_that_is_damaged_is_left_and_the_others_go_on(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        broken = await r.submit(workflow(nodes=2), "broken")
        await r.local.pause(broken.run_id)
        await r.finish("broken")
        other = await r.submit(workflow(), "other")
        await r.local.resume(broken.run_id)
        del r.local.store._events[broken.run_id][1]
        r.gates.open("other")
        await r.ended(other)
        await r.ended(broken)
        assert "is damaged" in broken.abandoned
        with pytest.raises(ConflictError, match="is damaged"):
            await r.local.result(broken)


async def test_a_request_whose_caller_goes_away_is_carried_out_once_it_is_journaled(tmp_path):
    async with rig(tmp_path, capacity=1, store=MemoryStore(seconds=0.05)) as r:
        await r.submit(workflow(), "first")
        queued = await r.submit(workflow(), "queued")
        with trio.move_on_after(0.02) as scope:
            await r.local.dispatcher.cancel(queued.run_id)
        assert scope.cancelled_caught
        await r.ended(queued)
        assert queued.state.status == "cancelled"
        assert r.queued() == 0


async def test_racing_requests_leave_one_end(tmp_path):
    async with rig(tmp_path, capacity=1) as r:
        run = await r.submit(workflow(nodes=2), "a")
        answers = []

        async def ask(what):
            answers.append((what, await getattr(r.local, what)(run.run_id)))

        async with trio.open_nursery() as nursery:
            for what in ("pause", "cancel", "resume", "cancel", "pause", "resume"):
                nursery.start_soon(ask, what)
        r.gates.open("a")
        await r.ended(run)
        assert run.state.status == "cancelled"
        assert answers.count(("cancel", True)) == 1
        types = [event.type for event in await r.local.store.events(run.run_id)]
        assert types.count("run.cancelled") == 1


async def test_a_run_stored_while_it_is_cancelled_does_not_begin(tmp_path):
    class Late(MemoryStore):
        committed = trio.Event()
        answers = trio.Event()

        async def commit(self, *args, new_runs=(), **options):
            answer = await super().commit(*args, new_runs=new_runs, **options)
            if new_runs:
                self.committed.set()
                await self.answers.wait()
            return answer

    store = Late()
    async with rig(tmp_path, store=store) as r, trio.open_nursery() as nursery:
        nursery.start_soon(r.submit, workflow(), "a")
        await store.committed.wait()
        (run,) = (await store.runs())[0]
        nursery.start_soon(r.local.cancel, run.run_id)
        await trio.testing.wait_all_tasks_blocked()
        store.answers.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await store.run(run.run_id)).status == "cancelled"


class SlowToAdmit(MemoryStore):
    """Answers who waits for a slot late, from the second on."""

    def __init__(self):
        super().__init__()
        self.asked, self.answer = trio.Event(), trio.Event()
        self.given = 0

    async def admit(self, run_id, slot):
        answer = await super().admit(run_id, slot)
        self.given += answer
        if self.given > 1:
            self.asked.set()
            await self.answer.wait()
        return answer


@pytest.mark.parametrize("what", ["cancel", "pause"])
async def test_a_run_withdrawn_while_the_store_gives_it_its_slot_does_not_begin(tmp_path, what):
    store = SlowToAdmit()
    async with rig(tmp_path, store=store) as r:
        await r.submit(limited(), "x")
        second = await r.submit(limited(), "x")
        r.gates.open("x")
        await store.asked.wait()
        assert await getattr(r.local, what)(second.run_id)
        store.answer.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert r.gates.began == ["x"]
        assert (await store.run(second.run_id)).status == {"cancel": "cancelled"}.get(
            what, "paused"
        )


async def test_a_run_that_holds_its_slot_does_not_wait_for_one_that_wants_it(tmp_path):
    store = MemoryStore()
    async with rig(tmp_path, store=store) as r:
        holder = await r.submit(limited(), "x")
    async with rig(tmp_path, store=store) as r:
        waiting = await r.submit(limited(), "x")
        again = await r.local.go_on(holder.run_id)
        r.gates.open("x")
        await r.ended(again, waiting)
        assert (again.state.status, waiting.state.status) == ("succeeded", "succeeded")


async def test_a_full_engine_does_not_keep_the_oldest_run_from_being_cancelled(tmp_path):
    newest = Concurrency(key="k", limit=1, on_limit="cancel_oldest")
    async with rig(tmp_path, capacity=1) as r:
        oldest = await r.submit(workflow(concurrency=newest), "a")
        new = await r.submit(workflow(concurrency=newest), "b")
        await r.ended(oldest)
        r.gates.open("b")
        await r.ended(new)
        assert (oldest.state.status, new.state.status) == ("cancelled", "succeeded")


async def test_a_damaged_run_whose_start_timeout_passes_harms_nobody(tmp_path, autojump_clock):
    async with rig(tmp_path, capacity=1) as r:
        first = await r.submit(workflow(), "first")
        damaged = await r.submit(workflow(start_timeout=5), "damaged")
        r.local.store._events[damaged.run_id].clear()
        await r.ended(damaged)
        assert "is damaged" in damaged.abandoned
        r.gates.open("first")
        await r.ended(first)
        assert first.state.status == "succeeded"


async def test_a_balancer_that_fails_costs_its_run_and_no_other(tmp_path, monkeypatch):
    def choose(self, key, candidates):
        raise RuntimeError("no engine is good enough")

    monkeypatch.setattr("dagrun.builtin.balancers.RoundRobin.choose", choose)
    async with rig(tmp_path, engines=2) as r:
        picky = await r.submit(workflow(placement=Placement(balancer="round-robin")), "picky")
        other = await r.submit(workflow(), "other")
        await r.finish("other")
        assert other.state.status == "succeeded"
        with pytest.raises(ConflictError, match="balancer failed: no engine is good enough"):
            await r.local.result(picky)
        assert (await r.local.store.run(picky.run_id)).status == "queued"  # and may be gone on with


async def test_those_who_wait_for_a_run_hear_that_the_program_closes(tmp_path):
    errors = []

    async def wait(local, ticket):
        with pytest.raises(ConflictError, match="closed") as caught:
            await local.result(ticket)
        errors.append(caught)

    async with trio.open_nursery() as nursery, rig(tmp_path) as r:
        nursery.start_soon(wait, r.local, await r.submit(workflow(), "a"))
        await trio.testing.wait_all_tasks_blocked()
    assert len(errors) == 1
    with pytest.raises(ConflictError, match="closed"):
        await r.local.submit(Submission(workflow=workflow(), inputs={"name": "late"}))


# idempotency keys


async def test_submissions_with_one_key_are_one_run(tmp_path):
    async with rig(tmp_path) as r:
        found = set()

        async def submit():
            found.add((await r.submit(workflow(), "a", idempotency_key="k")).run_id)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(submit)
        assert len(found) == 1
        assert len((await r.local.store.runs())[0]) == 1
        with pytest.raises(ConflictError, match="'k' was used for another submission"):
            await r.submit(workflow(), "b", idempotency_key="k")


async def test_a_run_of_an_earlier_life_is_found_by_its_key_and_goes_on(tmp_path):
    async with rig(tmp_path, store=MemoryStore()) as r:
        store = r.local.store
        first = await r.submit(workflow(nodes=2), "a", idempotency_key="k")
    async with rig(tmp_path, store=store) as r:
        r.gates.open("a")
        again = await r.submit(workflow(nodes=2), "a", idempotency_key="k")
        assert again.run_id == first.run_id
        assert (await r.local.result(again)).status == "succeeded"
        ended = await r.submit(workflow(nodes=2), "a", idempotency_key="k")
        assert (await r.local.result(ended)).run_id == first.run_id


async def test_a_run_goes_on_here_when_the_process_that_had_it_ends(tmp_path):
    store = MemoryStore()
    async with rig(tmp_path, store=store) as r:
        async with rig(tmp_path, store=store) as other:
            first = await other.submit(workflow(), "a", idempotency_key="k")
            again = await r.submit(workflow(), "a", idempotency_key="k")
        r.gates.open("a")
        assert again.run_id == first.run_id
        with trio.fail_after(20):
            assert (await r.local.result(again)).status == "succeeded"


async def test_many_submissions_with_one_key_after_a_crash_are_one_run(tmp_path):
    store = MemoryStore()
    async with rig(tmp_path, store=store) as r:
        first = await r.submit(workflow(), "a", idempotency_key="k")
    async with rig(tmp_path, store=store) as r:
        r.gates.open("a")
        results = []

        async def submit():
            ticket = await r.submit(workflow(), "a", idempotency_key="k")
            results.append(await r.local.result(ticket))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(submit)
        assert {(res.run_id, res.status) for res in results} == {(first.run_id, "succeeded")}
        assert r.gates.began == ["a"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"idempotency_key": "\ud800"}, "at most 512 characters"),
        ({"idempotency_key": "x" * 513}, "at most 512 characters"),
        ({"idempotency_key": 7}, "at most 512 characters"),
        ({"priority": 1.5}, "a whole number from -1000000 to 1000000"),
        ({"priority": True}, "a whole number"),
        ({"priority": 10**30}, "a whole number"),
        ({"priority": -1_000_001}, "a whole number"),
    ],
)
async def test_what_cannot_be_stored_is_refused_and_other_runs_go_on(tmp_path, options, message):
    store = SqliteStore(path=tmp_path / "data" / "dagrun.db")
    async with rig(tmp_path, store=store) as r:
        other = await r.submit(workflow(), "other", idempotency_key="x" * 512, priority=1_000_000)
        with pytest.raises(InputError, match=message):
            await r.submit(workflow(), "a", **options)
        r.gates.open("other")
        assert (await r.local.result(other)).status == "succeeded"
        assert len((await store.runs())[0]) == 1


async def test_a_folder_whose_name_is_no_text_is_refused_and_other_runs_go_on(tmp_path):
    store = SqliteStore(path=tmp_path / "data" / "dagrun.db")
    async with rig(tmp_path, store=store) as r:
        other = await r.submit(workflow(), "other", base=tmp_path / "ä")
        with pytest.raises(ConfigError, match=r"folder '.*udcff' is not UTF-8"):
            await r.submit(workflow(), "a", base=tmp_path / "\udcff")
        r.gates.open("other")
        assert (await r.local.result(other)).status == "succeeded"
