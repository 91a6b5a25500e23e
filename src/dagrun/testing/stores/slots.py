# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Slots of concurrency keys."""

import pytest

from dagrun.domain.ids import RunId
from dagrun.errors import NotFound
from dagrun.ports.store import CommitResult, Rejection, Slot, Store
from dagrun.testing.journals import add_run, journal, new_run


class SlotsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_a_run_that_needs_a_slot_at_once_is_left_out_without_one(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=1, at_once=True)
        await add_run(store, "r1", upto=2, slot=slot)
        result = await store.commit(journal("r2"), new_runs=[new_run("r2", slot=slot)])
        assert result == CommitResult(unsaved={RunId("r2"): Rejection.NO_SLOT})
        assert await store.events(RunId("r2")) == []
        with pytest.raises(NotFound):
            await store.run(RunId("r2"))
        await store.commit(journal("r1"))
        await add_run(store, "r3", upto=2, slot=slot)

    async def test_of_runs_in_one_batch_only_as_many_as_have_room_are_stored(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=2, at_once=True)
        runs = [new_run(f"r{number}", slot=slot) for number in range(4)]
        events = [journal(run.run_id)[0] for run in runs]
        result = await store.commit(events, new_runs=runs)
        assert result.unsaved == dict.fromkeys(("r2", "r3"), Rejection.NO_SLOT)
        assert [run.run_id for run in await store.holders("w/k")] == ["r0", "r1"]

    async def test_a_slot_is_given_while_one_is_free_and_kept_until_the_end(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=1)
        for run_id in ("r1", "r2"):
            await add_run(store, run_id, upto=2, slot=slot)
            assert not (await store.run(RunId(run_id))).admitted
        assert await store.admit(RunId("r1"), slot)
        assert await store.admit(RunId("r1"), slot)
        assert not await store.admit(RunId("r2"), slot)
        assert await store.admit(RunId("r2"), Slot(key="w/other", limit=1))
        assert [run.run_id for run in await store.holders("w/k")] == ["r1"]
        await store.commit(journal("r1"))
        assert await store.holders("w/k") == []
        assert (await store.run(RunId("r2"))).slot_key == "w/other"

    async def test_rivals_are_the_runs_with_a_slot_and_those_that_waited_before(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=9)
        for run_id in ("r2", "r1", "r3", "r4", "r5"):
            await add_run(store, run_id, upto=2, slot=slot)
        await add_run(store, "r0", upto=2, slot=Slot(key="w/other", limit=9))
        await add_run(store, "r00", upto=2)
        assert await store.admit(RunId("r1"), slot)
        assert await store.admit(RunId("r5"), slot)
        rivals = await store.rivals(RunId("r3"), "w/k")
        assert [run.run_id for run in rivals] == ["r1", "r2", "r3", "r5"]
        assert [run.admitted for run in rivals] == [True, False, False, True]
        for run_id in ("r2", "r5"):
            await store.commit(journal(run_id)[2:])
        rivals = await store.rivals(RunId("r3"), "w/k")
        assert [run.run_id for run in rivals] == ["r1", "r3"]

    async def test_a_slot_for_a_missing_run_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.admit(RunId("none"), Slot(key="w/k", limit=1))
