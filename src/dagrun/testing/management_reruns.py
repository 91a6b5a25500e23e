# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What everybody must do who runs runs again, as a part of the suite for management."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dagrun.domain.events import Event, Type
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError, LimitReached, NotFound
from dagrun.ports.management import Management
from dagrun.testing.checker import check
from dagrun.testing.reached import Reached, Reaching, calls, document, node


class RerunsSuite(Reaching):
    """A part of :class:`~dagrun.testing.management.ManagementSuite`."""

    async def test_a_retry_runs_what_did_not_succeed_and_keeps_the_rest(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            nodes = (
                node("a", outputs={"n": 1}),
                node("b", "a", broken="b", outputs={"n": 2}),
                {**node("c", "b", outputs={"n": 3}), "when": "nodes.b.n == 2"},
            )
            first = await it.run(*nodes, outputs={"n": "${nodes.a.n + nodes.c.n}"})
            runs = it.management.runs
            before = await runs.wait(first.run_id)
            assert before.status is RunStatus.FAILED
            it.world.told.mend("b")
            second = await runs.retry(first.run_id)
            assert (second.rerun_of, second.version) == (first.run_id, first.version)
            result = await runs.wait(second.run_id)
            assert (result.status, result.outputs) == (RunStatus.SUCCEEDED, {"n": 4})
            assert result.rerun_of == first.run_id
            assert [one.kept_from for one in result.nodes] == [first.run_id, None, None]
            assert _carried_out(it, second.run_id) == ["b", "c"]
            assert (await runs.get(first.run_id)).result == before
            assert await _problems(it.management, second.run_id) == []
            listed = (await runs.list()).items
            assert [one.rerun_of for one in listed] == [first.run_id, None]

    async def test_a_retry_keeps_the_items_and_the_children_that_succeeded(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            leaf = node("leaf", broken="${inputs.what}", outputs={"what": "${inputs.what}"})
            await it.management.workflows.register(document(leaf, workflow_id="child"))
            each = {
                **calls("child"),
                "for_each": ["a", "b"],
                "inputs": {"what": "${item}"},
            }
            it.world.told.mend("a")
            first = await it.run(each, outputs={"all": "${nodes.child}"})
            runs = it.management.runs
            assert (await runs.wait(first.run_id)).status is RunStatus.FAILED
            it.world.told.mend("b")
            second = await runs.retry(first.run_id)
            result = await runs.wait(second.run_id)
            assert result.status is RunStatus.SUCCEEDED
            assert [item.attempts for item in result.node("child").items or ()] == [0, 1]
            assert {child.item for child in await runs.children(first.run_id)} == {0, 1}
            assert [child.item for child in await runs.children(second.run_id)] == [1]

    async def test_a_rerun_runs_a_node_and_what_depends_on_it_or_all(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            first = await it.run(node("a"), node("b", "a"), node("c", "b"), node("d"))
            runs = it.management.runs
            await runs.wait(first.run_id)
            some = await runs.rerun(first.run_id, from_node="b", priority=7)
            everything = await runs.rerun(first.run_id)
            for run in (some, everything):
                assert (await runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
                assert await _problems(it.management, run.run_id) == []
                assert run.rerun_of == first.run_id
            assert _carried_out(it, some.run_id) == ["b", "c"]
            assert sorted(_carried_out(it, everything.run_id)) == ["a", "b", "c", "d"]
            record = await it.world.leading.store.run(some.run_id)  # type: ignore[arg-type]  # views hold ids as plain text
            assert record.priority == 7

    async def test_only_what_has_ended_is_run_again_and_only_what_has_not_succeeded_retried(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            waits = await it.run(node("a", gate="g"))
            for again in (runs.retry, runs.rerun):
                with pytest.raises(ConflictError, match="only a run that has ended"):
                    await again(waits.run_id)
            it.world.told.open("g")
            await runs.wait(waits.run_id)
            with pytest.raises(ConflictError, match=f"dagrun runs rerun {waits.run_id}"):
                await runs.retry(waits.run_id)
            with pytest.raises(NotFound, match="has no node 'x'"):
                await runs.rerun(waits.run_id, from_node="x")
            for unknown in ("none", "../x"):
                for again in (runs.retry, runs.rerun):
                    with pytest.raises(NotFound):
                        await again(unknown)
            assert len((await runs.list()).items) == 1

    async def test_a_cancelled_run_is_retried_from_where_it_was(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            first = await it.run(node("a"), node("b", "a", gate="g"), node("c", "b"))
            async with runs.journal(first.run_id) as batches:
                async for events in batches:
                    if any((e.type, e.node_id) == (Type.NODE_RUNNING, "b") for e in events):
                        break
            await runs.cancel(first.run_id)
            assert (await runs.wait(first.run_id)).status is RunStatus.CANCELLED
            it.world.told.open("g")
            second = await runs.retry(first.run_id)
            assert (await runs.wait(second.run_id)).status is RunStatus.SUCCEEDED
            assert _carried_out(it, second.run_id) == ["b", "c"]

    async def test_the_same_key_is_the_same_retry(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            first = await it.run(node("a"), node("b", fail="no"))
            await runs.wait(first.run_id)
            second = await runs.retry(first.run_id, idempotency_key="k")
            assert (await runs.retry(first.run_id, idempotency_key="k")).run_id == second.run_id
            with pytest.raises(ConflictError, match="'k'"):
                await runs.rerun(first.run_id, idempotency_key="k")
            with pytest.raises(ConflictError, match="'k'"):
                await runs.start("w", idempotency_key="k")
            third = await runs.rerun(first.run_id, from_node="a", idempotency_key="l")
            again = await runs.rerun(first.run_id, from_node="a", idempotency_key="l")
            assert again.run_id == third.run_id
            assert len((await runs.list()).items) == 3

    async def test_a_retry_waits_for_its_turn_and_keeps_to_the_limit_of_its_workflow(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            limit = {"key": "k", "limit": 1, "on_limit": "reject"}
            first = await it.run(
                node("a", outputs={"x": 1}), node("b", "a", broken="b"), concurrency=limit
            )
            await runs.wait(first.run_id)
            it.world.leading.dispatcher.pause_dispatch()
            second = await runs.retry(first.run_id)
            with pytest.raises(LimitReached):
                await runs.retry(first.run_id)
            assert (await runs.get(second.run_id)).result.status is RunStatus.QUEUED
            it.world.told.mend("b")
            it.world.leading.dispatcher.resume_dispatch()
            assert (await runs.wait(second.run_id)).status is RunStatus.SUCCEEDED
            assert _carried_out(it, second.run_id) == ["b"]

    async def test_a_retry_that_waits_is_paused_gone_on_with_and_cancelled(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            first = await it.run(node("a"), node("b", "a", broken="b"))
            await runs.wait(first.run_id)
            it.world.told.mend("b")
            it.world.leading.dispatcher.pause_dispatch()
            goes_on, ends = await runs.retry(first.run_id), await runs.retry(first.run_id)
            for run in (goes_on, ends):
                assert (await runs.pause(run.run_id)).changed
            assert (await runs.cancel(ends.run_id)).changed
            assert (await runs.resume(goes_on.run_id)).changed
            it.world.leading.dispatcher.resume_dispatch()
            assert (await runs.wait(goes_on.run_id)).status is RunStatus.SUCCEEDED
            assert _carried_out(it, goes_on.run_id) == ["b"]
            cancelled = await runs.wait(ends.run_id)
            assert cancelled.status is RunStatus.CANCELLED
            assert [one.kept_from for one in cancelled.nodes] == [first.run_id, None]
            third = await runs.retry(ends.run_id)
            assert (await runs.wait(third.run_id)).node("a").kept_from == first.run_id
            for run in (goes_on, ends, third):
                assert await _problems(it.management, run.run_id) == []

    async def test_a_retry_is_of_the_content_that_the_run_had(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            first = await it.run(node("a", fail="no"))
            await runs.wait(first.run_id)
            await it.management.workflows.delete("w")
            await it.management.workflows.register(document(node("other")))
            second = await runs.retry(first.run_id)
            assert [one.id for one in (await runs.wait(second.run_id)).nodes] == ["a"]
            store = it.world.leading.store
            old, new = [await store.run(one.run_id) for one in (first, second)]  # type: ignore[arg-type]  # views hold ids as plain text
            assert old.definition_hash == new.definition_hash


def _carried_out(it: Reached, run_id: str) -> Sequence[str]:
    """Give the nodes that were attempted for a run."""
    return [node_id for run, node_id in it.world.told.carried_out if run == run_id]


async def _problems(management: Management, run_id: str) -> Sequence[str]:
    """Say what is illegal in the journal of a run."""
    journal: list[Event] = []
    async with management.runs.journal(run_id, follow=False) as batches:
        async for events in batches:
            journal += events
    return check(await management.runs.workflow_of(run_id), journal)
