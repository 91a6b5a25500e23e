"""Runs that earlier processes left in a store, at a moment that a test needs."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dagrun.domain import decide
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.state import RunState, Work
from dagrun.domain.workflow import Node, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.ports.store import Parent, Store
from dagrun.roles.submission import Submission, accept
from dagrun.services.plans import NothingToOpen, Plans
from dagrun.testing.managed import EXECUTOR, Told


class Seeds:
    """Stores runs without executing them.

    Args:
        store: where they go.
    """

    def __init__(self, store: Store) -> None:
        registry = load_plugins().registry
        registry.executors.add(EXECUTOR, Told)
        self._store = store
        self._plans = Plans(registry, NothingToOpen(), NothingToOpen())

    async def put(
        self,
        workflow: Workflow,
        *,
        owner: str = "orchestrator",
        parent: Parent | None = None,
        go: Callable[[RunState], None] = lambda _: None,
    ) -> RunState:
        """Store a run.

        Args:
            workflow: what it runs.
            owner: whose it is.
            parent: what started it.
            go: lets things happen to it before it is left alone.
        """
        prepared = await self._plans.prepare(workflow)
        submission = Submission(workflow=workflow, inputs={}, parent=parent)
        run, events, _ = accept(submission, prepared, owner=owner, now=now())
        state = RunState(prepared.plan, run.run_id, run.inputs)
        replay(state, list(events))
        taken = await self._store.commit(events, new_runs=[run], definitions=[prepared.definition])
        assert not taken.unsaved, taken  # noqa: S101 — a test's own mistake
        go(state)
        await self._store.commit(state.take_events())
        return state


def now() -> datetime:
    """Give the time, in UTC."""
    return datetime.now(UTC)


def begun(state: RunState) -> list[Work]:
    """Start a run, and all that may start."""
    decide.begin(state, now(), epoch=1, engine="e1")
    return started(state)


def started(state: RunState) -> list[Work]:
    """Start all that may start."""
    works = []
    while work := decide.pop_startable(state, processes=False):
        decide.start(state, work, now())
        works.append(work)
    return works


def succeeded(state: RunState) -> None:
    """Start a run, and let all its nodes succeed."""
    works = begun(state)
    while works:
        decide.succeed(state, works.pop(), EMPTY, now())
        works += started(state) if not state.ended else []


def child_of(run_id: RunId, node_id: str, **fields: Any) -> Parent:
    """Say that a node of a run started another one."""
    given = {"epoch": 1, "item": None, "attempt": 1, "depth": 1, **fields}
    return Parent(run_id=run_id, node_id=node_id, **given)


def told(*names: str, workflow_id: str = "w", inputs: Any = None, **fields: Any) -> Workflow:
    """Make a workflow of nodes beside each other that do what they are told."""
    nodes = [Node(name, executor={"type": EXECUTOR}, inputs=inputs or {}) for name in names]
    return Workflow(workflow_id, "1.0.0", nodes=nodes, **fields)
