"""The workflows of simulated runs, and what carries out their nodes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import attrs
import trio

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


class Simulated:
    """Takes some time, and leaves a witness outside dagrun.

    Implements :class:`~dagrun.ports.executor.Executor`.

    Args:
        witness: takes a line, see :func:`~dagrun.testing.effects.check_effects`.
        pause: waits while the machine is frozen.
        alone: notes that something is being carried out, as long as its block lasts.
    """

    options = Options
    uses_process = False

    def __init__(
        self,
        witness: Callable[[str], None],
        pause: Callable[[], Any] = trio.lowlevel.checkpoint,
        alone: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._witness = witness
        self._pause = pause
        self._alone = alone

    async def execute(self, context: Context) -> Mapping[str, Any]:
        """Carry out a node."""
        options: Options = context.options
        item = "-" if context.item_index is None else context.item_index
        key = f"{context.run_id} {context.node_id} {item} {context.attempt} {context.epoch}"
        with self._alone(f"{context.run_id} {context.node_id} {item}"):
            self._witness(f"{key} start")
            await trio.sleep(options.seconds)
            await self._pause()
            self._witness(f"{key} end")
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
