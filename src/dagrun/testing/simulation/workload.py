"""The workflows of simulated runs, and what carries out their nodes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Node, Workflow
from dagrun.errors import NodeError
from dagrun.ports.executor import Context

EXECUTOR: Final = "simulated"


@attrs.frozen(kw_only=True)
class Options:
    """What a simulated node does."""

    seconds: float = 0.2
    fails: int = 0
    """Attempts that fail, the first ones."""


class Process(Protocol):
    """What carries out a node, outside of the engine."""

    async def wait(self) -> None:
        """Wait for its end.

        Raises:
            NodeError: it was killed.
        """
        ...

    def kill(self) -> None:
        """End it. No error if it has ended."""
        ...


Spawn = Callable[[Context, float], Process]
"""Starts a process that takes some seconds, and leaves a witness outside dagrun."""


class Simulated:
    """Carries out nodes in processes of their own.

    Implements :class:`~dagrun.ports.executor.Executor`.

    Args:
        spawn: starts such a process.
    """

    options = Options
    uses_process = False

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn

    async def execute(self, context: Context) -> Mapping[str, Any]:
        """Carry out a node."""
        options: Options = context.options
        process = self._spawn(context, options.seconds)
        try:
            await process.wait()
        finally:
            process.kill()
        if context.attempt <= options.fails:
            raise NodeError("simulated", "this attempt is to fail")
        return {"node": context.node_id}


def _node(node_id: str, *after: str, seconds: float = 0.2, fails: int = 0, **more: Any) -> Node:
    spec = {"type": EXECUTOR, "seconds": seconds, "fails": fails}
    return Node(node_id, dependencies=after, executor=spec, **more)


def _calls(node_id: str, workflow_id: str, *after: str, **more: Any) -> Node:
    spec = {"type": "workflow", "id": workflow_id}
    return Node(node_id, dependencies=after, executor=spec, inputs={}, **more)


_RETRY: Final = {"max_attempts": 3, "first_delay": 0.5, "jitter": 0.5}

WORKFLOWS: Final[Sequence[tuple[Workflow, frozenset[RunStatus]]]] = (
    (
        Workflow("chain", "1.0.0", nodes=[_node("a"), _node("b", "a"), _node("c", "b")]),
        frozenset({RunStatus.SUCCEEDED}),
    ),
    (
        Workflow(
            "diamond",
            "1.0.0",
            nodes=[
                _node("a", durability="strict"),
                _node("b", "a", seconds=1.0),
                _node("c", "a", durability="strict", seconds=0.0),
                _node("d", "b", "c"),
            ],
        ),
        frozenset({RunStatus.SUCCEEDED}),
    ),
    (
        Workflow(
            "items",
            "1.0.0",
            nodes=[
                _node("each", for_each=[1, 2, 3], max_parallel=2, durability="strict"),
                _node("last", "each"),
            ],
        ),
        frozenset({RunStatus.SUCCEEDED}),
    ),
    (
        Workflow(
            "again",
            "1.0.0",
            nodes=[_node("a", fails=2, retry=_RETRY), _node("b", "a", durability="strict")],
        ),
        frozenset({RunStatus.SUCCEEDED}),
    ),
    (
        Workflow(
            "fails",
            "1.0.0",
            nodes=[_node("a", fails=9), _node("b", "a"), _node("c")],
            handlers={"failure": {"executor": {"type": EXECUTOR}}},
        ),
        frozenset({RunStatus.FAILED}),
    ),
    (
        Workflow("once", "1.0.0", nodes=[_node("a", on_engine_loss="fail", seconds=2.0)]),
        frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED}),
    ),
    (
        Workflow(
            "parent",
            "1.0.0",
            nodes=[
                _calls("one", "chain", retry=_RETRY),
                _calls("each", "items", for_each=[1, 2], allow_failure=True),
                _node("last", "one"),
            ],
        ),
        frozenset({RunStatus.SUCCEEDED}),
    ),
    (
        Workflow(
            "above",
            "1.0.0",
            nodes=[_calls("below", "parent"), _node("beside")],
        ),
        frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED}),
    ),
    (Workflow("long", "1.0.0", nodes=[_node("a", seconds=8.0)]), frozenset({RunStatus.SUCCEEDED})),
)
"""Workflows, and how their runs may end that nobody cancels."""


def number_of(workflow_id: str) -> int:
    """Give the number by which an :class:`~dagrun.testing.simulation.faults.Ask` names a workflow.

    Raises:
        StopIteration: there is none with this id.
    """
    return next(n for n, (workflow, _) in enumerate(WORKFLOWS) if workflow.id == workflow_id)
