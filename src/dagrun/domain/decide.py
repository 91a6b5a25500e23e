"""What follows by rule from a run's state, and what its engine may ask of it.

Everything here happens by events: it is applied through the fold and waits in
:attr:`RunState.outbox <dagrun.domain.state.RunState.outbox>` to be journaled. Times and random
numbers come in from the caller.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from dagrun.domain import ends
from dagrun.domain.durations import format_duration
from dagrun.domain.events import Type
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.fold import take_up
from dagrun.domain.fold_run import drop_waiting_items
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY, MAX_AGGREGATE, MAX_RUN_OUTPUTS, NotJson, Raw, check
from dagrun.domain.moves import acceptance, emit, emit_work, queue
from dagrun.domain.retry import next_delay, time_left
from dagrun.domain.rules import Verdict, skip_reason, verdict
from dagrun.domain.scope import announcement, may_retry
from dagrun.domain.state import Error, NodeState, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.domain.workflow import OnEngineLoss

REQUESTED = "requested"
TIMEOUT = ends.TIMEOUT
"""Reasons of a cancellation."""

START_TIMEOUT = "start_timeout"
"""Type of the error of a run that waited too long in the queue."""

ENGINE_LOST = "engine_lost"
"""Type of the error of what ran on an engine that was lost, and is not to be done again."""

TOO_LARGE = "output"
"""Type of the error of outputs that no node may have."""

POISON = "poison"
"""Why a run is paused of which one node seems to end its engines."""

MOST_LOSSES: Final = ends.MOST_LOSSES


def submit(
    state: RunState, now: datetime, *, base: str | None = None, rerun_of: RunId | None = None
) -> None:
    """Queue a run that nothing was journaled for.

    Args:
        state: the run.
        now: when it is accepted.
        base: the folder of the workflow's document, if it came from a file.
        rerun_of: the run of which this one is run again, see :mod:`dagrun.domain.rerun`.
    """
    emit(state, Type.RUN_QUEUED, now, data=acceptance(base, rerun_of), epoch=1)


def begin(
    state: RunState,
    now: datetime,
    *,
    epoch: int,
    engine: str,
    lost: bool = False,
    reason: str | None = None,
) -> None:
    """Start a queued run, or go on with one from where its journal ends, under a new epoch.

    A run of which the same node was running when :data:`MOST_LOSSES` engines in a row were lost is
    paused instead.

    Args:
        state: the run.
        now: when.
        epoch: the new one.
        engine: who executes the run from now on.
        lost: whether the engine before was lost.
        reason: why it is to be cancelled before anything of it starts; None if it is not.
    """
    _hand_over(state, now, epoch, engine, lost=lost, reason=reason)
    poisoned = next((node for node, n in state.losses.items() if n >= MOST_LOSSES), None)
    if state.status is RunStatus.RUNNING and poisoned is not None:
        emit(state, Type.RUN_PAUSED, now, data={"reason": POISON, "node": poisoned})
    elif state.status is RunStatus.RUNNING and time_left_to_run(state, now) == 0:
        cancel(state, now, reason=TIMEOUT)  # it passed while nobody executed the run
    else:
        advance(state, now)


def _hand_over(
    state: RunState, now: datetime, epoch: int, engine: str, *, lost: bool, reason: str | None
) -> None:
    again = {
        RunStatus.PAUSED: Type.RUN_PAUSED,
        RunStatus.CANCELLING: Type.RUN_CANCELLING,
        RunStatus.ENDING: Type.RUN_ENDING,
    }.get(state.status, Type.RUN_RUNNING)
    why = state.reason
    if reason is not None and again not in (Type.RUN_CANCELLING, Type.RUN_ENDING):
        again, why = Type.RUN_CANCELLING, reason
    # The engine stands first: by that the store finds these events without decoding others.
    data = {
        "engine": engine,
        **({"lost": True} if lost else {}),
        **({"reason": why} if why else {}),
    }
    emit(state, again, now, data=data, epoch=epoch)


def advance(state: RunState, now: datetime) -> None:
    """Let everything happen that follows by rule, until something has to be waited for."""
    if state.status is RunStatus.CANCELLING:
        ends.wind_up(state, now)
        return
    if state.status is RunStatus.ENDING:
        ends.see_to_handlers(state, now)
        return
    if state.ended or state.status is RunStatus.QUEUED:
        return
    _see_to_lost(state, now)
    while state.dirty:
        _consider(state, state.nodes[state.dirty.popleft()], now)
    if not state.unfinished:
        ends.finish(state, now)


# What an engine reports


def pop_startable(state: RunState, *, processes: bool) -> Work | None:
    """Take the next node or item that may start, or None.

    Args:
        state: the run.
        processes: whether to look among what ``DAGRUN_PARALLEL`` counts, or among the rest.
    """
    if state.status is not RunStatus.RUNNING and state.status is not RunStatus.ENDING:
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
    emit(state, Type.NODE_RUNNING, now, step.node.id, work.index, attempt)
    if step.guarded_start:
        return work.hold
    return work.node.entry


def succeed(state: RunState, work: Work, outputs: Raw, now: datetime) -> None:
    """Record that an attempt returned."""
    too_much = state.output_bytes + len(bytes(outputs)) > MAX_RUN_OUTPUTS
    if too_much and work.node.step.handles is None:
        message = f"the outputs of the run would pass {MAX_RUN_OUTPUTS} bytes"
        fail(state, work, {"type": "output", "message": message}, now, draw=0, retryable=False)
        return
    emit_work(state, Type.NODE_SUCCEEDED, work, now, {"outputs": outputs})
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
        emit_work(state, Type.NODE_FAILED, work, now, {"error": error})
    else:
        emit_work(state, Type.NODE_RETRYING, work, now, {"error": error, "delay": delay})
    advance(state, now)


def wait(state: RunState, work: Work, data: Mapping[str, Any], now: datetime) -> None:
    """Record that an attempt handed over to a child run, and waits for its end.

    Args:
        state: the run.
        work: what was attempted.
        data: ``child``: id of the run; ``version``: of its workflow.
        now: when.
    """
    emit_work(state, Type.NODE_WAITING, work, now, data)
    advance(state, now)


def child_ended(state: RunState, data: Mapping[str, Any], now: datetime, *, draw: float) -> bool:
    """Record that a child run has ended. Give False if nobody waits for it.

    What failed, or was cancelled by itself, is another attempt's turn under the retry policy.

    Args:
        state: the run.
        data: ``node_id``, ``item`` and ``attempt`` that the child was started for; its
            ``run_id``; its ``status``, and ``outputs`` or ``error``.
        now: when.
        draw: a random number in [0, 1) for the jitter of a delay.
    """
    work = _asked_for(state, data)
    if work is None or work.status is not NodeStatus.WAITING or work.child != data["run_id"]:
        return False
    if data["status"] == RunStatus.SUCCEEDED:
        _take_outputs(state, work, data, now)
    elif data["status"] == RunStatus.CANCELLED and state.status is RunStatus.CANCELLING:
        stopped(state, work, now)
    elif (error := data.get("error") or {}).get("type") == TOO_LARGE:
        fail(state, work, error, now, draw=draw, retryable=False)
    else:
        fail(state, work, _error_of_child(data), now, draw=draw)
    return True


def will_wait(state: RunState, data: Mapping[str, Any]) -> Work | None:
    """Give what is being attempted and may yet turn out to wait for a child that has ended.

    The end of a child may be heard of before its start is: the engine that asked for it was lost,
    and the next one makes the same attempt again.
    """
    work = _asked_for(state, data)
    return work if work is not None and work.status is NodeStatus.RUNNING else None


def _asked_for(state: RunState, data: Mapping[str, Any]) -> Work | None:
    """Give that for which a child was started; None if that attempt has ended."""
    step = state.plan.by_id.get(data["node_id"])
    if step is None or state.ended:
        return None
    node = state.nodes[step.index]
    item = data.get("item")
    work = node if item is None else node.items.get(item)
    return work if work is not None and work.attempt == data["attempt"] else None


def _take_outputs(state: RunState, work: Work, data: Mapping[str, Any], now: datetime) -> None:
    outputs: Raw = data.get("outputs") or EMPTY
    try:
        check(bytes(outputs))  # a run's may be larger than a node's
    except NotJson as problem:
        message = f"the outputs of run {data['run_id']}: {problem}"
        error = {"type": TOO_LARGE, "message": message}
        fail(state, work, error, now, draw=0, retryable=False)
    else:
        succeed(state, work, outputs, now)


def _error_of_child(data: Mapping[str, Any]) -> Error:
    if data["status"] == RunStatus.CANCELLED:
        message = f"run {data['run_id']} was cancelled"
        return {"type": "child_cancelled", "message": message}
    error = data.get("error") or {}
    return {"type": "child_failed", "message": f"run {data['run_id']}: {error.get('message')}"}


def stopped(state: RunState, work: Work, now: datetime) -> None:
    """Record that an attempt was stopped because the run is being cancelled."""
    emit_work(state, Type.NODE_CANCELLED, work, now, None)
    advance(state, now)


def wake(state: RunState, work: Work) -> None:
    """Put a failed attempt's successor in line: its delay has passed."""
    if work.status is NodeStatus.RETRYING and not work.queued and not state.ended:
        queue(state, work)


