"""The fold: what an event makes of a run's state, live or replayed."""

from collections.abc import Callable
from typing import Final

from dagrun.domain.events import KEPT_FROM, Event, Type, is_kept
from dagrun.domain.fold_run import RUN, IllegalEvent, expect, is_under_way
from dagrun.domain.handlers import HANDLER_IDS
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw, decode
from dagrun.domain.rules import Verdict, verdict
from dagrun.domain.state import NodeState, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus

_NULL_BYTES: Final = len(b"null,")  # of an item that failed, in what the items give together
_NO_PROGRESS: Final = frozenset({Type.NODE_READY, Type.NODE_RUNNING})
"""What happens again and again when an engine is lost each time."""
_KEPT: Final = frozenset(
    {Type.NODE_READY, Type.NODE_SUCCEEDED, Type.NODE_FAILED, Type.NODE_SKIPPED}
)
"""What may be known from another run."""


def apply(state: RunState, event: Event) -> None:
    """Let one event happen.

    Raises:
        IllegalEvent: it cannot follow. The state is of no use any more.
        LookupError: the event's data lacks something; the same holds.
    """
    if event.seq != state.seq + 1:
        raise IllegalEvent(event, f"expected seq {state.seq + 1}")
    if event.epoch < state.epoch:
        raise IllegalEvent(event, f"the epoch is {state.epoch} already")
    if state.ended:
        raise IllegalEvent(event, f"the run has {state.status} already")
    if event.epoch > state.epoch > 0 and event.node_id is not None:
        raise IllegalEvent(event, "a new epoch begins with an event of the run")
    if event.node_id is None:
        RUN[event.type](state, event)
    else:
        _apply_to_node(state, event)
    state.seq = event.seq


def replay(state: RunState, events: list[Event]) -> None:
    """Let journaled events happen again.

    Raises:
        IllegalEvent: the journal is damaged.
        LookupError: the same.
    """
    for event in events:
        apply(state, event)


def _apply_to_node(state: RunState, event: Event) -> None:
    step = state.plan.by_id.get(event.node_id or "")
    node = _handler(state, event) if step is None else state.nodes[step.index]
    kept = is_kept(event)
    if kept:
        _must_be_keepable(state, event)
    work = node if event.item is None else _item(node, event, kept=kept)
    if work.ended or node.ended:
        raise IllegalEvent(event, f"it has {work.status} already")
    _NODE[event.type](state, node, work, event)
    if kept:
        _note_origin(work, event)
    if state.losses and event.type not in _NO_PROGRESS:
        state.losses.clear()


def _must_be_keepable(state: RunState, event: Event) -> None:
    """What was done in another run is known before anything of this one begins."""
    if state.rerun_of is None:
        raise IllegalEvent(event, "no run is run again here from which it could be kept")
    if state.status is not RunStatus.QUEUED or state.started_at is not None:
        raise IllegalEvent(event, "the run has begun already, and keeps nothing more")
    if event.type not in _KEPT:
        raise IllegalEvent(event, "this is nothing to be kept")


def _note_origin(work: Work, event: Event) -> None:
    if work.ended:
        work.kept_from = RunId((event.data or {})[KEPT_FROM])


def _handler(state: RunState, event: Event) -> NodeState:
    """Give the handler whose turn it is. It starts, and succeeds or fails; nothing stops it."""
    if event.node_id not in HANDLER_IDS:
        raise IllegalEvent(event, "the workflow has no such node")
    handler = state.next_handler()
    if handler is None or handler.step.node.id != event.node_id:
        raise IllegalEvent(event, "it is not the turn of this handler")
    if event.type not in (Type.NODE_RUNNING, Type.NODE_SUCCEEDED, Type.NODE_FAILED):
        raise IllegalEvent(event, "this does not happen to a handler")
    return handler


def _item(node: NodeState, event: Event, *, kept: bool) -> Work:
    """Give the item, which may not have been seen before when it starts now, or was kept."""
    index = event.item or 0
    if node.values is None or not 0 <= index < len(node.values):
        raise IllegalEvent(event, "the node has no such item")
    if index in node.items:
        return node.items[index]
    if event.type is not Type.NODE_RUNNING and not kept:
        raise IllegalEvent(event, "the item was never started")
    return take_up(node, index)


