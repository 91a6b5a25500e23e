"""Requests of runs that cannot be carried out as asked: nothing is lost, and nothing done twice."""

from contextlib import nullcontext
from functools import partial

import attrs
import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.workflow import Handler
from dagrun.errors import ConflictError, StoreBusy, StoreCorrupt
from dagrun.testing.gated import gated, limited, rig


class Held(MemoryStore):
    """Somebody holds the database whenever what ``held`` says is asked of it."""

    held = ""

    async def post(self, *args, **options):
        self.refuse("post")
        return await super().post(*args, **options)

    async def claim(self, *args, **options):
        self.refuse("claim")
        return await super().claim(*args, **options)

    def refuse(self, what):
        if what == self.held:
            raise StoreBusy("held")


async def cancelled_while_held(folder, held, cancels):
    """Cancel a run that waits while the database is held, and give how it ends."""
    store = Held()
    async with rig(folder, store=store, capacity=1) as r:
        resumed = await r.paused("x")
        other = await r.submit(gated(), "other")
        assert await r.local.resume(resumed.run_id)
        store.held = held
        with cancels():
            assert await r.local.dispatcher.cancel(resumed.run_id)
        store.held = ""
        assert (await store.run(resumed.run_id)).status == "queued"
        r.gates.open("other")
        status, end = await r.ended(other, resumed)
        assert status == "succeeded"
        return end


async def test_a_run_that_could_not_be_cancelled_goes_on_in_its_turn(tmp_path):
    refused = partial(pytest.raises, StoreBusy)
    assert await cancelled_while_held(tmp_path / "data", "post", refused) == "succeeded"


async def test_a_run_that_cannot_be_read_when_it_is_cancelled_ends_in_its_turn(tmp_path):
    assert await cancelled_while_held(tmp_path / "data", "claim", nullcontext) == "cancelled"


async def test_those_who_wait_for_a_paused_run_hear_that_somebody_else_has_it(tmp_path):
    async with rig(tmp_path / "data") as r:
        paused = await r.paused("x")
        await r.local.store.claim(paused.run_id, owner="other", expected_epoch=1)
        with pytest.raises(ConflictError, match="taken over"):
            await r.local.dispatcher.cancel(paused.run_id)
        with pytest.raises(ConflictError, match="taken over"):
            await r.local.result(paused)


async def test_those_who_wait_hear_that_somebody_was_faster_to_write(tmp_path):
    class Overtaken(MemoryStore):
        armed = False

        async def events(self, run_id, **options):
            found = await super().events(run_id, **options)
            if self.armed:
                self.armed = False
                await self.claim(run_id, owner="other", expected_epoch=1)
            return found

    store = Overtaken()
    async with rig(tmp_path / "data", store=store) as r:
        paused = await r.paused("x")
        store.armed = True
        with pytest.raises(ConflictError, match="taken over"):
            await r.local.dispatcher.resume(paused.run_id)
        with pytest.raises(ConflictError, match="taken over"):
            await r.local.result(paused)


async def test_a_run_whose_handlers_are_to_go_on_is_not_cancelled_and_goes_on_once(tmp_path):
    handler = Handler(executor={"type": "gate"}, inputs={"name": "handler"})
    ending = gated(handlers={"exit": handler})
    store = MemoryStore()
    async with rig(tmp_path / "data", store=store) as r:
        run = await r.submit(ending, "x")
        await r.finish("x")
        assert r.gates.began == ["x", "handler"]
    async with rig(tmp_path / "data", store=store, capacity=2) as r:
        others = [await r.submit(gated(), name) for name in ("a", "b")]
        again = await r.local.go_on(run.run_id)
        assert r.queued() == 1
        assert not await r.local.cancel(run.run_id)
        assert r.queued() == 1
        await r.finish("a", "b")
        assert await r.ended(*others) == ["succeeded"] * 2
        assert r.gates.began == ["a", "b", "handler"]
        r.gates.open("handler")
        assert await r.ended(again) == ["succeeded"]


async def test_a_run_whose_slot_cannot_be_given_is_left_and_says_why(tmp_path):
    class Damaged(MemoryStore):
        async def admit(self, run_id, slot):
            raise StoreCorrupt("the table of runs is damaged")

    async with rig(tmp_path / "data", store=Damaged()) as r:
        run = await r.submit(limited(), "x")
        with pytest.raises(ConflictError, match="the table of runs is damaged"):
            await r.local.result(run)


async def test_the_slot_of_a_run_that_somebody_else_has_is_asked_for_by_the_next_one(tmp_path):
    async with rig(tmp_path / "data") as r:
        two = gated(nodes=2, concurrency=limited().concurrency)
        paused = await r.submit(two, "x")
        await r.local.pause(paused.run_id)
        await r.finish("x")
        following = await r.submit(two, "x")
        await r.local.store.claim(paused.run_id, owner="other", expected_epoch=1)
        record = r.local.store._runs[paused.run_id]
        r.local.store._runs[paused.run_id] = attrs.evolve(record, admitted=False)
        with pytest.raises(ConflictError, match="taken over"):
            await r.local.dispatcher.resume(paused.run_id)
        assert await r.ended(following) == ["succeeded"]


async def test_a_run_that_is_just_being_changed_is_not_said_to_wait(tmp_path):
    async with rig(tmp_path / "data", store=MemoryStore(seconds=0.05), capacity=1) as r:
        await r.submit(gated(), "first")
        queued = await r.submit(gated(), "queued")
        assert "it waits for an engine" in r.explain(queued)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(r.local.dispatcher.cancel, queued.run_id)
            await trio.testing.wait_all_tasks_blocked()
            assert r.explain(queued) is None
