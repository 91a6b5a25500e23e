"""What follows by rule from a run's state, and what its engine may ask of it.

Everything here happens by events: it is applied through the fold and waits in
:attr:`RunState.outbox <dagrun.domain.state.RunState.outbox>` to be journaled. Times and random
numbers come in from the caller.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dagrun.domain.durations import format_duration
from dagrun.domain.events import Event, Type
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.fold import apply, drop_waiting_items, take_up
from dagrun.domain.jsonvalue import MAX_AGGREGATE, MAX_RUN_OUTPUTS, NotJson, Raw
from dagrun.domain.retry import next_delay, time_left
from dagrun.domain.rules import Verdict, skip_reason, verdict
from dagrun.domain.scope import announcement, may_retry, run_outputs
from dagrun.domain.state import Error, NodeState, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.domain.workflow import OnEngineLoss

REQUESTED = "requested"
TIMEOUT = "timeout"
"""Reasons of a cancellation."""

START_TIMEOUT = "start_timeout"
"""Type of the error of a run that waited too long in the queue."""

ENGINE_LOST = "engine_lost"
"""Type of the error of what ran on an engine that was lost, and is not to be done again."""


def submit(state: RunState, now: datetime, *, base: str | None = None) -> None:
    """Queue a run that nothing was journaled for.

    Args:
        state: the run.
        now: when it is accepted.
        base: the folder of the workflow's document, if it came from a file.
    """
    _emit(state, Type.RUN_QUEUED, now, data={"base": base} if base else None, epoch=1)


def begin(state: RunState, now: datetime, *, epoch: int, engine: str) -> None:
    """Start a queued run, or go on with one from where its journal ends, under a new epoch."""
    again = {
        RunStatus.PAUSED: Type.RUN_PAUSED,
        RunStatus.CANCELLING: Type.RUN_CANCELLING,
    }.get(state.status, Type.RUN_RUNNING)
    reason = {"reason": state.reason} if state.reason else {}
    _emit(state, again, now, data={"engine": engine, **reason}, epoch=epoch)
    if time_left_to_run(state, now) == 0:
        cancel(state, now, reason=TIMEOUT)  # it passed while nobody executed the run
    else:
        advance(state, now)


def advance(state: RunState, now: datetime) -> None:
    """Let everything happen that follows by rule, until something has to be waited for."""
    if state.status is RunStatus.CANCELLING:
        _wind_up(state, now)
        return
    if state.ended or state.status is RunStatus.QUEUED:
        return
    _see_to_lost(state, now)
    while state.dirty:
        _consider(state, state.nodes[state.dirty.popleft()], now)
    if not state.unfinished:
        _finish(state, now)


# What an engine reports


def pop_startable(state: RunState, *, processes: bool) -> Work | None:
    """Take the next node or item that may start, or None.

    Args:
        state: the run.
        processes: whether to look among what ``DAGRUN_PARALLEL`` counts, or among the rest.
    """
    if state.status is not RunStatus.RUNNING:
        return None
    line = state.startable_processes if processes else state.startable
    while line:
        work = line.popleft()
        if work.queued and not work.ended and not work.node.ended:
            return work
    return None


def start(state: RunState, work: Work, now: datetime) -> int:
    """Start an attempt, and give the ``seq`` that must be durable before it does anything."""
    lost = work.status is NodeStatus.RUNNING
    attempt = work.attempt if lost else work.attempt + 1
    step = work.node.step
    _emit(state, Type.NODE_RUNNING, now, step.node.id, work.index, attempt)
    if step.guarded_start:
        return work.hold
    return work.node.entry


def succeed(state: RunState, work: Work, outputs: Raw, now: datetime) -> None:
    """Record that an attempt returned."""
    if state.output_bytes + len(bytes(outputs)) > MAX_RUN_OUTPUTS:
        message = f"the outputs of the run would pass {MAX_RUN_OUTPUTS} bytes"
        fail(state, work, {"type": "output", "message": message}, now, draw=0, retryable=False)
        return
    _emit_work(state, Type.NODE_SUCCEEDED, work, now, {"outputs": outputs})
    advance(state, now)


def fail(
    state: RunState,
    work: Work,
    error: Error,
    now: datetime,
    *,
    draw: float,
    retryable: bool = True,
) -> None:
    """Record that an attempt failed, and whether there will be another one.

    Args:
        state: the run.
        work: what was attempted.
        error: what went wrong.
        now: when.
        draw: a random number in [0, 1) for the jitter of the delay.
        retryable: False when another attempt would fail in the same way.
    """
    delay = None
    if retryable:
        try:
            delay = _delay(state, work, error, draw)
        except ExpressionError as problem:
            why = f"{error.get('message')} (not tried again: retry.when: {problem})"
            error = {**error, "message": why}
    if delay is None:
        _emit_work(state, Type.NODE_FAILED, work, now, {"error": error})
    else:
        _emit_work(state, Type.NODE_RETRYING, work, now, {"error": error, "delay": delay})
    advance(state, now)


def stopped(state: RunState, work: Work, now: datetime) -> None:
    """Record that an attempt was stopped because the run is being cancelled."""
    _emit_work(state, Type.NODE_CANCELLED, work, now, None)
    advance(state, now)


def wake(state: RunState, work: Work) -> None:
    """Put a failed attempt's successor in line: its delay has passed."""
    if work.status is NodeStatus.RETRYING and not work.queued and not state.ended:
        _queue(state, work)


