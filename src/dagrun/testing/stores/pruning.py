# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What is deleted with old runs, and what stays."""

from datetime import timedelta

import pytest

from dagrun.domain.ids import RunId
from dagrun.errors import NotFound
from dagrun.ports.store import Request, Store
from dagrun.testing.journals import LATER, add_run, definition, journal, new_run, registration
from dagrun.testing.stores.records import PAUSE, R, add_child, parent, waiting


class PruningSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_pruning_takes_old_ended_runs_and_nothing_else(self, store: Store) -> None:
        for run_id, upto in (("r1", 7), ("r2", 7), ("r3", 3)):
            await add_run(store, run_id, upto=upto)
        end = journal()[-1].time
        assert await store.prune(before=end, now=LATER, limit=10) == []
        assert await store.prune(before=end + timedelta(seconds=1), now=LATER, limit=1) == ["r1"]
        assert await store.prune(before=end + timedelta(seconds=1), now=LATER, limit=10) == ["r2"]
        assert [run.run_id for run in (await store.runs())[0]] == ["r3"]
        assert await store.events(RunId("r1")) == []
        assert await store.nodes(RunId("r1")) == []
        assert {entry.event.run_id for entry in await store.log(after=0, limit=99)} == {"r3"}
        assert await store.definition(definition().hash) == definition()

    async def test_a_definition_goes_with_the_last_run_that_used_it(self, store: Store) -> None:
        kept, gone = definition(b'{"id":"kept"}'), definition(b'{"id":"gone"}')
        await store.register(registration("w", "1.0.0", definition_hash=kept.hash), kept)
        for run_id, used in (("r1", kept), ("r2", gone)):
            run = new_run(run_id, definition_hash=used.hash)
            await store.commit(journal(run_id), new_runs=[run], definitions=[used])
        assert len(await store.prune(before=LATER, now=LATER, limit=10)) == 2
        assert await store.definition(kept.hash) == kept
        with pytest.raises(NotFound):
            await store.definition(gone.hash)

    async def test_a_run_stays_for_as_long_as_its_key_stands_for_it(self, store: Store) -> None:
        request = Request(key="k", hash="h")
        await add_run(store, "r1", request=request)
        await add_run(store, "r2")
        assert await store.prune(before=LATER, now=LATER, limit=10) == ["r2"]
        again = new_run("r3", request=request, created_at=LATER)
        assert (await store.commit([], new_runs=[again])).unsaved == {"r3": "r1"}
        after = LATER + timedelta(microseconds=1)
        assert await store.prune(before=LATER, now=after, limit=10) == ["r1"]
        fresh = new_run("r4", request=request, created_at=after)
        assert (await store.commit([], new_runs=[fresh])).unsaved == {}

    async def test_positions_are_not_given_again_after_pruning(self, store: Store) -> None:
        await add_run(store)
        before = await store.last_position()
        await store.prune(before=LATER, now=LATER, limit=10)
        assert await store.last_position() == before
        assert (await store.commit(journal(), new_runs=[new_run()])).position == before + 1

    async def test_pruning_a_run_leaves_its_children(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c")
        await store.post(R, PAUSE)
        await store.post(RunId("c"), PAUSE)
        await store.commit(journal()[2:])
        assert await store.prune(before=LATER, now=LATER, limit=10) == ["r"]
        assert await store.messages(R) == []
        assert await waiting(store, "c") == [(1, "pause")]
        assert (await store.run(RunId("c"))).parent == parent(node_id="c")
        assert not (await store.commit(journal("c")[2:])).posted
        assert await store.prune(before=LATER, now=LATER, limit=10) == ["c"]