def take_up(node: NodeState, index: int) -> Work:
    """Begin with an item. It counts against ``max_parallel`` from now on."""
    item = node.items[index] = Work(index)
    item.node = node
    node.active_items += 1
    return item


def _ready(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    if work is not node or node.status is not NodeStatus.PENDING:
        raise IllegalEvent(event, f"it is {work.status}")
    _must_be_startable(node, event)
    data = event.data or {}
    node.status = NodeStatus.READY
    node.announced = True
    node.condition = data.get("when", True)
    if "items" in data:
        node.values = decode(data["items"])
    state.dirty.append(node.step.index)


def _node_running(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    if work is node and node.values is not None:
        raise IllegalEvent(event, "a node with items has no attempts of its own")
    expect(state, event, RunStatus.RUNNING, RunStatus.ENDING)
    if work.status is NodeStatus.RUNNING:
        if work.epoch == event.epoch or event.attempt != work.attempt:
            raise IllegalEvent(event, f"attempt {work.attempt} is running")
    elif work.status is NodeStatus.WAITING:
        raise IllegalEvent(event, f"attempt {work.attempt} waits for run {work.child}")
    elif event.attempt != work.attempt + 1:
        raise IllegalEvent(event, f"the next attempt is {work.attempt + 1}")
    if node.step.announced and not (node.announced and node.condition):
        raise IllegalEvent(event, "its condition and items are not known, or forbid it")
    if work.attempt == 0:
        _must_be_startable(node, event)
    if work is not node:
        node.status = NodeStatus.RUNNING
        node.started_at = node.started_at or event.time
    _move(state, work, NodeStatus.RUNNING)
    work.attempt = event.attempt
    work.epoch = event.epoch
    work.child = None
    work.started_at = work.started_at or event.time
    work.queued = True
    if node.step.guarded_start:
        work.hold = event.seq
    state.running += 1


def _move(state: RunState, work: Work, status: NodeStatus) -> None:
    """Change the state of a node or item, and what is counted of such."""
    old, work.status = work.status, status
    if old is NodeStatus.WAITING:
        state.waiting -= 1
    elif old is NodeStatus.RETRYING:
        state.retrying -= 1
    if status is NodeStatus.WAITING:
        state.waiting += 1
    elif status is NodeStatus.RETRYING:
        state.retrying += 1


def _must_be_startable(node: NodeState, event: Event) -> None:
    if verdict(node) is not Verdict.START:
        raise IllegalEvent(event, "its dependencies do not allow it yet")


def _waiting(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    """The attempt has handed over to a child, and takes no place any more."""
    if work.status is NodeStatus.WAITING or (work is node and node.values is not None):
        raise IllegalEvent(event, f"it is {work.status}")
    _end_attempt(state, work, event)
    work.child = RunId((event.data or {})["child"])
    work.queued = False
    _move(state, work, NodeStatus.WAITING)


def _retrying(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    if work.attempt >= node.step.node.retry.max_attempts:
        raise IllegalEvent(event, f"{work.attempt} attempts are all that it has")
    _end_attempt(state, work, event)
    data = event.data or {}
    _move(state, work, NodeStatus.RETRYING)
    work.error = data["error"]
    work.retrying_since = event.time
    work.delay = data["delay"]
    work.queued = False
    state.delayed.append(work)
    if work is not node:
        state.dirty.append(node.step.index)


def _succeeded(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    outputs = (event.data or {}).get("outputs")
    if work is node and node.values is not None:
        _items_must_be_done(node, event)
        outputs = _aggregate(node)
    else:
        if is_kept(event):
            _must_be_startable(node, event)
        else:
            _end_attempt(state, work, event)
        size = len(bytes(outputs or b""))
        state.output_bytes += size
        if work is not node:
            node.item_bytes += size + 1  # with a comma
    work.outputs = outputs
    work.error = None
    _end(state, node, work, event, NodeStatus.SUCCEEDED)


def _items_must_be_done(node: NodeState, event: Event) -> None:
    done = len(node.items) == len(node.values or ()) and not node.active_items
    if not done or node.failed_items > node.step.node.tolerate:
        raise IllegalEvent(event, "not all items have succeeded")


def _aggregate(node: NodeState) -> Raw:
    """Join the items' outputs in item order. The items need not keep theirs."""
    items = [node.items[index] for index in range(len(node.items))]
    joined = b",".join(bytes(item.outputs or b"null") for item in items)
    for item in items:
        item.outputs = None
    return Raw(b"[" + joined + b"]")


def _failed(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    if is_under_way(work):
        _end_attempt(state, work, event)
    elif work is node and node.active_items:
        raise IllegalEvent(event, "items of it have not ended")
    elif work is node and node.status is NodeStatus.PENDING:
        _must_be_startable(node, event)
    work.error = (event.data or {})["error"]
    if work is not node:
        node.item_bytes += _NULL_BYTES
    _end(state, node, work, event, NodeStatus.FAILED)


def _skipped(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    if work is not node or node.status not in (NodeStatus.PENDING, NodeStatus.READY):
        raise IllegalEvent(event, f"it is {work.status}")
    if verdict(node) is Verdict.WAIT:
        raise IllegalEvent(event, "its dependencies have not ended")
    node.reason = (event.data or {}).get("reason")
    _end(state, node, work, event, NodeStatus.SKIPPED)


def _cancelled(state: RunState, node: NodeState, work: Work, event: Event) -> None:
    if state.status is not RunStatus.CANCELLING:
        raise IllegalEvent(event, "nothing was cancelled")
    if is_under_way(work):
        _end_attempt(state, work, event)
    elif work is node and any(is_under_way(item) for item in node.items.values()):
        raise IllegalEvent(event, "items of it are still running, or wait")
    _end(state, node, work, event, NodeStatus.CANCELLED)


def _end_attempt(state: RunState, work: Work, event: Event) -> None:
    waits = work.status is NodeStatus.WAITING
    if work.status is not NodeStatus.RUNNING and not waits:
        raise IllegalEvent(event, f"it is {work.status}")
    if event.attempt is not None and event.attempt != work.attempt:
        raise IllegalEvent(event, f"attempt {work.attempt} is running")
    if work.epoch == state.epoch and not waits:
        state.running -= 1


def _end(state: RunState, node: NodeState, work: Work, event: Event, status: NodeStatus) -> None:
    started = work.attempt > 0
    _move(state, work, status)
    work.finished_at = event.time
    work.queued = False
    if work is not node:
        node.active_items -= 1
        node.failed_items += status is NodeStatus.FAILED
        state.dirty.append(node.step.index)
        return
    node.hold = _hold_for_dependents(node, event, started=started)
    state.unfinished -= 1
    _tell_dependents(state, node)


def _hold_for_dependents(node: NodeState, event: Event, *, started: bool) -> int:
    """Give the ``seq`` that must be durable before a dependant starts.

    Dependants of a strict node wait for its end. A node that never started passes on what it
    would have waited for itself.
    """
    if node.step.strict and (started or node.values is not None):
        return event.seq
    return 0 if started else node.entry


def _tell_dependents(state: RunState, node: NodeState) -> None:
    own, failed, succeeded = node.step.index, node.failed, node.counts_as_succeeded
    for index in node.step.dependents:
        dependent = state.nodes[index]
        dependent.unresolved -= 1
        if node.hold > dependent.entry:
            dependent.entry = node.hold
        if not succeeded:
            dependent.unsuccessful_dependency = _first(dependent.unsuccessful_dependency, own)
            if failed:
                dependent.failed_dependency = _first(dependent.failed_dependency, own)
        if not dependent.unresolved or failed:
            state.dirty.append(index)


def _first(known: int | None, new: int) -> int:
    return new if known is None else min(known, new)


_NODE: Final[dict[Type, Callable[[RunState, NodeState, Work, Event], None]]] = {
    Type.NODE_READY: _ready,
    Type.NODE_RUNNING: _node_running,
    Type.NODE_WAITING: _waiting,
    Type.NODE_RETRYING: _retrying,
    Type.NODE_SUCCEEDED: _succeeded,
    Type.NODE_FAILED: _failed,
    Type.NODE_SKIPPED: _skipped,
    Type.NODE_CANCELLED: _cancelled,
}
