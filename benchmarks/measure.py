"""Run workflows through dagrun, embedded, on a fresh data directory, and take the time."""

import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import trio

from benchmarks import nodes as node_functions
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Durability, ExecutorSpec, Node, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import Local, Submission, open_local
from dagrun.settings import Settings

T = TypeVar("T")

NOOP = ExecutorSpec(
    type="python", options={"callable": "benchmarks.nodes:noop", "isolation": "inline"}
)
NOTE = ExecutorSpec(
    type="python", options={"callable": "benchmarks.nodes:note", "isolation": "inline"}
)
LUA = ExecutorSpec(type="lua", options={"code": "return {}"})
TRUE = ExecutorSpec(type="shell", options={"command": ["/bin/true"]})


def fan_out(width: int, executor: ExecutorSpec, durability: Durability | None) -> Workflow:
    """One node, then ``width`` nodes, then one."""
    middle = [f"n{number}" for number in range(width)]
    return Workflow(
        "fan-out",
        "1.0.0",
        nodes=[
            _node("first", executor, durability),
            *(_node(name, executor, durability, "first") for name in middle),
            _node("last", executor, durability, *middle),
        ],
    )


def chain(length: int, executor: ExecutorSpec, durability: Durability | None) -> Workflow:
    """Nodes one behind the other."""
    names = [f"n{number}" for number in range(length)]
    return Workflow(
        "chain",
        "1.0.0",
        nodes=[
            _node(name, executor, durability, *names[max(number - 1, 0) : number])
            for number, name in enumerate(names)
        ],
    )


def _node(
    name: str, executor: ExecutorSpec, durability: Durability | None, *dependencies: str
) -> Node:
    return Node(id=name, executor=executor, dependencies=dependencies, durability=durability)


def with_local(use: Callable[[Local], Awaitable[T]]) -> T:
    """Open an embedded dagrun on a fresh data directory, and use it."""

    async def call(folder: str) -> T:
        settings = Settings(data_dir=Path(folder) / "data", parallel=8)
        async with open_local(load_plugins().registry, settings) as local:
            return await use(local)

    with tempfile.TemporaryDirectory() as folder:
        return trio.run(call, folder)


def seconds_of(workflow: Workflow, *, runs: int = 1, warm: Workflow | None = None) -> float:
    """Run a workflow, some times at once. Give the seconds until all ends are durable.

    The workflow is compiled before, as one that is registered would be.

    Args:
        workflow: what to run.
        runs: how many runs to submit at the same moment.
        warm: is run before, so that executors and workers are there.
    """

    async def use(local: Local) -> float:
        if warm is not None:
            await _run(local, warm)
        await local.plans.prepare(workflow)
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(runs):
                nursery.start_soon(_run, local, workflow)
        return time.perf_counter() - start

    return with_local(use)


def first_node_latencies(samples: int) -> list[float]:
    """Give the seconds between submissions and the calls of their first nodes."""
    workflow = chain(1, NOTE, None)

    async def use(local: Local) -> list[float]:
        found = []
        await _run(local, workflow)
        for _ in range(samples):
            node_functions.FIRST.clear()
            start = time.perf_counter()
            await _run(local, workflow)
            found.append(node_functions.FIRST[0] - start)
        return found

    return with_local(use)


async def _run(local: Local, workflow: Workflow) -> Any:
    ticket = await local.submit(Submission(workflow=workflow, inputs={}))
    await ticket.wait()
    if ticket.state.status is not RunStatus.SUCCEEDED:
        raise RuntimeError(ticket.state.error)
