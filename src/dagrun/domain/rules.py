"""Trigger rules: whether a node may start, seen from how its dependencies ended."""

from enum import Enum
from typing import assert_never

from dagrun.domain.state import NodeState, RunState
from dagrun.domain.status import NodeStatus
from dagrun.domain.workflow import TriggerRule


class Verdict(Enum):
    """What a node's trigger rule says."""

    WAIT = "wait"
    START = "start"
    SKIP = "skip"


def verdict(state: RunState, node: NodeState) -> Verdict:
    """Say whether a node may start.

    All rules but ``one_failed`` wait until every direct dependency has ended, so that what a
    node does never depends on which of them was first.
    """
    if node.step.rule is TriggerRule.ONE_FAILED and _failed(state, node) is not None:
        return Verdict.START
    if node.unresolved:
        return Verdict.WAIT
    return Verdict.START if _allows(state, node) else Verdict.SKIP


def _allows(state: RunState, node: NodeState) -> bool:
    match node.step.rule:
        case TriggerRule.ALL_SUCCEEDED:
            return not node.unsuccessful
        case TriggerRule.ALL_DONE:
            return True
        case TriggerRule.NONE_FAILED:
            return _failed(state, node) is None
        case TriggerRule.ONE_FAILED:
            return False
        case rule:
            assert_never(rule)


def skip_reason(state: RunState, node: NodeState) -> str:
    """Say why the rule skips a node, the same words in whichever order things ended."""
    if node.step.rule is TriggerRule.ONE_FAILED:
        return "no dependency failed"
    failed = _failed(state, node)
    culprit = min(node.unsuccessful or (0,)) if failed is None else failed
    dependency = state.nodes[culprit]
    return f"dependency {dependency.step.node.id} {_ENDED[dependency.status]}"


_ENDED = {
    NodeStatus.FAILED: "failed",
    NodeStatus.SKIPPED: "was skipped",
    NodeStatus.CANCELLED: "was cancelled",
}


def _failed(state: RunState, node: NodeState) -> int | None:
    """Give the first direct dependency, in document order, that failed."""
    return min((i for i in node.unsuccessful or () if state.nodes[i].failed), default=None)
