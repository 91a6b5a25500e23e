# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Runs that are run again."""

from typing import Any, Final

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode, encode
from dagrun.domain.status import NodeStatus
from dagrun.ports.store import CommitResult, Request, Store
from dagrun.testing.journals import ERROR, LATER, add_run, definition, event, new_run

OLD: Final = RunId("r")
NEW: Final = RunId("s")


def accepted() -> list[Event]:
    """Make the events with which a run begins that keeps a node with two items."""
    node: dict[str, Any] = {"node_id": "a"}
    kept: dict[str, Any] = {"kept_from": OLD}
    steps: list[tuple[Type, dict[str, Any]]] = [
        (Type.RUN_QUEUED, {"data": {"rerun_of": OLD}}),
        (Type.NODE_READY, {**node, "data": {"items": encode([1, 2]), **kept}}),
        (Type.NODE_SUCCEEDED, {**node, "item": 0, "data": {"outputs": encode({"n": 1}), **kept}}),
        (Type.NODE_FAILED, {**node, "item": 1, "data": {"error": ERROR, **kept}}),
        (Type.NODE_SUCCEEDED, {**node, "data": kept}),
    ]
    return [event(seq, kind, NEW, **fields) for seq, (kind, fields) in enumerate(steps, 1)]


class RerunsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_what_a_run_keeps_is_stored_with_it(self, store: Store) -> None:
        await add_run(store, OLD)
        result = await store.commit(accepted(), new_runs=[new_run(NEW, rerun_of=OLD)])
        assert (result, list(result.taken)) == (CommitResult(), accepted())
        run = await store.run(NEW)
        assert (run.rerun_of, run.status, run.last_seq) == (OLD, "queued", 5)
        assert (await store.run(OLD)).rerun_of is None
        assert await store.events(NEW) == accepted()
        whole, first, second = await store.nodes(NEW)
        assert [one.status for one in (whole, first, second)] == [
            NodeStatus.SUCCEEDED,
            NodeStatus.SUCCEEDED,
            NodeStatus.FAILED,
        ]
        assert {one.attempts for one in (whole, first, second)} == {0}
        assert decode(first.outputs or b"") == {"n": 1}
        assert second.error == ERROR
        ((listed, *_), _) = await store.runs()
        assert listed == run

    async def test_nothing_is_kept_for_a_run_that_an_earlier_one_stands_for(
        self, store: Store
    ) -> None:
        await add_run(store, OLD, request=Request(key="k", hash="h"))
        again = new_run(NEW, rerun_of=OLD, request=Request(key="k", hash="h"))
        result = await store.commit(accepted(), new_runs=[again])
        assert (result.unsaved, list(result.taken)) == ({NEW: OLD}, [])
        assert await store.events(NEW) == []

    async def test_a_run_stays_when_the_one_before_it_is_pruned(self, store: Store) -> None:
        await add_run(store, OLD)
        await store.commit(
            accepted(), new_runs=[new_run(NEW, rerun_of=OLD)], definitions=[definition()]
        )
        assert list(await store.prune(before=LATER, now=LATER, limit=9)) == [OLD]
        assert (await store.run(NEW)).rerun_of == OLD
        assert await store.events(NEW) == accepted()
