"""The items of a ``for_each`` node."""

from datetime import datetime

from dagrun.domain.events import Type
from dagrun.domain.fold import take_up
from dagrun.domain.fold_run import drop_waiting_items
from dagrun.domain.jsonvalue import MAX_AGGREGATE
from dagrun.domain.moves import emit, emit_work, fail_node, queue
from dagrun.domain.reasons import ENGINE_LOST, TOO_LARGE
from dagrun.domain.state import Error, NodeState, RunState, Work
from dagrun.domain.status import NodeStatus


def consider_items(state: RunState, node: NodeState, now: datetime) -> None:
    """Queue as many items as may run at once, and end the node behind the last one."""
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
        fail_node(state, node, now, TOO_LARGE, message)
    else:
        failed = (item for item in node.items.values() if item.status is NodeStatus.FAILED)
        first, error = min(map(_culprit, failed))[1:]
        fail_node(state, node, now, "item_failed", f"item {first}: {error.get('message')}")


def _culprit(item: Work) -> tuple[bool, int, Error]:
    """Give what failed items are ordered by: one that was only lost explains nothing."""
    error = item.error or {}
    return error.get("type") == ENGINE_LOST, item.index or 0, error


def is_doomed(work: Work) -> bool:
    """Whether it is an item of a node that fails, whatever becomes of the item."""
    return work.index is not None and _is_given_up(work.node)
