"""Running a run again that has ended: which nodes run once more, and how the rest is kept.

The run that has ended never changes. The new one begins with the ends of those nodes that are kept,
as events of its own journal.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Any, Final

import attrs
import msgspec

from dagrun.domain.events import KEPT_FROM, Type
from dagrun.domain.graph import Graph, below
from dagrun.domain.jsonvalue import MAX_AGGREGATE, Raw, encode
from dagrun.domain.moves import emit
from dagrun.domain.state import NodeState, RunState, Work
from dagrun.domain.status import NodeStatus

_ENDS: Final = {
    NodeStatus.SUCCEEDED: Type.NODE_SUCCEEDED,
    NodeStatus.FAILED: Type.NODE_FAILED,
    NodeStatus.SKIPPED: Type.NODE_SKIPPED,
}
_split: Final = msgspec.json.Decoder(list[Raw]).decode


@attrs.frozen(kw_only=True)
class Again:
    """What runs once more of a run that has ended."""

    of: RunState
    """The run."""

    nodes: frozenset[str]
    """The nodes; with each, all that depend on it."""

    whole: frozenset[str] = frozenset()
    """Those among them of which no item is kept, either."""


def retry(of: RunState) -> Again:
    """Run once more what failed, was cancelled or never ran, and all that depends on it.

    A node that was skipped because of such a one is among what depends on it.

    Args:
        of: a run that has ended.
    """
    undone = [node.step.node.id for node in of.nodes if node.status not in _GOOD]
    return Again(of=of, nodes=frozenset(below(_graph(of), undone)))


def rerun(of: RunState, *, from_node: str | None = None) -> Again:
    """Run a node once more, and all that depends on it; or everything.

    What failed where that was not allowed, was cancelled or never ran is run once more, too: there
    is nothing to be kept of it.

    Args:
        of: a run that has ended.
        from_node: the node; None for all.

    Raises:
        KeyError: the run has no such node.
    """
    if from_node is None:
        everything = frozenset(of.plan.by_id)
        return Again(of=of, nodes=everything, whole=everything)
    chosen = of.plan.by_id[from_node].node.id
    undone = [
        node.step.node.id
        for node in of.nodes
        if node.status not in _GOOD and not node.counts_as_succeeded
    ]
    nodes = frozenset(below(_graph(of), [*undone, chosen]))
    return Again(of=of, nodes=nodes, whole=frozenset({chosen}))


_GOOD: Final = frozenset({NodeStatus.SUCCEEDED, NodeStatus.SKIPPED})


def keep(again: Again, state: RunState, now: datetime) -> None:
    """Let a new run know what was done in the one before.

    Args:
        again: what is not kept.
        state: the new run, of the same workflow and the same inputs, that was just accepted.
        now: when.
    """
    for node in _in_order(again.of):
        if node.step.node.id not in again.nodes:
            _keep_node(state, again.of, node, now)
        elif _has_items_to_keep(again, node):
            done = [item for item in _items(node) if item.status is NodeStatus.SUCCEEDED]
            _keep_items(state, again.of, node, done, now)


def _graph(of: RunState) -> Graph:
    return {step.node.id: step.node.dependencies for step in of.plan.steps}


def _in_order(of: RunState) -> Iterator[NodeState]:
    """Give the nodes, each behind those that it depends on."""
    order = TopologicalSorter({step.index: step.dependencies for step in of.plan.steps})
    return (of.nodes[index] for index in order.static_order())


def _has_items_to_keep(again: Again, node: NodeState) -> bool:
    """Whether a node that runs once more goes on with the items that it had.

    Items that together were too large already could not but fail again.
    """
    return (
        node.values is not None
        and node.step.node.id not in again.whole
        and again.nodes.isdisjoint(node.step.node.dependencies)
        and node.item_bytes <= MAX_AGGREGATE
    )


def _keep_node(state: RunState, of: RunState, node: NodeState, now: datetime) -> None:
    if node.values is not None:
        _keep_items(state, of, node, _items(node), now)
    data: dict[str, Any] = {}
    if node.status is NodeStatus.SKIPPED:
        data["reason"] = node.reason
    elif node.status is NodeStatus.FAILED:
        data["error"] = node.error
    elif node.values is None:
        data["outputs"] = node.outputs
    _emit(state, of, node, _ENDS[node.status], now, data)


def _keep_items(
    state: RunState, of: RunState, node: NodeState, items: list[Work], now: datetime
) -> None:
    announced: dict[str, Any] = {} if node.step.when is None else {"when": True}
    announced["items"] = encode(node.values, limit=MAX_AGGREGATE)
    _emit(state, of, node, Type.NODE_READY, now, announced)
    outputs = _outputs_of_items(node)
    for item in items:
        failed = item.status is NodeStatus.FAILED
        data = {"error": item.error} if failed else {"outputs": outputs[item.index or 0]}
        _emit(state, of, item, _ENDS[item.status], now, data)


def _items(node: NodeState) -> list[Work]:
    """Give the items that have ended, in their order."""
    return [node.items[index] for index in sorted(node.items) if node.items[index].ended]


def _outputs_of_items(node: NodeState) -> Mapping[int, Raw | None]:
    """Give index → outputs; a node that succeeded has them all in one."""
    if node.outputs is not None:
        return dict(enumerate(_split(bytes(node.outputs))))
    return {index: item.outputs for index, item in node.items.items()}


def _emit(
    state: RunState, of: RunState, work: Work, kind: Type, now: datetime, data: Mapping[str, Any]
) -> None:
    origin = work.kept_from or of.run_id
    node_id = work.node.step.node.id
    emit(state, kind, now, node_id, work.index, data={**data, KEPT_FROM: origin})
