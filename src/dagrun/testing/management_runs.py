# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What everybody must do who tells of runs and changes them, as tests to inherit."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.errors import InputError, NotFound
from dagrun.ports.management import Change, Wanted
from dagrun.testing.journals import add_run
from dagrun.testing.managed import EXECUTOR
from dagrun.testing.reached import (
    INPUTS,
    NO_IDS,
    Reaching,
    calls,
    document,
    node,
)


class RunsSuite(Reaching):
    """The runs that somebody has started."""

    async def test_a_run_is_started_waited_for_and_looked_at(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            outputs = {"big": 2**70, "é": [None, True, 1.5, {"deep": [[]]}], "long": "x" * 900_000}
            items = {**node("many", "one"), "for_each": [1, 2], "inputs": {}}
            run = await it.run(
                node("one", outputs=outputs), items, outputs={"copy": "${nodes.one}"}
            )
            assert (run.workflow_id, run.version, run.resumable) == ("w", "1.0.0", False)
            result = await it.management.runs.wait(run.run_id)
            assert result.status is RunStatus.SUCCEEDED
            assert result.outputs == {"copy": outputs}
            assert result.node("one").outputs == outputs
            assert [item.index for item in result.node("many").items or ()] == [0, 1]
            view = await it.management.runs.get(run.run_id)
            assert (view.result, view.resumable) == (result, False)
            local = await it.world.leading.management.runs.get(run.run_id)
            assert local == view

    async def test_a_failure_is_told_and_not_raised(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            handler = {"failure": {"executor": {"type": EXECUTOR}}}
            run = await it.run(node("a", fail="é broke"), node("b", "a"), handlers=handler)
            result = await it.management.runs.wait(run.run_id)
            assert result.status is RunStatus.FAILED
            assert result.node("a").error == {"type": "ValueError", "message": "é broke"}
            assert result.node("b").status is NodeStatus.SKIPPED
            assert result.handlers is not None
            assert result.handlers[0].status is NodeStatus.SUCCEEDED
            (listed,) = (await it.management.runs.list()).items
            assert listed.error == result.error

    async def test_runs_are_listed_in_pages_the_newest_first(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            first = await it.run()
            await runs.wait(first.run_id)
            second = await it.run(node("a", gate="g"), workflow_id="v")
            page = await runs.list(limit=1)
            assert [one.run_id for one in page.items] == [second.run_id]
            rest = await runs.list(limit=1, cursor=page.next)
            assert ([one.run_id for one in rest.items], rest.next) == ([first.run_id], None)
            assert rest.items[0].finished_at is not None
            for chosen in ({"workflow_id": "w"}, {"status": RunStatus.SUCCEEDED}):
                assert [one.run_id for one in (await runs.list(**chosen)).items] == [first.run_id]
            it.world.told.open("g")

    @pytest.mark.parametrize("limit", [1, 2, 5])
    async def test_runs_that_were_cut_off_are_listed_by_themselves_in_pages(
        self, tmp_path: Path, limit: int
    ) -> None:
        async with self.reached(tmp_path) as it:
            living = await it.run(node("a", gate="g"))
            store = it.world.leading.store
            for number, upto in enumerate((1, 3, 7, 3, 1)):  # the third one has ended
                await add_run(store, f"r{number}", upto=upto, workflow_id=f"w{number % 2}")
            found: list[str] = []
            cursor = None
            while cursor or not found:
                page = await it.management.runs.list(cut_off=True, limit=limit, cursor=cursor)
                assert all(run.resumable for run in page.items)
                found += [run.run_id for run in page.items]
                cursor = page.next
            assert found == ["r4", "r3", "r1", "r0"]
            some = await it.management.runs.list(
                cut_off=True, workflow_id="w1", status=RunStatus.RUNNING
            )
            assert [run.run_id for run in some.items] == ["r3", "r1"]
            listed = (await it.management.runs.list()).items
            assert [run.run_id for run in listed if not run.resumable] == ["r2", living.run_id]
            it.world.told.open("g")

    @pytest.mark.parametrize("limit", [-1, 0, 1001])
    async def test_a_list_has_a_limit(self, tmp_path: Path, limit: int) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            lists: Sequence[Callable[[], Awaitable[object]]] = (
                lambda: it.management.workflows.list(limit=limit),
                lambda: it.management.runs.list(limit=limit),
                lambda: it.management.events.list(Wanted(), limit=limit),
            )
            for listing in lists:
                with pytest.raises(InputError, match="1000"):
                    await listing()

    async def test_a_run_is_paused_gone_on_with_and_cancelled(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            run = await it.run(node("a", gate="g"), node("b", "a", gate="h"))
            await self.has_status(it, run.run_id, RunStatus.RUNNING)
            assert (await runs.pause(run.run_id)).changed
            await self.has_status(it, run.run_id, RunStatus.PAUSED)
            assert not (await runs.pause(run.run_id)).changed
            it.world.told.open("g")
            assert (await runs.resume(run.run_id)).changed
            await self.has_status(it, run.run_id, RunStatus.RUNNING)
            assert not (await runs.resume(run.run_id)).changed
            assert (await runs.cancel(run.run_id)).changed
            assert (await runs.wait(run.run_id)).status is RunStatus.CANCELLED
            ended = Change(run_id=run.run_id, changed=False, status=RunStatus.CANCELLED)
            for change in (runs.cancel, runs.pause, runs.resume):
                assert await change(run.run_id) == ended

    @pytest.mark.parametrize("run_id", NO_IDS)
    async def test_nothing_can_be_done_with_a_run_that_is_not_there(
        self, tmp_path: Path, run_id: str
    ) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            runs = it.management.runs
            for ask in (
                *(runs.get, runs.wait, runs.cancel, runs.pause, runs.resume, runs.explain),
                *(runs.children, runs.child, runs.workflow_of),
            ):
                with pytest.raises(NotFound):
                    await ask(run_id)
            with pytest.raises(NotFound):
                async with runs.journal(run_id):
                    pass
            with pytest.raises(NotFound):
                async with runs.logs(run_id):
                    pass

    async def test_a_run_that_no_engine_takes_says_so(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            run = await it.run()
            told = await it.management.runs.explain(run.run_id)
            assert told.status is RunStatus.QUEUED
            assert any("none is attached" in reason for reason in told.reasons), told.reasons

    async def test_a_run_that_waits_for_a_slot_is_told_which_engine_has_the_one_that_holds_it(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            first = await it.run(node("a", gate="g"), concurrency={"key": "k"})
            await self.has_status(it, first.run_id, RunStatus.RUNNING)
            second = await it.starts.runs.start("w")
            told = await it.management.runs.explain(second.run_id)
            holder = f"run {first.run_id} has a slot of 'w/k': it is running (engine e1 has it)"
            assert holder in told.reasons, told.reasons
            it.world.told.open("g")

    async def test_a_run_started_for_another_one_is_its_child(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            parent = await it.run(node("a", gate="g"))
            await it.management.workflows.register(document(workflow_id="c", inputs=INPUTS))
            child = await it.starts.runs.start_child(parent.run_id, "c", {"n": 3}, version="^1.0")
            await runs.wait(child.run_id)
            (listed,) = (await runs.list(top_level=True)).items
            assert listed.run_id == parent.run_id
            (known,) = await runs.children(parent.run_id)
            assert known == await runs.child(child.run_id)
            assert (known.parent_run_id, known.node_id, known.attempt) == (
                parent.run_id,
                None,
                None,
            )
            assert (known.run.run_id, known.run.status, known.depth) == (
                child.run_id,
                RunStatus.SUCCEEDED,
                1,
            )
            with pytest.raises(NotFound, match="no other run"):
                await runs.child(parent.run_id)
            it.world.told.open("g")

    async def test_the_child_of_a_node_names_its_node(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            await it.management.workflows.register(document(workflow_id="c"))
            parent = await it.run({**calls("c"), "for_each": [1]})
            result = await it.management.runs.wait(parent.run_id)
            assert result.status is RunStatus.SUCCEEDED, result.nodes
            (child,) = await it.management.runs.children(parent.run_id)
            assert (child.node_id, child.item, child.attempt) == ("child", 0, 1)
