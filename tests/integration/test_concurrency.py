"""Runs with one concurrency key: who waits for a slot, who has to go, and who is refused."""

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.workflow import Concurrency, Workflow
from dagrun.errors import InputError, LimitReached, StoreBusy, StoreFull
from dagrun.testing.gated import gated, limited, rig


async def test_runs_of_one_key_wait_for_each_other_and_for_nobody_else(tmp_path):
    async with rig(tmp_path / "data") as r:
        one = await r.submit(limited(), "x")
        two = await r.submit(limited(), "x")
        await r.submit(limited(), "y")
        assert r.gates.began == ["x", "y"]
        assert "a slot of 'limited/x'" in r.explain(two)
        r.gates.open("x")
        await r.ended(one, two)
        assert r.gates.began == ["x", "y", "x"]


async def test_a_limit_of_two_lets_two_run(tmp_path):
    async with rig(tmp_path / "data") as r:
        for _ in range(3):
            await r.submit(limited(limit=2), "x")
        assert r.gates.began == ["x", "x"]


async def test_a_global_key_counts_for_all_workflows(tmp_path):
    key = Concurrency(key="same", scope="global")
    async with rig(tmp_path / "data") as r:
        await r.submit(gated("a", concurrency=key), "a")
        await r.submit(gated("b", concurrency=key), "b")
        await r.submit(gated("c", concurrency=Concurrency(key="same")), "c")
        assert r.gates.began == ["a", "c"]


async def test_a_run_over_its_limit_is_rejected_and_nothing_is_stored(tmp_path):
    async with rig(tmp_path / "data") as r:
        first = await r.submit(limited("reject"), "x")
        with pytest.raises(LimitReached, match="1 run with the concurrency key 'limited/x'"):
            await r.submit(limited("reject"), "x")
        assert [run.run_id for run in (await r.local.store.runs())[0]] == [first.run_id]
        r.gates.open("x")
        await first.wait()
        await r.submit(limited("reject"), "x")


async def test_a_key_that_cannot_be_evaluated_refuses_the_inputs(tmp_path):
    broken = gated(concurrency=Concurrency(key="${inputs.name.x()}"))
    async with rig(tmp_path / "data") as r:
        with pytest.raises(InputError, match=r"spec\.concurrency\.key"):
            await r.submit(broken, "x")
        assert await r.local.store.runs() == ([], None)


async def test_a_paused_run_keeps_its_slot_and_gives_its_place_back(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        two = Workflow(
            "limited", "1.0.0", nodes=gated(nodes=2).nodes, concurrency=limited().concurrency
        )
        paused = await r.submit(two, "x")
        same = await r.submit(two, "x")
        other = await r.submit(gated(), "other")
        assert await r.local.pause(paused.run_id)
        await r.finish("x")
        assert r.gates.began == ["x", "other"]
        assert not same.gone
        r.gates.open("other")
        await other.wait()
        assert await r.local.resume(paused.run_id)
        assert await r.ended(paused, same) == ["succeeded"] * 2


async def test_a_run_that_waits_for_a_slot_elsewhere_can_be_paused_and_lets_others_try(tmp_path):
    store = MemoryStore()
    async with rig(tmp_path / "data", store=store) as r, rig(tmp_path / "2", store=store) as other:
        first = await other.submit(limited(), "x")
        waiting = await r.submit(limited(), "x")
        assert await r.local.pause(waiting.run_id)
        another = await r.submit(limited(), "x")
        assert "a slot of" in r.explain(another)
        assert r.explain(waiting) == "it waits until it is resumed"
        other.gates.open("x")
        await r.ended(first)
        r.gates.open("x")
        await another.wait()  # it looks again from time to time
        assert await r.local.resume(waiting.run_id)
        await r.ended(waiting)
        assert [t.state.status for t in (another, waiting)] == ["succeeded"] * 2


async def test_while_the_database_is_held_a_waiting_run_waits_on(tmp_path, monkeypatch):
    monkeypatch.setattr("dagrun.services.dispatcher.admission.RECHECK", 0.01)
    trouble = [StoreBusy("held"), StoreFull("full"), StoreBusy("held")]

    class Held(MemoryStore):
        async def admit(self, run_id, slot):
            if trouble:
                raise trouble.pop()
            return await super().admit(run_id, slot)

    async with rig(tmp_path / "data", store=Held()) as r:
        run = await r.submit(limited(), "x")
        r.gates.open("x")
        await r.ended(run)
        assert (run.state.status, trouble) == ("succeeded", [])


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
    async with rig(tmp_path / "data", store=store) as r:
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
    async with rig(tmp_path / "data", store=store) as r:
        holder = await r.submit(limited(), "x")
    async with rig(tmp_path / "data", store=store, capacity=1) as r:
        waiting = await r.submit(limited(), "x")
        other = await r.submit(gated(), "other")
        again = await r.local.go_on(holder.run_id)
        assert "it waits for an engine" in r.explain(again)
        r.gates.open("x", "other")
        assert await r.ended(other, again, waiting) == ["succeeded"] * 3
