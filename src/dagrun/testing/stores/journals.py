# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Journals: what comes back, and which events are taken."""

from datetime import timedelta

import attrs
import pytest
import trio

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import MAX_OUTPUT, decode
from dagrun.errors import NotFound, StoreError
from dagrun.ports.store import CommitResult, Refusal, Store
from dagrun.testing.journals import ATTEMPT, NOON, add_run, event, journal, new_run


class JournalsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_a_journal_comes_back_as_it_was_written(self, store: Store) -> None:
        await add_run(store)
        assert await store.events(RunId("r")) == journal()

    async def test_a_journal_can_be_read_from_a_position(self, store: Store) -> None:
        await add_run(store)
        assert await store.events(RunId("r"), after=5) == journal()[5:]
        assert await store.events(RunId("r"), after=7) == []

    async def test_a_run_that_nobody_stored_has_no_events(self, store: Store) -> None:
        assert await store.events(RunId("none")) == []
        assert await store.nodes(RunId("none")) == []

    async def test_times_keep_their_microseconds_and_stay_aware(self, store: Store) -> None:
        time = NOON + timedelta(microseconds=1)
        given = event(1, Type.RUN_QUEUED, time=time)
        await store.commit([given], new_runs=[new_run(created_at=time)])
        assert (await store.events(RunId("r")))[0].time == time
        assert (await store.run(RunId("r"))).created_at == time

    async def test_an_output_of_the_greatest_size_is_kept(self, store: Store) -> None:
        outputs = "x" * (MAX_OUTPUT - 2)
        await store.commit(journal(outputs=outputs), new_runs=[new_run()])
        (node,) = await store.nodes(RunId("r"))
        assert node.outputs is not None
        assert decode(node.outputs) == outputs

    async def test_an_empty_commit_does_nothing(self, store: Store) -> None:
        assert await store.commit([]) == CommitResult()

    async def test_an_event_that_is_there_is_dropped(self, store: Store) -> None:
        await add_run(store, upto=4)
        assert await store.commit(journal()) == CommitResult()
        assert await store.commit(journal()[2:5]) == CommitResult()
        assert await store.events(RunId("r")) == journal()

    async def test_an_event_given_twice_in_a_batch_is_stored_once(self, store: Store) -> None:
        await store.commit([*journal()[:3], *journal()], new_runs=[new_run()])
        assert await store.events(RunId("r")) == journal()

    async def test_a_gap_makes_the_store_refuse_all_of_the_batch(self, store: Store) -> None:
        await add_run(store, upto=2)
        result = await store.commit([journal()[2], journal()[4]])
        assert result.refused == {"r": Refusal.GAP}
        assert await store.events(RunId("r")) == journal()[:2]
        assert (await store.run(RunId("r"))).last_seq == 2

    @pytest.mark.parametrize("seq", [0, -7, -(10**30)])
    async def test_an_event_before_the_first_makes_the_store_refuse_all_of_the_batch(
        self, store: Store, seq: int
    ) -> None:
        await add_run(store, upto=2)
        early = attrs.evolve(event(3, Type.NODE_RUNNING, **ATTEMPT), seq=seq)
        result = await store.commit([early, journal()[2]])
        assert result.refused == {"r": Refusal.GAP}
        assert await store.events(RunId("r")) == journal()[:2]

    @pytest.mark.parametrize("epoch", [1, 3])
    async def test_events_of_another_epoch_are_refused(self, store: Store, epoch: int) -> None:
        await add_run(store, upto=2)
        await store.claim(RunId("r"), owner="other", expected_epoch=1)
        result = await store.commit([event(3, Type.NODE_RUNNING, **ATTEMPT, epoch=epoch)])
        assert result.refused == {"r": Refusal.STALE_EPOCH}
        assert await store.events(RunId("r")) == journal()[:2]

    async def test_an_owner_that_does_not_know_the_whole_journal_is_refused(
        self, store: Store
    ) -> None:
        await add_run(store, upto=3)
        await store.claim(RunId("r"), owner="other", expected_epoch=1)
        result = await store.commit([event(3, Type.RUN_RUNNING, epoch=2)])
        assert result.refused == {"r": Refusal.GAP}
        assert await store.events(RunId("r")) == journal()[:3]

    async def test_events_of_an_unknown_run_are_refused(self, store: Store) -> None:
        result = await store.commit(journal("none"))
        assert result.refused == {"none": Refusal.UNKNOWN_RUN}

    async def test_a_refused_run_does_not_affect_the_others(self, store: Store) -> None:
        for run_id in ("one", "two"):
            await add_run(store, run_id, upto=2)
        mixed = [journal("one")[2], journal("two")[3], journal("one")[3], *journal("none")]
        result = await store.commit(mixed)
        assert result.refused == {"two": Refusal.GAP, "none": Refusal.UNKNOWN_RUN}
        assert await store.events(RunId("one")) == journal("one")[:4]
        assert await store.events(RunId("two")) == journal("two")[:2]
        assert await store.nodes(RunId("two")) == []

    async def test_a_run_id_that_is_taken_fails_the_whole_commit(self, store: Store) -> None:
        await add_run(store, upto=3)
        with pytest.raises(StoreError):
            await store.commit(
                [journal()[3], *journal("s")], new_runs=[new_run("s"), new_run(owner="thief")]
            )
        assert await store.events(RunId("r")) == journal()[:3]
        assert await store.events(RunId("s")) == []
        assert (await store.run(RunId("r"))).owner == "owner"
        with pytest.raises(NotFound):
            await store.run(RunId("s"))

    async def test_commits_and_reads_at_the_same_time_see_whole_batches(self, store: Store) -> None:
        await add_run(store, upto=2)

        async def read() -> None:
            assert len(await store.events(RunId("r"))) in (2, 7)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(read)
                if number == 4:
                    nursery.start_soon(store.commit, journal()[2:])
