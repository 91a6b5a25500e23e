"""How a run comes to its end."""

from datetime import datetime

from dagrun.domain.durations import format_duration
from dagrun.domain.events import Type
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.fold_run import drop_waiting_items
from dagrun.domain.jsonvalue import NotJson
from dagrun.domain.moves import emit, emit_work
from dagrun.domain.scope import run_outputs
from dagrun.domain.state import Error, NodeState, RunState
from dagrun.domain.status import NodeStatus

TIMEOUT = "timeout"
"""Why a run is being cancelled that took too long, and the type of its error."""


def wind_up(state: RunState, now: datetime) -> None:
    """End a cancelled run as soon as nothing of it runs any more."""
    lost, state.lost = state.lost, []
    for work in lost:
        emit_work(state, Type.NODE_CANCELLED, work, now, None)
    if state.running:
        return
    for node in state.nodes:
        _cancel_journaled(state, node, now)
    if state.reason == TIMEOUT:
        limit = format_duration(state.plan.workflow.timeout or 0.0)
        error = {"type": TIMEOUT, "message": f"the run took longer than {limit}"}
        emit(state, Type.RUN_FAILED, now, data={"error": error})
    else:
        emit(state, Type.RUN_CANCELLED, now)


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


def finish(state: RunState, now: datetime) -> None:
    """End a run whose nodes have all ended."""
    failed = next((node for node in state.nodes if node.failed), None)
    error = None if failed is None else _node_failed(failed)
    if error is None:
        try:
            outputs = run_outputs(state)
        except (ExpressionError, NotJson) as problem:
            error = {"type": "outputs", "message": f"the run's outputs: {problem}"}
        else:
            emit(state, Type.RUN_SUCCEEDED, now, data={"outputs": outputs})
            return
    emit(state, Type.RUN_FAILED, now, data={"error": error})


def _node_failed(node: NodeState) -> Error:
    error = node.error or {}
    message = f"node {node.step.node.id}: {error.get('type')}: {error.get('message')}"
    return {"type": "node_failed", "message": message}
