"""What becomes of nodes, as far as it follows from what has happened."""

from datetime import datetime

from dagrun.domain.decide import ends
from dagrun.domain.decide.items import consider_items, is_doomed
from dagrun.domain.events import Type
from dagrun.domain.expressions import ExpressionError
from dagrun.domain.fold_run import look_at_all
from dagrun.domain.jsonvalue import NotJson
from dagrun.domain.moves import emit, emit_work, fail_node, queue
from dagrun.domain.reasons import ENGINE_LOST
from dagrun.domain.rules import Verdict, skip_reason, verdict
from dagrun.domain.scope import announcement
from dagrun.domain.state import NodeState, RunState
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.domain.workflow import OnEngineLoss


def advance(state: RunState, now: datetime) -> None:
    """Let everything happen that follows by rule, until something has to be waited for."""
    look_at_all(state)
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


def _see_to_lost(state: RunState, now: datetime) -> None:
    lost, state.lost = state.lost, []
    for work in lost:
        if work.node.step.node.on_engine_loss is OnEngineLoss.RETRY and not is_doomed(work):
            queue(state, work)
        else:
            error = {"type": ENGINE_LOST, "message": "its engine was lost while it ran"}
            emit_work(state, Type.NODE_FAILED, work, now, {"error": error})


def _consider(state: RunState, node: NodeState, now: datetime) -> None:
    """Do what follows for one node. Called again, it does nothing twice."""
    if node.ended or node.queued:
        return
    if node.values is not None:
        consider_items(state, node, now)
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
        fail_node(state, node, now, "expression", str(error))
    else:
        emit(state, Type.NODE_READY, now, node.step.node.id, data=data)


def _skip(state: RunState, node: NodeState, now: datetime, reason: str) -> None:
    emit(state, Type.NODE_SKIPPED, now, node.step.node.id, data={"reason": reason})
