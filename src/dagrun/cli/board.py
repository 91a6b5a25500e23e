"""What the progress display knows: how each node stands, as far as the journal is durable."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs

from dagrun.domain.durations import format_duration
from dagrun.domain.events import Event, Type, is_kept
from dagrun.domain.explain import THEN, some_of
from dagrun.domain.handlers import due, handler_id
from dagrun.domain.jsonvalue import length
from dagrun.domain.reasons import POISON
from dagrun.domain.status import NODE_ENDED, NodeStatus, RunStatus
from dagrun.domain.workflow import Workflow

CUT_OFF: Final = "cut-off"


@attrs.define(eq=False)
class Row:
    """One node, or a handler."""

    node_id: str
    waits_for: int = 0
    """Nodes that it depends on and that have not ended."""

    status: NodeStatus = NodeStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    all_items: int | None = None
    """How many items ``for_each`` gave; None without it, or while that is not known."""

    items: Counter[NodeStatus] = attrs.field(factory=Counter)
    """Ends of the items so far."""

    note: str = ""
    """The last error, or why the node was skipped."""

    kept: bool = False
    """Whether it was done in another run."""

    running: dict[int | None, int] = attrs.field(factory=dict)
    """Items that run, or None for the node → the epoch under which their attempts began."""

    noted: int | None = None
    """The item that the note is about; None if it is about the node."""

    def seconds(self, now: datetime | None) -> float | None:
        """Give how long it took, or has taken so far if there is a ``now``."""
        end = self.finished_at or now
        if self.started_at is None or end is None:
            return None
        return max((end - self.started_at).total_seconds(), 0.0)

    def detail(self) -> str:
        """Give attempts and items in words; empty when there is nothing to say."""
        parts = [f"attempt {self.attempts}"] if self.attempts > 1 else []
        if self.all_items is not None:
            parts.append(f"{self.items.total()} of {self.all_items} items")
        bad = (item for item in sorted(self.items.items()) if item[0] is not NodeStatus.SUCCEEDED)
        parts += [f"{count} {status}" for status, count in bad]
        parts += ["kept"] if self.kept else []
        return ", ".join(parts)


class Board:
    """The rows of a run, changed by events. Those of handlers come when it is ending."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.rows = {node.id: Row(node.id, len(node.dependencies)) for node in workflow.nodes}
        self._then = {node.id: THEN[node.on_engine_loss] for node in workflow.nodes}
        self._dependants: dict[str, list[Row]] = {}
        for node in workflow.nodes:
            for dependency in node.dependencies:
                self._dependants.setdefault(dependency, []).append(self.rows[node.id])
        self.status = RunStatus.QUEUED
        self.epoch = 0
        """Of the last event."""

        self.poisoned = False
        """Whether it is paused because engines were lost one after the other with it."""

        self.outcome: RunStatus | None = None
        """What it comes to, while handlers run."""

        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.cut_off = False
        """Whether nobody executes the run any more, though it has not ended."""

        self.counts = Counter({NodeStatus.PENDING: len(self.rows)})

    def see(self, events: Iterable[Event]) -> list[Row]:
        """Take in durable events. Give the rows that changed, each once."""
        changed: dict[str, Row] = {}
        for event in events:
            self.epoch = event.epoch
            if event.node_id is None:
                self._see_run(event)
            else:
                row = self.rows[event.node_id]
                self._see_node(row, event)
                changed[row.node_id] = row
        return list(changed.values())

    def _see_run(self, event: Event) -> None:
        self.status = RunStatus(event.type.removeprefix("run."))
        paused, data = self.status is RunStatus.PAUSED, event.data or {}
        self.poisoned = paused and data.get("reason") == POISON
        if event.type is Type.RUN_RUNNING:
            self.started_at = self.started_at or event.time
            self._line_up(self.rows.values(), event.time)
        elif event.type in (Type.RUN_SUCCEEDED, Type.RUN_FAILED, Type.RUN_CANCELLED):
            self.finished_at = event.time
            self._close_graph(event)
        elif event.type is Type.RUN_ENDING and event.data and "status" in event.data:
            self.outcome = RunStatus(event.data["status"])
            self._close_graph(event)
            self._open_handlers(self.outcome)

    def _close_graph(self, event: Event) -> None:
        for row in self.rows.values():
            if row.status not in NODE_ENDED:  # never begun, so no event tells of it
                self._turn(row, NodeStatus.CANCELLED, event.time)

    def _open_handlers(self, outcome: RunStatus) -> None:
        ids = {which: handler_id(which) for which in self.workflow.handlers}
        for node_id in due(ids, outcome):
            self.rows[node_id] = Row(node_id)
            self.counts[NodeStatus.PENDING] += 1

    def _see_node(self, row: Row, event: Event) -> None:
        status = NodeStatus(event.type.removeprefix("node."))
        row.running.pop(event.item, None)
        if event.type is Type.NODE_RUNNING:
            row.running[event.item] = event.epoch
            row.started_at = row.started_at or event.time
            row.attempts = max(row.attempts, event.attempt or 0)
            if row.noted == event.item:
                row.note = ""  # of the attempt before
        if note := event_note(event):
            row.note, row.noted = note, event.item
        if event.data is not None and "items" in event.data:
            row.all_items = length(event.data["items"])
        row.kept = is_kept(event) and event.item is None and status in NODE_ENDED
        if event.item is not None:
            if status in NODE_ENDED:
                row.items[status] += 1
            if is_kept(event):
                return  # it was done before the run began: nothing runs
            status = NodeStatus.RUNNING
        self._turn(row, status, event.time)

    def _turn(self, row: Row, status: NodeStatus, time: datetime) -> None:
        self.counts[row.status] -= 1
        self.counts[status] += 1
        row.status = status
        if status in NODE_ENDED:
            row.finished_at = time
            if status is NodeStatus.SUCCEEDED:
                row.note = ""
            dependants = self._dependants.get(row.node_id, ())
            for dependant in dependants:
                dependant.waits_for -= 1
            self._line_up(dependants, time)

    def _line_up(self, rows: Iterable[Row], time: datetime) -> None:
        """Let those be ready that have nothing to wait for but their turn; no event tells of it."""
        if self.status is RunStatus.RUNNING:
            for row in rows:
                if row.status is NodeStatus.PENDING and not row.waits_for:
                    self._turn(row, NodeStatus.READY, time)

    def state(self) -> str:
        """Give the run's state in words, with the outcome that waits for handlers."""
        ending = self.status is RunStatus.ENDING
        state = f"ending ({self.outcome})" if ending else str(self.status)
        state += f" ({POISON})" if self.poisoned else ""
        if not self.cut_off:
            return state
        return CUT_OFF if self.status is RunStatus.RUNNING else f"{CUT_OFF} while {state}"

    def state_of(self, row: Row) -> str:
        """Give a row's state in words."""
        left = row.status is NodeStatus.RUNNING and (self.cut_off or self.is_left(row))
        return CUT_OFF if left else row.status

    def is_left(self, row: Row) -> bool:
        """Whether the run is paused, and what ran of a row was cut off with its engine before."""
        paused, epochs = self.status is RunStatus.PAUSED, row.running.values()
        return paused and bool(epochs) and all(epoch < self.epoch for epoch in epochs)

    def note_of(self, row: Row) -> str:
        """Give what there is to say of a row beside its state."""
        return self._then[row.node_id] if self.is_left(row) else row.note

    def summary(self) -> str:
        """Give how many nodes stand where."""
        return ", ".join(f"{n} {status}" for status, n in self.counts.items() if n)


