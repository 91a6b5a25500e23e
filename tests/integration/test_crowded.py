"""Many runs with concurrency keys before few places: nobody goes first by asking, or asks in vain."""

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.workflow import Concurrency
from dagrun.services.dispatcher.admission import RECHECK
from dagrun.testing.gated import gated, limited, rig

HOURS = 10_000.0  # seconds of the virtual clock


class Counting(MemoryStore):
    """Counts who asks for slots."""

    def __init__(self):
        super().__init__()
        self.asked = []

    async def admit(self, run_id, slot):
        self.asked.append(run_id)
        return await super().admit(run_id, slot)


def own_key(name, **fields):
    return gated("keyed", concurrency=Concurrency(key=name), **fields)


async def test_no_more_runs_ask_for_slots_than_there_are_places(tmp_path):
    store = Counting()
    async with rig(tmp_path / "data", store=store, capacity=2) as r:
        runs = [await r.submit(own_key(f"k{number}"), f"k{number}") for number in range(20)]
        assert len(store.asked) == 2
        await r.finish("k0")
        assert len(store.asked) == 3
        assert r.queued() == 17
        r.gates.open(*(f"k{number}" for number in range(20)))
        assert await r.ended(*runs) == ["succeeded"] * 20


async def test_a_run_with_a_key_goes_after_one_of_higher_priority_that_came_later(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        await r.submit(gated(), "first")
        await r.submit(own_key("a"), "a")
        await r.submit(own_key("b"), "b")
        await r.submit(gated(priority=1), "high")
        for name in ("first", "high", "a", "b"):
            await r.finish(name)
        assert r.gates.began == ["first", "high", "a", "b"]


async def test_a_run_that_may_cancel_others_waits_for_an_engine_like_all_others(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        await r.submit(gated(), "first")
        await r.submit(gated(priority=1), "high")
        low = await r.submit(limited("cancel_oldest"), "low")
        assert "it waits for an engine" in r.explain(low)
        for name in ("first", "high", "low"):
            await r.finish(name)
        assert r.gates.began == ["first", "high", "low"]


async def test_runs_that_wait_for_slots_elsewhere_leave_the_places_to_others(tmp_path):
    store = MemoryStore()
    async with (
        rig(tmp_path / "data", store=store) as other,
        rig(tmp_path / "data", store=store, capacity=1) as r,
    ):
        await other.submit(own_key("k"), "k")
        blocked = await r.submit(own_key("k"), "k")
        assert "a slot of 'keyed/k'" in r.explain(blocked)
        await r.submit(gated(), "free")
        assert r.gates.began == ["free"]


async def test_a_run_that_is_turned_down_leaves_its_place_to_one_that_came_later(tmp_path):
    class Slow(MemoryStore):
        answer = trio.Event()

        async def admit(self, run_id, slot):
            await self.answer.wait()
            return False

    async with rig(tmp_path / "data", store=Slow(), capacity=1) as r:
        await r.submit(own_key("k"), "k")
        await r.submit(gated(), "free")
        assert r.gates.began == []
        r.local.store.answer.set()
        await trio.testing.wait_all_tasks_blocked()
        assert r.gates.began == ["free"]


async def test_a_run_that_is_withdrawn_lets_the_next_one_of_its_key_ask(tmp_path):
    store = MemoryStore()
    async with (
        rig(tmp_path / "data", store=store) as other,
        rig(tmp_path / "data", store=store) as r,
    ):
        first = await other.submit(limited(), "x")
        waiting = await r.submit(limited(), "x")
        following = await r.submit(limited(), "x")
        await r.local.pause(waiting.run_id)
        other.gates.open("x")
        r.gates.open("x")
        assert await r.ended(first, following) == ["succeeded"] * 2


@pytest.mark.parametrize("on_limit", ["queue", "cancel_oldest"])
async def test_a_run_that_holds_its_slot_can_be_withdrawn_while_it_waits_for_an_engine(
    tmp_path, on_limit
):
    async with rig(tmp_path / "data", capacity=1) as r:
        await r.submit(gated(), "first")
        waiting = await r.submit(limited(on_limit), "x")
        assert await r.local.pause(waiting.run_id)
        assert r.explain(waiting) == "it waits until it is resumed"
        assert await r.local.resume(waiting.run_id)
        assert await r.local.cancel(waiting.run_id)
        assert await r.ended(waiting) == ["cancelled"]
        await r.finish("first", "x")
        assert r.gates.began == ["first"]


async def test_a_slot_that_comes_free_while_others_are_asked_to_go_is_not_missed(
    tmp_path, autojump_clock
):
    class Slow(MemoryStore):
        asked, answer = trio.Event(), trio.Event()

        async def rivals(self, *args):
            self.asked.set()
            await self.answer.wait()
            return await super().rivals(*args)

    store = Slow()
    async with rig(tmp_path / "data", store=store, limit=HOURS) as r:
        first = await r.submit(limited("cancel_oldest"), "x")
        second = await r.submit(limited("cancel_oldest"), "x")
        await store.asked.wait()
        start = trio.current_time()
        r.gates.open("x")
        assert await r.ended(first) == ["succeeded"]
        store.answer.set()
        assert await r.ended(second) == ["succeeded"]
        assert trio.current_time() - start < RECHECK
