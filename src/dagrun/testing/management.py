# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What everybody must do who implements management, as tests to inherit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError, InputError, NotFound
from dagrun.ports.management import Wanted
from dagrun.testing.managed import CAPACITY, ENGINE
from dagrun.testing.management_reruns import RerunsSuite
from dagrun.testing.management_runs import RunsSuite
from dagrun.testing.management_streams import StreamsSuite
from dagrun.testing.management_workflows import WorkflowsSuite
from dagrun.testing.reached import (
    INPUTS,
    NO_IDS,
    document,
    node,
)

__all__ = ["ManagementSuite", "SharedManagementSuite", "document", "node"]


class SharedManagementSuite(WorkflowsSuite, RunsSuite, StreamsSuite):
    """What can be done without starting a run: inherit it for who looks into a data directory."""


class ManagementSuite(SharedManagementSuite, RerunsSuite):
    """Inherit it in a test module, and say how to reach an orchestrator; pytest-trio runs the rest."""

    async def test_inputs_are_checked_before_a_run_is_accepted(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            await it.management.workflows.register(document(inputs=INPUTS))
            for wrong in ({"n": "x"}, {"_n": 1}):
                with pytest.raises(InputError) as raised:
                    await it.management.runs.start("w", wrong)
                assert raised.value.problems[0].path.startswith("inputs.")
            with pytest.raises(InputError):
                await it.management.runs.start("w", priority=10**9)
            assert not (await it.management.runs.list()).items

    async def test_a_run_names_a_version_and_a_priority(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            for version in ("1.0.0", "1.1.0"):
                await it.management.workflows.register(document(version=version))
            runs = it.management.runs
            assert (await runs.start("w")).version == "1.1.0"
            low = await runs.start("w", version="1.0.0", priority=-5)
            assert low.version == "1.0.0"
            assert (await it.world.leading.store.run(low.run_id)).priority == -5  # type: ignore[arg-type]  # views hold ids as plain text
            with pytest.raises(NotFound):
                await runs.start("w", version="3.0.0")

    async def test_the_same_idempotency_key_is_the_same_run(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            await it.management.workflows.register(document())
            runs = it.management.runs
            first = await runs.start("w", idempotency_key="k")
            assert (await runs.start("w", idempotency_key="k")).run_id == first.run_id
            assert (await runs.start("w")).run_id != first.run_id
            with pytest.raises(ConflictError, match="'k'"):
                await runs.start("w", {"n": 2}, idempotency_key="k")

    async def test_an_idempotency_key_stands_for_its_run_whatever_is_registered_meanwhile(
        self, tmp_path: Path
    ) -> None:
        def defaulting(n: int) -> Mapping[str, Any]:
            return {"type": "object", "properties": {"n": {"type": "integer", "default": n}}}

        async with self.reached(tmp_path, engine=False) as it:
            await it.management.workflows.register(document(inputs=defaulting(1)))
            runs = it.management.runs
            first = await runs.start("w", idempotency_key="k")
            await it.management.workflows.register(document(version="1.1.0", inputs=defaulting(2)))
            assert (await runs.start("w", idempotency_key="k")).run_id == first.run_id
            assert (await runs.start("w", idempotency_key="l")).version == "1.1.0"
            for version, inputs in ((None, {"n": 1}), ("1.0.0", None)):
                with pytest.raises(ConflictError, match="'k'"):
                    await runs.start("w", inputs, version=version, idempotency_key="k")

    @pytest.mark.parametrize("workflow_id", NO_IDS)
    async def test_no_run_is_started_of_a_workflow_that_is_not_there(
        self, tmp_path: Path, workflow_id: str
    ) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            with pytest.raises(NotFound):
                await it.management.runs.start(workflow_id)

    async def test_a_run_for_another_one_is_refused_as_any_other(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            parent = await it.run(node("a", gate="g"))
            await it.management.workflows.register(document(workflow_id="c", inputs=INPUTS))
            with pytest.raises(NotFound):
                await it.management.runs.start_child(parent.run_id, "c", version="^2")
            with pytest.raises(InputError):
                await it.management.runs.start_child(parent.run_id, "c", {"n": "x"})
            it.world.told.open("g")

    @pytest.mark.parametrize("run_id", NO_IDS)
    async def test_no_run_is_started_for_one_that_is_not_there(
        self, tmp_path: Path, run_id: str
    ) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            await it.management.workflows.register(document())
            with pytest.raises(NotFound):
                await it.management.runs.start_child(run_id, "w")

    async def test_why_a_run_stands_where_it_stands_is_explained(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            run = await it.run(node("a", gate="g"), node("b", "a"))
            await self.has_status(it, run.run_id, RunStatus.RUNNING)
            told = await it.management.runs.explain(run.run_id)
            assert told.status is RunStatus.RUNNING
            assert f"engine {ENGINE} has it" in told.reasons
            assert "b: waits for a" in told.reasons
            it.world.told.open("g")

    async def test_a_registration_is_told(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            async with it.management.events.follow(Wanted(types=["workflow"])) as news:
                await it.management.workflows.register(document())
                await it.management.workflows.register(document())
                await it.management.workflows.delete("w")
                told = [await anext(news), await anext(news)]
            assert [(one.type, one.workflow_id, one.data) for one in told] == [
                ("workflow.registered", "w", {"version": "1.0.0"}),
                ("workflow.deleted", "w", {"versions": ["1.0.0"]}),
            ]

    async def test_engines_are_listed_and_drained(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            engines = it.management.engines
            (view,) = await engines.list()
            assert (view.id, view.status, view.capacity) == (ENGINE, "idle", CAPACITY)
            assert (view.active_runs, view.labels) == (0, {"zone": "a"})
            drained = await engines.drain(ENGINE, on=True)
            assert drained == attrs.evolve(view, status="draining")
            run = await it.run()
            await trio.sleep(0.1)
            told = await it.management.runs.explain(run.run_id)
            assert told.status is RunStatus.QUEUED
            assert (await engines.drain(ENGINE, on=False)).status != "draining"
            assert (await it.management.runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
            with pytest.raises(NotFound):
                await engines.drain("none", on=True)