def time_left_to_run(state: RunState, now: datetime) -> float | None:
    """Give the seconds until a run's timeout, or None when no clock is running."""
    timeout = state.plan.workflow.timeout
    if timeout is None or state.started_at is None or state.status is not RunStatus.RUNNING:
        return None
    spent = (now - state.started_at).total_seconds() - state.paused_for
    return time_left(timeout, spent)


# What people ask for


def cancel(
    state: RunState, now: datetime, *, reason: str = REQUESTED, epoch: int | None = None
) -> bool:
    """Ask for the end of a run. Give False if it has ended, or ends already.

    ``epoch``, here and below, is the run's if it was handed over since its last event.
    """
    if state.ended or state.status is RunStatus.CANCELLING:
        return False
    _emit(state, Type.RUN_CANCELLING, now, data={"reason": reason}, epoch=epoch)
    advance(state, now)
    return True


def pause(
    state: RunState, now: datetime, *, reason: str = REQUESTED, epoch: int | None = None
) -> bool:
    """Start nothing more. Give False if the run neither runs nor waits in the queue."""
    if state.status not in (RunStatus.RUNNING, RunStatus.QUEUED):
        return False
    _emit(state, Type.RUN_PAUSED, now, data={"reason": reason}, epoch=epoch)
    return True


def resume(state: RunState, now: datetime) -> bool:
    """Go on with a paused run. Give False if it is not paused."""
    if state.status is not RunStatus.PAUSED:
        return False
    _emit(state, Type.RUN_RUNNING, now)
    advance(state, now)
    return True


def requeue(state: RunState, now: datetime, *, epoch: int | None = None) -> bool:
    """Let a paused run that no engine holds wait for one. Give False if it is not paused."""
    if state.status is not RunStatus.PAUSED:
        return False
    _emit(state, Type.RUN_QUEUED, now, epoch=epoch)
    return True


def expire(state: RunState, now: datetime, *, epoch: int | None = None) -> bool:
    """End a run that waited in the queue for its ``start_timeout``. Give False if it does not."""
    if state.status is not RunStatus.QUEUED:
        return False
    limit = format_duration(state.plan.workflow.start_timeout or 0.0)
    error = {"type": START_TIMEOUT, "message": f"the run waited longer than {limit} for its start"}
    _emit(state, Type.RUN_FAILED, now, data={"error": error}, epoch=epoch)
    return True


# Nodes


def _consider(state: RunState, node: NodeState, now: datetime) -> None:
    """Do what follows for one node. Called again, it does nothing twice."""
    if node.ended or node.queued:
        return
    if node.values is not None:
        _consider_items(state, node, now)
    elif node.status is NodeStatus.PENDING:
        _consider_pending(state, node, now)
    elif node.status is NodeStatus.READY:
        _consider_ready(state, node, now)


def _consider_pending(state: RunState, node: NodeState, now: datetime) -> None:
    match verdict(node):
        case Verdict.SKIP:
            _skip(state, node, now, skip_reason(state, node))
        case Verdict.START if node.step.announced:
            _announce(state, node, now)
        case Verdict.START:
            _queue(state, node)
        case Verdict.WAIT:
            pass


def _consider_ready(state: RunState, node: NodeState, now: datetime) -> None:
    if node.condition:
        _queue(state, node)
    else:
        _skip(state, node, now, f"when: {node.step.node.when}")


def _announce(state: RunState, node: NodeState, now: datetime) -> None:
    try:
        data = announcement(state, node)
    except (ExpressionError, NotJson) as error:
        _fail_node(state, node, now, "expression", str(error))
    else:
        _emit(state, Type.NODE_READY, now, node.step.node.id, data=data)


def _skip(state: RunState, node: NodeState, now: datetime, reason: str) -> None:
    _emit(state, Type.NODE_SKIPPED, now, node.step.node.id, data={"reason": reason})


def _fail_node(state: RunState, node: NodeState, now: datetime, kind: str, message: str) -> None:
    error = {"type": kind, "message": message}
    _emit(state, Type.NODE_FAILED, now, node.step.node.id, data={"error": error})


def _queue(state: RunState, work: Work) -> None:
    work.queued = True
    line = state.startable_processes if work.node.step.limited else state.startable
    line.append(work)


# Items