def time_left_to_run(state: RunState, now: datetime) -> float | None:
    """Give the seconds that a run has until its timeout, going by the times of its journal.

    Who executes it asks once, and then counts by a clock that nobody can set. None without a
    timeout, and for a run that is past it: cancelling, ending or ended.
    """
    timeout = state.plan.workflow.timeout
    if timeout is None or state.status not in (
        RunStatus.QUEUED,
        RunStatus.RUNNING,
        RunStatus.PAUSED,
    ):
        return None
    if state.started_at is None:
        return timeout
    spent = ((state.paused_at or now) - state.started_at).total_seconds() - state.paused_for
    return time_left(timeout, spent)


def parked(state: RunState) -> bool:
    """Whether all that is left to do of a run is to wait for child runs to end.

    Then nobody need execute it until there is something to tell it of. A retry's delay is something
    to do.
    """
    if not state.waiting or state.running:
        return False
    if state.status is RunStatus.CANCELLING:
        return True
    return state.status is RunStatus.RUNNING and not (
        state.retrying or state.lost or state.dirty or _has_startable(state)
    )


def _has_startable(state: RunState) -> bool:
    """Whether anything in line may start; what was dropped may still stand there."""
    lines = (state.startable, state.startable_processes)
    return any(
        work.queued and not work.ended and not work.node.ended for line in lines for work in line
    )


