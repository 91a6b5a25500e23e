# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Which engine has a run."""

import attrs

from dagrun.domain.ids import RunId
from dagrun.ports.store import CommitResult, Refusal, Store
from dagrun.testing.journals import add_run, journal, new_run
from dagrun.testing.stores.records import PAUSE, R, add_child, assignment, place, taken


class AssignmentsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_a_run_is_with_no_engine_until_it_is_assigned_to_one(self, store: Store) -> None:
        await add_run(store, upto=2)
        assert await place(store) == (None, None)
        before = await store.run(R)
        assert (await store.commit([], assignments=[assignment()])).unassigned == {}
        after = await store.run(R)
        assert after == attrs.evolve(before, engine_id="e", instance="i")
        assert [run.engine_id for run in (await store.runs())[0]] == ["e"]
        await store.commit([journal()[2]])
        assert await place(store) == ("e", "i")
        await store.commit([], assignments=[assignment("other", instance="j")])
        assert await place(store) == ("other", "j")
        await store.commit([], assignments=[assignment(None)])
        assert await place(store) == (None, None)

    async def test_a_claimed_run_is_with_no_engine(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.commit([], assignments=[assignment()])
        claimed = await store.claim(R, owner="other", expected_epoch=1)
        assert (claimed.engine_id, claimed.instance) == (None, None)
        assert await place(store) == (None, None)

    async def test_a_new_run_is_assigned_in_the_commit_that_stores_it(self, store: Store) -> None:
        result = await store.commit(journal()[:2], new_runs=[new_run()], assignments=[assignment()])
        assert result == CommitResult()
        assert await place(store) == ("e", "i")

    async def test_refused_assignments_affect_neither_events_nor_others(self, store: Store) -> None:
        for run_id in ("r", "other", "ended"):
            await add_run(store, run_id, upto=7 if run_id == "ended" else 2)
        result = await store.commit(
            [journal()[2]],
            assignments=[
                assignment(epoch=2),
                assignment(run_id="ended"),
                assignment(run_id="none"),
                assignment(run_id="other"),
            ],
        )
        assert result == CommitResult(
            unassigned={
                R: Refusal.STALE_EPOCH,
                RunId("ended"): Refusal.ENDED,
                RunId("none"): Refusal.UNKNOWN_RUN,
            }
        )
        assert [await place(store, run_id) for run_id in ("r", "ended")] == [(None, None)] * 2
        assert await place(store, "other") == ("e", "i")
        assert len(await store.events(R)) == 3

    async def test_a_run_that_ends_in_the_same_commit_is_not_assigned(self, store: Store) -> None:
        await add_run(store, upto=2)
        result = await store.commit(journal()[2:], assignments=[assignment()])
        assert result.unassigned == {R: Refusal.ENDED}
        assert await place(store) == (None, None)

    async def test_an_assignment_is_refused_while_there_is_a_newer_message_than_was_seen(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await store.commit([], assignments=[assignment()])
        for _ in range(2):
            await store.post(R, PAUSE)
        result = await store.commit([], assignments=[assignment(None, seen=1)])
        assert result.unassigned == {R: Refusal.UNSEEN}
        assert await place(store) == ("e", "i")
        assert not (await store.commit([], assignments=[assignment(None, seen=2)])).unassigned
        assert await place(store) == (None, None)
        assert not (await store.commit([], assignments=[assignment()])).unassigned
        together = await store.commit([], taken=[taken(2)], assignments=[assignment(None, seen=1)])
        assert not together.unassigned

    async def test_a_childs_end_in_the_same_commit_is_newer_than_what_was_seen(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c")
        result = await store.commit(journal("c")[2:], assignments=[assignment(None, seen=0)])
        assert result.unassigned == {R: Refusal.UNSEEN}
