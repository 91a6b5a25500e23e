"""What a batch of events changes in the tables of runs and nodes.

Any way to cut a journal into batches leaves the same rows behind: a batch is folded here into at
most one change a row, and a store applies changes by the rules that the fields state.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import attrs

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.status import NODE_ENDED, RUN_ENDED

ENDS: Final = frozenset(Type(f"run.{status}") for status in RUN_ENDED)
NODE_ENDS: Final = frozenset(Type(f"node.{status}") for status in NODE_ENDED)
CLEARED: Final[dict[str, str]] = {}
"""As an error: there was one, and it counts no more."""


@attrs.define(eq=True)
class RunChange:
    """What becomes of a run's row."""

    run_id: RunId
    status: str = ""
    """Replaces the old one, as do ``epoch`` and ``last_seq``."""

    epoch: int = 0
    last_seq: int = 0
    started_at: datetime | None = None
    """Kept if the row has one."""

    finished_at: datetime | None = None
    """Replaces the old one unless None, as do the next two."""

    error: Any = None
    outputs_seq: int | None = None
    """Position of the event that carries the outputs."""


@attrs.define(eq=True)
class NodeChange:
    """What becomes of the row of a node or item."""

    run_id: RunId
    node_id: str
    item: int | None
    status: str = ""
    """Replaces the old one."""

    attempts: int = 0
    """The greater one stays."""

    started_at: datetime | None = None
    """Kept if the row has one."""

    finished_at: datetime | None = None
    """Replaces the old one unless None, as do the next two."""

    error: Any = None
    """:data:`CLEARED` takes an old one away."""

    outputs_seq: int | None = None


@attrs.define(eq=True)
class Changes:
    """What a batch changes."""

    runs: dict[RunId, RunChange] = attrs.field(factory=dict)
    nodes: dict[tuple[RunId, str, int | None], NodeChange] = attrs.field(factory=dict)


def project(events: Iterable[Event]) -> Changes:
    """Fold a batch of events, in journal order for each run."""
    changes = Changes()
    runs, nodes = changes.runs, changes.nodes
    for event in events:
        run = runs.get(event.run_id)
        if run is None:
            run = runs[event.run_id] = RunChange(event.run_id)
        run.epoch, run.last_seq = event.epoch, event.seq
        if event.node_id is None:
            _change_run(run, event)
            continue
        key = (event.run_id, event.node_id, event.item)
        node = nodes.get(key)
        if node is None:
            node = nodes[key] = NodeChange(*key)
        _change_node(node, event)
        if event.item is not None and event.type is Type.NODE_RUNNING:
            _show_running(changes, event)
    return changes


def _change_run(run: RunChange, event: Event) -> None:
    run.status = event.type[4:]  # what stands behind "run."
    if event.type is Type.RUN_RUNNING:
        run.started_at = run.started_at or event.time
    elif event.type in ENDS:
        data = event.data or {}
        run.finished_at = event.time
        run.error = data.get("error")
        if "outputs" in data:
            run.outputs_seq = event.seq


def _show_running(changes: Changes, event: Event) -> None:
    """The node of an item that starts runs, too, since its first item."""
    key = (event.run_id, event.node_id or "", None)
    node = changes.nodes.get(key)
    if node is None:
        node = changes.nodes[key] = NodeChange(*key)
    node.status = "running"
    node.started_at = node.started_at or event.time
    node.attempts = max(node.attempts, event.attempt or 0)


def _change_node(node: NodeChange, event: Event) -> None:
    kind, data = event.type, event.data
    node.status = kind[5:]  # what stands behind "node."
    if kind is Type.NODE_RUNNING:
        node.started_at = node.started_at or event.time
        node.attempts = max(node.attempts, event.attempt or 0)
        return
    if kind in NODE_ENDS:
        node.finished_at = event.time
    if kind is Type.NODE_SUCCEEDED:
        node.error = CLEARED
        if data is not None and "outputs" in data:
            node.outputs_seq = event.seq
    elif data is not None and "error" in data:
        node.error = data["error"]