# What people ask for


def cancel(
    state: RunState, now: datetime, *, reason: str = REQUESTED, epoch: int | None = None
) -> bool:
    """Ask for the end of a run. Give False if it has ended, or ends already.

    It ends already while its handlers run: they are part of the end, and it has its outcome.
    ``epoch``, here and below, is the run's if it was handed over since its last event.
    """
    if state.ended or state.status in (RunStatus.CANCELLING, RunStatus.ENDING):
        return False
    emit(state, Type.RUN_CANCELLING, now, data={"reason": reason}, epoch=epoch)
    advance(state, now)
    return True


def pause(
    state: RunState, now: datetime, *, reason: str = REQUESTED, epoch: int | None = None
) -> bool:
    """Start nothing more. Give False if the run neither runs nor waits in the queue."""
    if state.status not in (RunStatus.RUNNING, RunStatus.QUEUED):
        return False
    emit(state, Type.RUN_PAUSED, now, data={"reason": reason}, epoch=epoch)
    return True


def resume(state: RunState, now: datetime) -> bool:
    """Go on with a paused run. Give False if it is not paused."""
    if state.status is not RunStatus.PAUSED:
        return False
    emit(state, Type.RUN_RUNNING, now)
    advance(state, now)
    return True


def requeue(state: RunState, now: datetime, *, epoch: int | None = None) -> bool:
    """Let a paused run that no engine holds wait for one. Give False if it is not paused."""
    if state.status is not RunStatus.PAUSED:
        return False
    emit(state, Type.RUN_QUEUED, now, epoch=epoch)
    return True


def expire(state: RunState, now: datetime, *, epoch: int | None = None) -> bool:
    """End a run that waited in the queue for its ``start_timeout``. Give False if it does not."""
    if state.status is not RunStatus.QUEUED:
        return False
    limit = format_duration(state.plan.workflow.start_timeout or 0.0)
    error = {"type": START_TIMEOUT, "message": f"the run waited longer than {limit} for its start"}
    emit(state, Type.RUN_FAILED, now, data={"error": error}, epoch=epoch)
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
            queue(state, node)
        case Verdict.WAIT:
            pass


def _consider_ready(state: RunState, node: NodeState, now: datetime) -> None:
    if node.condition:
        queue(state, node)
    else:
        _skip(state, node, now, f"when: {node.step.node.when}")


def _announce(state: RunState, node: NodeState, now: datetime) -> None:
    try:
        data = announcement(state, node)
    except (ExpressionError, NotJson) as error:
        _fail_node(state, node, now, "expression", str(error))
    else:
        emit(state, Type.NODE_READY, now, node.step.node.id, data=data)


def _skip(state: RunState, node: NodeState, now: datetime, reason: str) -> None:
    emit(state, Type.NODE_SKIPPED, now, node.step.node.id, data={"reason": reason})


def _fail_node(state: RunState, node: NodeState, now: datetime, kind: str, message: str) -> None:
    error = {"type": kind, "message": message}
    emit(state, Type.NODE_FAILED, now, node.step.node.id, data={"error": error})


# Items


def _consider_items(state: RunState, node: NodeState, now: datetime) -> None:
    if _is_given_up(node):
        _give_up_items(state, node, now)
        return
    values = node.values or []
    most = node.step.node.max_parallel or len(values)
    while node.active_items < most and node.next_item < len(values):
        if node.next_item not in node.items:
            queue(state, take_up(node, node.next_item))
        node.next_item += 1
    if not node.active_items and node.next_item == len(values):
        emit(state, Type.NODE_SUCCEEDED, now, node.step.node.id)


def _is_given_up(node: NodeState) -> bool:
    """Whether a node fails, whatever becomes of its other items."""
    return node.failed_items > node.step.node.tolerate or node.item_bytes > MAX_AGGREGATE


def _give_up_items(state: RunState, node: NodeState, now: datetime) -> None:
    """Start no more items, let the running ones end, then fail."""
    if not node.gave_up:
        drop_waiting_items(node)
        for item in [i for i in node.items.values() if i.status is NodeStatus.RETRYING]:
            emit_work(state, Type.NODE_FAILED, item, now, {"error": item.error})
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
            queue(state, work)
        else:
            error = {"type": ENGINE_LOST, "message": "its engine was lost while it ran"}
            emit_work(state, Type.NODE_FAILED, work, now, {"error": error})


def _delay(state: RunState, work: Work, error: Error, draw: float) -> float | None:
    if state.status is RunStatus.CANCELLING or _is_doomed(work):
        return None
    delay = next_delay(work.node.step.node.retry, work.attempt, draw)
    return delay if delay is not None and may_retry(state, work, error) else None
