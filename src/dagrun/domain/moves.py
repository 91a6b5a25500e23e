"""What every decision is made of: an event, or a place in the line of what may start."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dagrun.domain.events import RERUN_OF, Event, Type
from dagrun.domain.fold import apply
from dagrun.domain.ids import RunId
from dagrun.domain.state import NodeState, RunState, Work


def first_event(state: RunState) -> Event:
    """Give the event with which a run was accepted, from what it made of the run."""
    assert state.created_at is not None  # noqa: S101 — it was accepted
    data = acceptance(state.base, state.rerun_of)
    return Event(state.run_id, 1, 1, Type.RUN_QUEUED, state.created_at, data=data)


def acceptance(base: str | None, rerun_of: RunId | None) -> Mapping[str, Any] | None:
    """Give the data of the event with which a run is accepted."""
    data = {"base": base, RERUN_OF: rerun_of}
    return {name: value for name, value in data.items() if value} or None


def queue(state: RunState, work: Work) -> None:
    """Put a node or item in line; its turn comes when there is a place."""
    work.queued = True
    line = state.startable_processes if work.node.step.limited else state.startable
    line.append(work)


def emit_work(
    state: RunState, kind: Type, work: Work, now: datetime, data: Mapping[str, Any] | None
) -> None:
    """Let something happen to a node or item, in its present attempt."""
    attempt = work.attempt or None
    emit(state, kind, now, work.node.step.node.id, work.index, attempt, data)


def fail_node(state: RunState, node: NodeState, now: datetime, kind: str, message: str) -> None:
    """Let a node fail for what it is, and not for an attempt."""
    error = {"type": kind, "message": message}
    emit(state, Type.NODE_FAILED, now, node.step.node.id, data={"error": error})


def emit(
    state: RunState,
    kind: Type,
    now: datetime,
    node_id: str | None = None,
    item: int | None = None,
    attempt: int | None = None,
    data: Mapping[str, Any] | None = None,
    *,
    epoch: int | None = None,
) -> None:
    """Let something happen, and keep it for the journal."""
    event = Event(
        state.run_id,
        state.seq + 1,
        state.epoch if epoch is None else epoch,
        kind,
        now,
        node_id,
        item,
        attempt,
        data,
    )
    apply(state, event)
    state.outbox.append(event)