def _consider_items(state: RunState, node: NodeState, now: datetime) -> None:
    if _is_given_up(node):
        _give_up_items(state, node, now)
        return
    values = node.values or []
    most = node.step.node.max_parallel or len(values)
    while node.active_items < most and node.next_item < len(values):
        if node.next_item not in node.items:
            _queue(state, take_up(node, node.next_item))
        node.next_item += 1
    if not node.active_items and node.next_item == len(values):
        _emit(state, Type.NODE_SUCCEEDED, now, node.step.node.id)


def _is_given_up(node: NodeState) -> bool:
    """Whether a node fails, whatever becomes of its other items."""
    return node.failed_items > node.step.node.tolerate or node.item_bytes > MAX_AGGREGATE


def _give_up_items(state: RunState, node: NodeState, now: datetime) -> None:
    """Start no more items, let the running ones end, then fail."""
    if not node.gave_up:
        drop_waiting_items(node)
        for item in [i for i in node.items.values() if i.status is NodeStatus.RETRYING]:
            _emit_work(state, Type.NODE_FAILED, item, now, {"error": item.error})
        node.gave_up = True
    if node.active_items:
        return
    if node.failed_items <= node.step.node.tolerate:
        message = f"the items' outputs have more than {MAX_AGGREGATE} bytes together"
        _fail_node(state, node, now, "output", message)
    else:
        failed = (item for item in node.items.values() if item.status is NodeStatus.FAILED)
        first, error = min(map(_culprit, failed))[1:]
        _fail_node(state, node, now, "item_failed", f"item {first}: {error.get('message')}")


def _culprit(item: Work) -> tuple[bool, int, Error]:
    """Give what failed items are ordered by: one that was only lost explains nothing."""
    error = item.error or {}
    return error.get("type") == ENGINE_LOST, item.index or 0, error


def _is_doomed(work: Work) -> bool:
    """Whether it is an item of a node that fails, whatever becomes of the item."""
    return work.index is not None and _is_given_up(work.node)


# Ends


def _see_to_lost(state: RunState, now: datetime) -> None:
    lost, state.lost = state.lost, []
    for work in lost:
        if work.node.step.node.on_engine_loss is OnEngineLoss.RETRY and not _is_doomed(work):
            _queue(state, work)
        else:
            error = {"type": ENGINE_LOST, "message": "its engine was lost while it ran"}
            _emit_work(state, Type.NODE_FAILED, work, now, {"error": error})


def _delay(state: RunState, work: Work, error: Error, draw: float) -> float | None:
    if state.status is RunStatus.CANCELLING or _is_doomed(work):
        return None
    delay = next_delay(work.node.step.node.retry, work.attempt, draw)
    return delay if delay is not None and may_retry(state, work, error) else None


def _wind_up(state: RunState, now: datetime) -> None:
    """End a cancelled run as soon as nothing of it runs any more."""
    lost, state.lost = state.lost, []
    for work in lost:
        _emit_work(state, Type.NODE_CANCELLED, work, now, None)
    if state.running:
        return
    for node in state.nodes:
        _cancel_journaled(state, node, now)
    if state.reason == TIMEOUT:
        limit = format_duration(state.plan.workflow.timeout or 0.0)
        error = {"type": TIMEOUT, "message": f"the run took longer than {limit}"}
        _emit(state, Type.RUN_FAILED, now, data={"error": error})
    else:
        _emit(state, Type.RUN_CANCELLED, now)


def _cancel_journaled(state: RunState, node: NodeState, now: datetime) -> None:
    """Journal the end of a node that a reader of the journal has heard of.

    Nodes of which nothing was journaled are cancelled with their run, without an event each.
    """
    if node.ended:
        return
    drop_waiting_items(node)
    for work in [*node.items.values(), node]:
        if not work.ended and work.status is not NodeStatus.PENDING:
            _emit_work(state, Type.NODE_CANCELLED, work, now, None)


def _finish(state: RunState, now: datetime) -> None:
    failed = next((node for node in state.nodes if node.failed), None)
    error = None if failed is None else _node_failed(failed)
    if error is None:
        try:
            outputs = run_outputs(state)
        except (ExpressionError, NotJson) as problem:
            error = {"type": "outputs", "message": f"the run's outputs: {problem}"}
        else:
            _emit(state, Type.RUN_SUCCEEDED, now, data={"outputs": outputs})
            return
    _emit(state, Type.RUN_FAILED, now, data={"error": error})


def _node_failed(node: NodeState) -> Error:
    error = node.error or {}
    message = f"node {node.step.node.id}: {error.get('type')}: {error.get('message')}"
    return {"type": "node_failed", "message": message}


# Events


def _emit_work(
    state: RunState, kind: Type, work: Work, now: datetime, data: Mapping[str, Any] | None
) -> None:
    attempt = work.attempt or None
    _emit(state, kind, now, work.node.step.node.id, work.index, attempt, data)


def _emit(
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
