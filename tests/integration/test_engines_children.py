"""Runs that start runs, on engines in processes of their own, over gRPC on loopback."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trio

from dagrun.domain.children import DEPTH
from dagrun.domain.events import Type
from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Node, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.ports.store import Definition, Registration
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.submission import Submission
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.testing.programs import COMMAND, LIMIT, own_sleep, sleepers

SOON = 2.0  # seconds in which all that is cancelled has stopped, by the journals


def node(node_id, *dependencies, **fields):
    executor = {"type": "lua", "code": "return {depth = (inputs.depth or 0)}"}
    return Node(node_id, dependencies=dependencies, executor=executor, **fields)


def calls(node_id, workflow_id, **fields):
    return Node(node_id, executor={"type": "workflow", "id": workflow_id}, **fields)


@pytest.fixture
def opened(tmp_path, launch):
    """Open an orchestrator, and start engines with a capacity each."""

    @asynccontextmanager
    async def opening(*capacities):
        settings = OrchestratorSettings(data_dir=tmp_path / "data", grpc_port=0, lease=30.0)
        registry = load_plugins().registry
        async with open_configured_orchestrator(registry, settings) as leading:
            for number, capacity in enumerate(capacities):
                launch(
                    *(*COMMAND, "engine", "--engine-id", f"e{number}"),
                    *("--orchestrator", leading.addresses[0], "--capacity", capacity),
                    *("--data-dir", tmp_path / f"e{number}"),
                )
            with trio.fail_after(LIMIT):
                while len(leading.engines()) < len(capacities):  # noqa: ASYNC110 — as above
                    await trio.sleep(0.02)
            yield leading

    return opening


async def register(leading, *workflows):
    for workflow in workflows:
        body = to_json(workflow)
        definition = Definition(hash=content_hash(body), body=body)
        await leading.store.register(
            Registration(
                workflow_id=workflow.id,
                version=workflow.version,
                definition_hash=definition.hash,
                registered_at=datetime.now(UTC),
            ),
            definition,
        )


async def time_of(leading, run_id, kind):
    """Give when something first happened to a run; each engine that takes it in hand says it again."""
    return next(one.time for one in await leading.store.events(run_id) if one.type is kind)


async def submit(leading, workflow):
    return await leading.submit(Submission(workflow=workflow, inputs={}))


async def test_one_engine_of_capacity_one_completes_runs_nested_to_the_depth_limit(opened):
    levels = [Workflow("level-0", "1.0.0", nodes=[node("a")])]
    for depth in range(1, DEPTH + 1):
        below = calls("below", f"level-{depth - 1}", inputs={})
        levels.append(Workflow(f"level-{depth}", "1.0.0", nodes=[below, node("a", "below")]))
    too_deep = Workflow("too-deep", "1.0.0", nodes=[calls("below", f"level-{DEPTH}", inputs={})])
    async with opened(1) as leading:
        await register(leading, *levels)
        run_id = await submit(leading, levels[-1])
        with trio.fail_after(3 * LIMIT):
            assert (await leading.result(run_id)).status is RunStatus.SUCCEEDED
        records, _ = await leading.store.runs()
        assert len(records) == DEPTH + 1
        refused = await submit(leading, too_deep)
        with trio.fail_after(3 * LIMIT):
            assert (await leading.result(refused)).status is RunStatus.FAILED


async def test_cancelling_a_parent_stops_ten_children_on_three_engines(opened):
    seconds = own_sleep()
    sleeper = Workflow(
        "sleeper",
        "1.0.0",
        nodes=[Node("s", executor={"type": "shell", "command": ["sleep", str(seconds)]})],
    )
    items = list(range(10))
    parent = Workflow(
        "parent",
        "1.0.0",
        nodes=[calls("each", "sleeper", inputs={}, for_each=items)],
        placement={"balancer": "least-loaded"},
    )
    async with opened(4, 4, 4) as leading:
        await register(leading, sleeper)
        run_id = await submit(leading, parent)
        with trio.fail_after(LIMIT):
            while len(sleepers(seconds)) < len(items):  # noqa: ASYNC110 — other processes do it
                await trio.sleep(0.05)
        children = await leading.store.children(run_id)
        assert len({child.engine_id for child in children}) == 3
        assert await leading.cancel(run_id)
        with trio.fail_after(LIMIT):
            result = await leading.result(run_id)
        assert result.status is RunStatus.CANCELLED
        assert sleepers(seconds) == []
        stopped = await leading.store.children(run_id)
        assert {child.status for child in stopped} == {RunStatus.CANCELLED}
        asked = await time_of(leading, run_id, Type.RUN_CANCELLING)
        ends = [await time_of(leading, child.run_id, Type.RUN_CANCELLED) for child in stopped]
        assert max(ends) - asked < timedelta(seconds=SOON)