def event_note(event: Event) -> str:
    """Give what a row says of an event: the error and when it is tried again, a child, or a reason."""
    data = event.data or {}
    if "error" in data:
        again = f"; again in {format_duration(data['delay'])}" if "delay" in data else ""
        return f"{data['error']['type']}: {data['error']['message']}{again}"
    if "child" in data:
        return f"run {data['child']}"
    return ": ".join(filter(None, (data.get("reason"), some_of(data.get("nodes", ())))))


def interesting(rows: Sequence[Row], most: int) -> list[Row]:
    """Choose the rows to show when not all fit: what runs or failed, then what ended last."""
    if len(rows) <= most:
        return list(rows)
    chosen = sorted(rows, key=_rank)[:most]
    order = {id(row): number for number, row in enumerate(rows)}
    return sorted(chosen, key=lambda row: order[id(row)])


_RANK = {
    NodeStatus.RUNNING: 0,
    NodeStatus.RETRYING: 1,
    NodeStatus.WAITING: 1,
    NodeStatus.FAILED: 2,
    NodeStatus.READY: 3,
    NodeStatus.PENDING: 5,
}


def _rank(row: Row) -> tuple[int, float]:
    ended = row.finished_at.timestamp() if row.finished_at else 0.0
    return _RANK.get(row.status, 4), -ended
