"""An engine whose nodes do what they are told, before a store that keeps a list of events.

For tests with virtual time.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import trio

from dagrun.domain import decide
from dagrun.domain.events import Event
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import encode
from dagrun.domain.plan import Handling, compile_plan
from dagrun.domain.state import RunState
from dagrun.domain.workflow import ExecutorSpec, Node
from dagrun.errors import NodeError
from dagrun.ports.executor import Context
from dagrun.ports.store import CommitResult, Refusal
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.engine.execution import Execution
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.services.journal import Journal
from dagrun.testing.drive import PLAIN, START, make_node, make_workflow

COMMIT: Final = 0.001  # seconds that the store takes


class ListStore:
    """Takes events for durable a millisecond later."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refuse: dict[RunId, Refusal] = {}
        """What it says of runs, if it does not take their events."""

    async def commit(self, events: Sequence[Event], **_: object) -> CommitResult:
        """Keep events."""
        await trio.sleep(COMMIT)
        self.events += events
        return CommitResult(refused=self.refuse)


class Odd(BaseException):
    """Nothing that anybody should raise."""


class Executor:
    """Does what the node's ``does`` says, and notes starts and ends."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        """``+node/attempt`` for a start, and ``-node`` for a good end."""

        self.most = self.now = 0
        """How many attempts were made at once, at most and now."""

    async def execute(self, context: Context) -> Mapping[str, Any]:
        """Do it."""
        name = (
            context.node_id
            if context.item_index is None
            else f"{context.node_id}[{context.item_index}]"
        )
        self.seen.append(f"+{name}/{context.attempt}")
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            outputs: Mapping[str, Any] = await self.act(context)
            self.seen.append(f"-{name}")
            return outputs
        finally:
            self.now -= 1

    async def act(self, context: Context) -> Any:
        """Do it, and note nothing; a test may do something else."""
        match context.options:
            case {"sleep": seconds}:
                await trio.sleep(seconds)
            case {"fail": kind}:
                raise NodeError(kind, "as told")
            case {"never": kind}:
                raise NodeError(kind, "as told", retryable=False)
            case {"raise": text}:
                raise LookupError(text)
            case {"give": outputs}:
                return outputs
            case {"exit": code}:
                raise SystemExit(code)
            case {"leave": text}:
                raise Odd(text)
            case {"spoil": kind}:  # fails in its own way, in a task of its own, when it is stopped
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    try:
                        await trio.sleep_forever()
                    finally:
                        raise NodeError(kind, "while it was stopped")
            case {"show": name}:
                return {"value": getattr(context, name)}
            case {"until": attempt} if context.attempt < attempt:
                raise NodeError("boom", f"attempt {context.attempt}")
        return {}


class Rig:
    """An engine, and what is around it."""

    def __init__(
        self, store: ListStore, journal: Journal, engine: Engine, executor: Executor
    ) -> None:
        self.store, self.journal, self.engine, self.executor = store, journal, engine, executor

    def start(
        self,
        *nodes: Node,
        run: str = "r",
        handling: Callable[[ExecutorSpec], Handling] = lambda _: PLAIN,
        inputs: Mapping[str, Any] | None = None,
        events: Sequence[Event] = (),
        **fields: Any,
    ) -> Execution:
        """Start a run, or go on with one.

        Args:
            nodes: of the workflow.
            run: its id.
            handling: how nodes are handled.
            inputs: of the run.
            events: its journal, to go on from, under the next epoch.
            fields: of the workflow.
        """
        plan = compile_plan(make_workflow(*nodes, **fields), handling)
        state = RunState(plan, RunId(run), encode(inputs or {}))
        if events:
            replay(state, list(events))
            self.journal.continue_from(state.run_id, state.seq)
        else:
            decide.submit(state, now())
            self.journal.append(state.take_events())
        return self.engine.execute(state, epoch=state.epoch + bool(events))

    async def run(self, *nodes: Node, **options: Any) -> RunState:
        """Start a run, and wait for its end."""
        execution = self.start(*nodes, **options)
        await execution.done.wait()
        return execution.state

    def types(self, node_id: str | None = None) -> list[str]:
        """Give the types of the durable events of a node, or of runs."""
        return [str(event.type) for event in self.store.events if event.node_id == node_id]


def now() -> datetime:
    """Give the virtual time."""
    return START + timedelta(seconds=trio.current_time())


def node(
    node_id: str, *dependencies: str, does: Mapping[str, Any] | None = None, **fields: Any
) -> Node:
    """Make a node that does what it is told, see :class:`Executor`."""
    spec = ExecutorSpec(type="x", options=does or {})
    return make_node(node_id, *dependencies, executor=spec, **fields)


@asynccontextmanager
async def open_rig(folder: Path, parallel: int = 2) -> AsyncIterator[Rig]:
    """Run an engine, until the block is left.

    Args:
        folder: where runs have their scratch directories.
        parallel: most attempts with a process at once.
    """
    store: Any = ListStore()
    executor = Executor()
    nothing: Any = None  # as nobody asks for it
    async with trio.open_nursery() as nursery:
        journal = Journal(store, refused=lambda run, why, _: engine.abandon(run, str(why)))
        await nursery.start(journal.run)
        engine = Engine(
            name="test",
            journal=journal,
            workshop=Workshop(
                executors={"x": executor},
                structure=lambda _name, options: options,
                processes=nothing,
                logs=nothing,
                scratch=ScratchSpace(folder / "scratch"),
            ),
            parallel=parallel,
            now=now,
            draw=lambda: 0.5,
        )
        await nursery.start(engine.run)
        yield Rig(store, journal, engine, executor)
        nursery.cancel_scope.cancel()
