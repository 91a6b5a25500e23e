"""What an engine reports of attempts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dagrun.domain.decide.items import is_doomed
from dagrun.domain.decide.nodes import advance
from dagrun.domain.events import Type
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.jsonvalue import MAX_RUN_OUTPUTS, Raw
from dagrun.domain.moves import emit, emit_work, queue
from dagrun.domain.reasons import TOO_LARGE
from dagrun.domain.retry import next_delay
from dagrun.domain.scope import may_retry
from dagrun.domain.state import Error, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus


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
        fail(state, work, {"type": TOO_LARGE, "message": message}, now, draw=0, retryable=False)
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


def _delay(state: RunState, work: Work, error: Error, draw: float) -> float | None:
    if state.status is RunStatus.CANCELLING or is_doomed(work):
        return None
    delay = next_delay(work.node.step.node.retry, work.attempt, draw)
    return delay if delay is not None and may_retry(state, work, error) else None


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


def stopped(state: RunState, work: Work, now: datetime) -> None:
    """Record that an attempt was stopped because the run is being cancelled."""
    emit_work(state, Type.NODE_CANCELLED, work, now, None)
    advance(state, now)


def wake(state: RunState, work: Work) -> None:
    """Put a failed attempt's successor in line: its delay has passed."""
    if work.status is NodeStatus.RETRYING and not work.queued and not state.ended:
        queue(state, work)
