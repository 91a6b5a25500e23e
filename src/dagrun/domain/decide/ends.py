"""How a run comes to its end: what it comes to, and the handlers that run before it is over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dagrun.domain.durations import format_duration
from dagrun.domain.events import Type
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.fold_run import drop_waiting_items
from dagrun.domain.handlers import due
from dagrun.domain.jsonvalue import NotJson
from dagrun.domain.moves import emit, emit_work, queue
from dagrun.domain.reasons import ENGINE_LOST, MOST_LOSSES, TIMEOUT
from dagrun.domain.scope import run_outputs
from dagrun.domain.state import Error, NodeState, Outcome, RunState
from dagrun.domain.status import NodeStatus, RunStatus


def finish(state: RunState, now: datetime) -> None:
    """End a run whose nodes have all ended.

    A paused one with handlers waits for its resumption: pausing starts nothing more.
    """
    if state.status is RunStatus.PAUSED and state.plan.handlers:
        return
    failed = next((node for node in state.nodes if node.failed), None)
    if failed is not None:
        _conclude(state, now, Outcome(RunStatus.FAILED, error=_node_failed(failed)))
        return
    try:
        outputs = run_outputs(state)
    except (ExpressionError, NotJson) as problem:
        error = {"type": "outputs", "message": f"the run's outputs: {problem}"}
        _conclude(state, now, Outcome(RunStatus.FAILED, error=error))
    else:
        _conclude(state, now, Outcome(RunStatus.SUCCEEDED, outputs=outputs))


def _node_failed(node: NodeState) -> Error:
    error = node.error or {}
    message = f"node {node.step.node.id}: {error.get('type')}: {error.get('message')}"
    return {"type": "node_failed", "message": message}


def wind_up(state: RunState, now: datetime) -> None:
    """End a cancelled run as soon as nothing of it runs any more, and no child of it."""
    lost, state.lost = state.lost, []
    for work in lost:
        emit_work(state, Type.NODE_CANCELLED, work, now, None)
    if state.running or state.waiting:
        return
    for node in state.nodes:
        _cancel_journaled(state, node, now)
    if state.reason == TIMEOUT:
        limit = format_duration(state.plan.workflow.timeout or 0.0)
        error = {"type": TIMEOUT, "message": f"the run took longer than {limit}"}
        _conclude(state, now, Outcome(RunStatus.FAILED, error=error))
    else:
        _conclude(state, now, Outcome(RunStatus.CANCELLED))


def _cancel_journaled(state: RunState, node: NodeState, now: datetime) -> None:
    """Journal the end of a node that a reader of the journal has heard of.

    Nodes of which nothing was journaled are cancelled with their run, without an event each.
    """
    if node.ended:
        return
    drop_waiting_items(node)
    for work in [*node.items.values(), node]:
        if not work.ended and work.status is not NodeStatus.PENDING:
            emit_work(state, Type.NODE_CANCELLED, work, now, None)


def _conclude(state: RunState, now: datetime, outcome: Outcome) -> None:
    """End the run, or decide on its outcome and let the handlers run that it calls for."""
    if not _calls_for_handlers(state, outcome):
        _end(state, now, outcome)
        return
    data = {"status": str(outcome.status), **(_data(outcome) or {})}
    emit(state, Type.RUN_ENDING, now, data=data)
    see_to_handlers(state, now)


def _calls_for_handlers(state: RunState, outcome: Outcome) -> bool:
    """A run that was cancelled before it ever started has nothing to be handled."""
    handlers = state.plan.workflow.handlers
    return bool(handlers and state.started_at and due(handlers, outcome.status))


def see_to_handlers(state: RunState, now: datetime) -> None:
    """Put the next handler in line, or end the run when there is none any more.

    A handler starts when everything before it is on disk, the outcome first of all.
    """
    state.lost.clear()  # a handler that was cut off has its turn once more, in the same attempt
    handler = state.next_handler()
    if handler is None:
        assert state.outcome is not None  # noqa: S101 — an ending run has one
        _end(state, now, state.outcome)
    elif state.losses.get(handler.step.node.id, 0) >= MOST_LOSSES:
        message = f"{MOST_LOSSES} engines were lost one after the other while it ran"
        error = {"type": ENGINE_LOST, "message": message}
        emit_work(state, Type.NODE_FAILED, handler, now, {"error": error})
        see_to_handlers(state, now)
    elif not handler.queued:
        handler.entry = state.seq
        queue(state, handler)


def _end(state: RunState, now: datetime, outcome: Outcome) -> None:
    emit(state, Type(f"run.{outcome.status}"), now, data=_data(outcome))


def _data(outcome: Outcome) -> Mapping[str, Any] | None:
    if outcome.outputs is not None:
        return {"outputs": outcome.outputs}
    return None if outcome.error is None else {"error": outcome.error}
