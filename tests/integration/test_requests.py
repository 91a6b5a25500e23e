"""What can be asked of runs, wherever they are."""

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.errors import ConflictError, StoreBusy
from dagrun.testing.gated import gated, limited, rig


async def test_a_queued_run_is_cancelled_before_anything_of_it_happens(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        await r.submit(gated(), "first")
        queued = await r.submit(gated(), "queued")
        assert await r.local.cancel(queued.run_id)
        assert (queued.gone, queued.state.status) == (True, "cancelled")
        assert not await r.local.cancel(queued.run_id)
        await r.finish("first", "queued")
        assert r.gates.began == ["first"]
        types = [event.type for event in await r.local.store.events(queued.run_id)]
        assert types == ["run.queued", "run.cancelling", "run.cancelled"]


async def test_a_run_that_waits_for_its_slot_can_be_cancelled(tmp_path):
    async with rig(tmp_path / "data") as r:
        first = await r.submit(limited(), "x")
        second = await r.submit(limited(), "x")
        third = await r.submit(limited(), "x")
        assert await r.local.cancel(second.run_id)
        r.gates.open("x")
        await r.ended(first, third)
        assert (second.state.status, third.state.status) == ("cancelled", "succeeded")


async def test_a_queued_run_can_be_paused_and_resumed(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        await r.submit(gated(), "first")
        queued = await r.submit(gated(start_timeout=0.2), "queued")
        assert await r.local.pause(queued.run_id)
        assert not await r.local.pause(queued.run_id)
        await r.finish("first")
        await trio.sleep(0.3)
        assert r.gates.began == ["first"]
        assert await r.local.resume(queued.run_id)
        assert not await r.local.resume(queued.run_id)
        r.gates.open("queued")
        assert await r.ended(queued) == ["succeeded"]


async def test_resumed_runs_go_before_fresh_ones_of_their_priority(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        paused = await r.paused("paused")
        await r.submit(gated(), "going")
        fresh = await r.submit(gated(), "fresh")
        await r.local.resume(paused.run_id)
        r.gates.open("fresh", "going")
        await r.ended(paused, fresh)
        assert r.gates.began == ["paused", "going", "paused", "fresh"]


async def test_a_paused_run_that_no_engine_has_can_be_cancelled(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        paused = await r.paused("paused")
        await r.submit(gated(), "other")
        assert await r.local.cancel(paused.run_id)
        assert await r.ended(paused) == ["cancelled"]
        assert [node.status for node in paused.state.nodes] == ["succeeded", "cancelled"]
        assert r.gates.began == ["paused", "other"]


async def test_a_resumed_run_that_waits_for_a_place_can_be_cancelled(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        paused = await r.paused("paused")
        await r.submit(gated(), "other")
        assert await r.local.resume(paused.run_id)
        assert r.queued() == 1
        assert await r.local.cancel(paused.run_id)
        assert await r.ended(paused) == ["cancelled"]
        assert r.gates.began == ["paused", "other"]


async def test_a_waiting_run_that_was_taken_over_is_dropped(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        paused = await r.paused("paused")
        await r.local.store.claim(paused.run_id, owner="other", expected_epoch=1)
        with pytest.raises(ConflictError, match="taken over"):
            await r.local.resume(paused.run_id)


async def test_a_request_that_the_store_refuses_leaves_the_run_in_the_queue(tmp_path):
    class Held(MemoryStore):
        held = False

        async def run(self, run_id):
            if self.held:
                raise StoreBusy("held")
            return await super().run(run_id)

    store = Held()
    async with rig(tmp_path / "data", store=store, capacity=1) as r:
        first = await r.submit(gated(), "first")
        queued = await r.submit(gated(), "queued")
        store.held = True
        with pytest.raises(StoreBusy):
            await r.local.dispatcher.pause(queued.run_id)
        store.held = False
        r.gates.open("first", "queued")
        assert await r.ended(first, queued) == ["succeeded"] * 2


async def test_a_request_whose_caller_goes_away_is_carried_out_once_it_is_journaled(tmp_path):
    async with rig(tmp_path / "data", capacity=1, store=MemoryStore(seconds=0.05)) as r:
        await r.submit(gated(), "first")
        queued = await r.submit(gated(), "queued")
        with trio.move_on_after(0.02) as scope:
            await r.local.dispatcher.cancel(queued.run_id)
        assert scope.cancelled_caught
        assert await r.ended(queued) == ["cancelled"]
        assert r.queued() == 0


async def test_racing_requests_leave_one_end(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        run = await r.submit(gated(nodes=2), "a")
        answers = []

        async def ask(what):
            answers.append((what, await getattr(r.local, what)(run.run_id)))

        async with trio.open_nursery() as nursery:
            for what in ("pause", "cancel", "resume", "cancel", "pause", "resume"):
                nursery.start_soon(ask, what)
        r.gates.open("a")
        assert await r.ended(run) == ["cancelled"]
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
    async with rig(tmp_path / "data", store=store) as r, trio.open_nursery() as nursery:
        nursery.start_soon(r.submit, gated(), "a")
        await store.committed.wait()
        (run,) = (await store.runs())[0]
        nursery.start_soon(r.local.cancel, run.run_id)
        await trio.testing.wait_all_tasks_blocked()
        store.answers.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await store.run(run.run_id)).status == "cancelled"
