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


def verdict(node: NodeState) -> Verdict:
    """Say whether a node may start.

    All rules but ``one_failed`` wait until every direct dependency has ended, so that what a
    node does never depends on which of them was first.
    """
    if node.step.rule is TriggerRule.ONE_FAILED and node.failed_dependency is not None:
        return Verdict.START
    if node.unresolved:
        return Verdict.WAIT
    return Verdict.START if _allows(node) else Verdict.SKIP


def _allows(node: NodeState) -> bool:
    match node.step.rule:
        case TriggerRule.ALL_SUCCEEDED:
            return node.unsuccessful_dependency is None
        case TriggerRule.ALL_DONE:
            return True
        case TriggerRule.NONE_FAILED:
            return node.failed_dependency is None
        case TriggerRule.ONE_FAILED:
            return False
        case rule:
            assert_never(rule)


def skip_reason(state: RunState, node: NodeState) -> str:
    """Say why the rule skips a node, the same words in whichever order things ended."""
    if node.step.rule is TriggerRule.ONE_FAILED:
        return "no dependency failed"
    culprit = node.failed_dependency
    if culprit is None:
        culprit = node.unsuccessful_dependency
    assert culprit is not None  # noqa: S101 — else the rule would not skip the node
    dependency = state.nodes[culprit]
    return f"dependency {dependency.step.node.id} {_ENDED[dependency.status]}"


_ENDED = {
    NodeStatus.FAILED: "failed",
    NodeStatus.SKIPPED: "was skipped",
    NodeStatus.CANCELLED: "was cancelled",
}
