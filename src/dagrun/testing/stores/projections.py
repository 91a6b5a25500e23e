# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""How runs and nodes stand, and lists of runs."""

from typing import Any

import pytest

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw, decode
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.errors import NotFound
from dagrun.ports.store import MAX_LIMIT, Store
from dagrun.testing.journals import ATTEMPT, ERROR, LATER, NASTY, add_run, event, journal, new_run
from dagrun.testing.stores.records import add_child


class ProjectionsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    async def test_a_run_is_queued_when_it_is_stored(self, store: Store) -> None:
        await add_run(store, upto=1, priority=-3)
        run = await store.run(RunId("r"))
        assert (run.status, run.epoch, run.last_seq, run.priority) == ("queued", 1, 1, -3)
        assert (run.workflow_id, run.version, run.owner) == ("w", "1.0.0", "owner")
        assert (run.started_at, run.finished_at, run.outputs, run.error) == (None,) * 4
        assert decode(run.inputs) == NASTY

    async def test_a_run_and_its_node_show_how_they_ended(self, store: Store) -> None:
        await add_run(store)
        run, (node,) = await store.run(RunId("r")), await store.nodes(RunId("r"))
        assert run.status is RunStatus.SUCCEEDED
        assert (run.started_at, run.finished_at) == (journal()[1].time, journal()[6].time)
        assert node.status is NodeStatus.SUCCEEDED
        assert (node.started_at, node.finished_at) == (journal()[2].time, journal()[5].time)
        assert (node.attempts, node.item, node.error) == (2, None, None)
        assert decode(run.outputs or b"") == decode(node.outputs or b"") == NASTY

    async def test_events_one_by_one_leave_the_same_rows_as_all_at_once(self, store: Store) -> None:
        await add_run(store, "r", upto=0)
        for one in journal():
            await store.commit([one])
        single = await store.run(RunId("r")), await store.nodes(RunId("r"))
        await add_run(store, "s")
        run, nodes = await store.run(RunId("s")), await store.nodes(RunId("s"))
        assert _shape(*single) == _shape(run, nodes)

    async def test_an_error_is_shown_with_the_run_and_the_node(self, store: Store) -> None:
        failed = [
            *journal()[:3],
            event(4, Type.NODE_FAILED, **ATTEMPT, data={"error": ERROR}),
            event(5, Type.RUN_FAILED, data={"error": ERROR}),
        ]
        await store.commit(failed, new_runs=[new_run()])
        run, (node,) = await store.run(RunId("r")), await store.nodes(RunId("r"))
        assert (run.error, node.error) == (ERROR, ERROR)
        assert (run.outputs, node.outputs) == (None, None)

    async def test_items_are_given_in_order_behind_their_node(self, store: Store) -> None:
        ready = event(3, Type.NODE_READY, node_id="a", data={"items": Raw(b"[1]"), "when": True})
        indexes = [10, 0, 2]
        items = [
            event(4 + n, Type.NODE_RUNNING, **ATTEMPT, item=index)
            for n, index in enumerate(indexes)
        ]
        await store.commit([*journal()[:2], ready, *items], new_runs=[new_run()])
        assert [node.item for node in await store.nodes(RunId("r"))] == [None, 0, 2, 10]

    async def test_a_missing_run_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.run(RunId("none"))

    async def test_runs_come_newest_first_in_pages(self, store: Store) -> None:
        for number in range(5):
            await add_run(store, f"r{number}", upto=1)
        first, cursor = await store.runs(limit=2)
        await add_run(store, "r9", upto=1)
        second, cursor = await store.runs(limit=2, cursor=cursor)
        third, end = await store.runs(limit=2, cursor=cursor)
        found = [[run.run_id for run in page] for page in (first, second, third)]
        assert found == [["r4", "r3"], ["r2", "r1"], ["r0"]]
        assert end is None

    async def test_a_page_that_is_just_full_has_no_next_one(self, store: Store) -> None:
        await add_run(store)
        runs, cursor = await store.runs(limit=1)
        assert (len(runs), cursor) == (1, None)

    @pytest.mark.parametrize("limit", [-1, 0, MAX_LIMIT + 1, 2**63])
    async def test_a_limit_that_makes_no_sense_is_refused(self, store: Store, limit: int) -> None:
        await add_run(store)
        for ask in (
            lambda: store.runs(limit=limit),
            lambda: store.log(after=0, limit=limit),
            lambda: store.prune(before=LATER, now=LATER, limit=limit),
        ):
            with pytest.raises(ValueError, match="limit"):
                await ask()
        assert len((await store.runs(limit=MAX_LIMIT))[0]) == 1

    async def test_runs_are_found_by_workflow_and_status(self, store: Store) -> None:
        await add_run(store, "r1", workflow_id="w", upto=2)
        await add_run(store, "r2", workflow_id="v", upto=2)
        await add_run(store, "r3", workflow_id="w", upto=1)
        runs, _ = await store.runs(workflow_id="w", status=RunStatus.RUNNING)
        assert [run.run_id for run in runs] == ["r1"]
        assert await store.runs(workflow_id="none") == ([], None)

    async def test_runs_at_the_top_level_are_found_among_children(self, store: Store) -> None:
        await add_run(store, "r1", upto=2)
        for run_id in ("r2", "r3", "r4"):
            await add_child(store, run_id, "r1", upto=1)
        await add_run(store, "r5", upto=1, workflow_id="v")
        first, cursor = await store.runs(top_level=True, limit=1)
        rest, end = await store.runs(top_level=True, limit=1, cursor=cursor)
        assert ([run.run_id for run in (*first, *rest)], end) == (["r5", "r1"], None)
        of_workflow, _ = await store.runs(top_level=True, workflow_id="v")
        in_state, _ = await store.runs(top_level=True, status=RunStatus.QUEUED)
        assert [[run.run_id for run in found] for found in (of_workflow, in_state)] == [["r5"]] * 2

    async def test_the_unfinished_runs_of_an_owner_are_found(self, store: Store) -> None:
        for run_id, owner in (("r3", "me"), ("r1", "me"), ("r2", "you"), ("r4", "me")):
            await add_run(store, run_id, upto=1, owner=owner)
        await store.commit(journal("r4")[1:])
        await store.commit([event(2, Type.RUN_PAUSED, "r3", data={"reason": "requested"})])
        found = await store.unfinished("me")
        assert found == [await store.run(RunId(run_id)) for run_id in ("r1", "r3")]
        await store.claim(RunId("r2"), owner="me", expected_epoch=1)
        assert [run.run_id for run in await store.unfinished("me")] == ["r1", "r2", "r3"]
        assert await store.unfinished("you") == []

    @pytest.mark.parametrize("upto", range(3, 7))
    async def test_a_run_is_unfinished_whatever_its_state(self, store: Store, upto: int) -> None:
        states = [
            *journal()[:2],
            event(3, Type.RUN_PAUSED),
            event(4, Type.RUN_CANCELLING),
            event(5, Type.RUN_ENDING, data={"status": "cancelled"}),
            event(6, Type.RUN_CANCELLED),
        ]
        await store.commit(states[:upto], new_runs=[new_run()])
        assert [run.run_id for run in await store.unfinished("owner")] == ["r"][: 6 - upto]


def _shape(run: Any, nodes: Any) -> tuple[Any, ...]:
    """Give what must be the same for two runs with like journals."""
    row = (run.status, run.epoch, run.last_seq, run.started_at, run.finished_at, run.error)
    rows = [(n.node_id, n.item, n.status, n.attempts, n.started_at, n.finished_at) for n in nodes]
    return (*row, run.outputs, rows, [(n.outputs, n.error) for n in nodes])
