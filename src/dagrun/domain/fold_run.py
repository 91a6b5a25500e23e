"""The half of the fold that concerns the run as a whole."""

from collections.abc import Callable
from typing import Final

from dagrun.domain.events import RERUN_OF, Event, Type
from dagrun.domain.handlers import due
from dagrun.domain.state import NodeState, Outcome, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus


class IllegalEvent(ValueError):
    """The event cannot follow the journal so far."""

    def __init__(self, event: Event, reason: str) -> None:
        self.event, self.reason = event, reason
        place = "/".join(
            str(part) for part in (event.run_id, event.node_id, event.item) if part is not None
        )
        super().__init__(f"{place}: event {event.seq} ({event.type}): {reason}")


def _queued(state: RunState, event: Event) -> None:
    if state.seq != 0:
        _queued_again(state, event)
        return
    state.epoch = event.epoch
    state.created_at = event.time
    data = event.data or {}
    state.base = data.get("base")
    state.rerun_of = data.get(RERUN_OF)


def _queued_again(state: RunState, event: Event) -> None:
    """A paused run that gave its place back waits for another one; its pause lasts until then."""
    expect(state, event, RunStatus.PAUSED)
    if state.running and event.epoch == state.epoch:
        raise IllegalEvent(event, f"{state.running} attempts are still running")
    state.losses.clear()
    state.status = RunStatus.QUEUED
    state.reason = None
    _take_over(state, event)


def _running(state: RunState, event: Event) -> None:
    expect(state, event, RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.PAUSED)
    first = state.started_at is None
    if state.paused_at is not None:
        if not first:
            state.paused_for += max((event.time - state.paused_at).total_seconds(), 0.0)
        state.paused_at = None
    if state.status is RunStatus.PAUSED:
        state.losses.clear()
    state.status = RunStatus.RUNNING
    state.reason = None
    if first:
        state.started_at = event.time
        state.dirty.extend(node.step.index for node in state.nodes if not node.unresolved)
    _take_over(state, event)


def _paused(state: RunState, event: Event) -> None:
    expect(state, event, RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.PAUSED)
    state.status = RunStatus.PAUSED
    state.reason = (event.data or {}).get("reason", state.reason)
    if state.paused_at is None:
        state.paused_at = event.time
    _take_over(state, event)


_CANCELLABLE: Final = (
    RunStatus.QUEUED,
    RunStatus.RUNNING,
    RunStatus.PAUSED,
    RunStatus.CANCELLING,
)


def _cancelling(state: RunState, event: Event) -> None:
    expect(state, event, *_CANCELLABLE)
    again = state.status is RunStatus.CANCELLING
    if again and event.epoch == state.epoch:
        raise IllegalEvent(event, "the run is being cancelled already")
    state.status = RunStatus.CANCELLING
    state.was_cancelled = True
    if not again:
        state.reason = str((event.data or {}).get("reason", "requested"))
        state.startable.clear()
        state.startable_processes.clear()
    _take_over(state, event)


def _take_over(state: RunState, event: Event) -> None:
    """Under a new epoch, what was running is to be done again, and all is to be looked at.

    What waits for a child goes on waiting for the same one. Looking at all is left until somebody
    decides what follows: a journal may hold a thousand hand-overs, each behind as many nodes.
    """
    if event.epoch == state.epoch:
        return
    state.epoch = event.epoch
    state.running = 0
    state.startable.clear()
    state.startable_processes.clear()
    state.taken_over = True
    if (event.data or {}).get("lost"):
        for node_id in {work.node.step.node.id for work in _cut_off(state)}:
            state.losses[node_id] = state.losses.get(node_id, 0) + 1


def look_at_all(state: RunState) -> None:
    """Find out what is to be done under a new epoch, if one has begun since this was done last."""
    if not state.taken_over:
        return
    state.taken_over = False
    for node in state.nodes:
        if not node.ended:
            drop_waiting_items(node)
            state.dirty.append(node.step.index)
    for work in state.works():
        work.queued = False
    state.lost = _cut_off(state)
    state.delayed = [work for work in state.works() if work.status is NodeStatus.RETRYING]


def _cut_off(state: RunState) -> list[Work]:
    """Give the attempts of which the end was not seen."""
    return [work for work in state.works() if has_attempt(work) and not work.node.ended]


def suspects(state: RunState) -> list[str]:
    """Give the nodes that had begun and not ended when the last engine was lost.

    Those come first that were when most of the ones before it were lost, too.
    """
    return sorted(state.losses, key=lambda node_id: (-state.losses[node_id], node_id))


def drop_waiting_items(node: NodeState) -> None:
    """Forget the items that stand in line and were never started."""
    for item in list(node.items.values()):
        if item.status is NodeStatus.PENDING:
            item.queued = False
            del node.items[item.index or 0]
            node.active_items -= 1
    node.next_item = 0
    node.gave_up = False


def has_attempt(work: Work) -> bool:
    """Whether an attempt is under way; a node with items only stands for them."""
    running = work.status is NodeStatus.RUNNING
    return running and not (isinstance(work, NodeState) and work.values is not None)


_ENDS_FROM: Final = {
    RunStatus.SUCCEEDED: (RunStatus.RUNNING, RunStatus.PAUSED),
    RunStatus.FAILED: (
        RunStatus.QUEUED,
        RunStatus.RUNNING,
        RunStatus.PAUSED,
        RunStatus.CANCELLING,
    ),
    RunStatus.CANCELLED: (RunStatus.CANCELLING,),
}


def _ending(state: RunState, event: Event) -> None:
    """The outcome is decided, all nodes have ended, and the handlers are next."""
    if state.outcome is None:
        data = event.data or {}
        outcome = Outcome(RunStatus(data["status"]), data.get("outputs"), data.get("error"))
        _must_be_over(state, event, *_ENDS_FROM[outcome.status])
        _call_for_handlers(state, outcome)
    elif event.epoch == state.epoch:
        raise IllegalEvent(event, "the run is ending already")
    _take_over(state, event)


def _call_for_handlers(state: RunState, outcome: Outcome) -> None:
    state.status = RunStatus.ENDING
    state.reason = None
    state.outcome = outcome
    _cancel_rest(state)
    known = {one.step.handles: one for one in state.handlers if one.step.handles is not None}
    state.due = due(known, outcome.status)
    for handler in state.due:
        handler.unresolved = 0
    state.unfinished = len(state.due)


def _run_ended(state: RunState, event: Event) -> None:
    status = RunStatus(event.type.removeprefix("run."))
    if state.outcome is None:
        _must_be_over(state, event, *_ENDS_FROM[status])
    elif state.outcome.status is not status:
        raise IllegalEvent(event, f"the run comes to {state.outcome.status}")
    else:
        _must_be_over(state, event, RunStatus.ENDING)
    data = event.data or {}
    state.outputs = data.get("outputs")
    state.error = data.get("error")
    state.finished_at = event.time
    state.status = status
    _cancel_rest(state)
    state.unfinished = 0


def _must_be_over(state: RunState, event: Event, *statuses: RunStatus) -> None:
    expect(state, event, *statuses)
    if state.running:
        raise IllegalEvent(event, f"{state.running} attempts are still running")
    if state.waiting:
        raise IllegalEvent(event, f"{state.waiting} nodes or items wait for child runs")
    if state.unfinished and state.status not in (RunStatus.CANCELLING, RunStatus.QUEUED):
        raise IllegalEvent(event, f"{state.unfinished} nodes have not ended")


def _cancel_rest(state: RunState) -> None:
    for node in state.nodes:
        if not node.ended:
            node.status = NodeStatus.CANCELLED


def is_left(state: RunState, node: NodeState) -> bool:
    """Whether a node of a paused run was running, was cut off with its engine, and nothing of it runs.

    What is to be done about that is done when the run goes on.
    """
    if state.status is not RunStatus.PAUSED:
        return False
    attempts = [work for work in (node, *node.items.values()) if has_attempt(work)]
    return bool(attempts) and all(work.epoch < state.epoch for work in attempts)


def is_under_way(work: Work) -> bool:
    """Whether an attempt is being made, or waits for its child."""
    return work.status is NodeStatus.WAITING or has_attempt(work)


def expect(state: RunState, event: Event, *statuses: RunStatus) -> None:
    """Refuse an event unless the run is in one of some states."""
    if state.status not in statuses:
        raise IllegalEvent(event, f"the run is {state.status}")


RUN: Final[dict[Type, Callable[[RunState, Event], None]]] = {
    Type.RUN_QUEUED: _queued,
    Type.RUN_RUNNING: _running,
    Type.RUN_PAUSED: _paused,
    Type.RUN_CANCELLING: _cancelling,
    Type.RUN_ENDING: _ending,
    Type.RUN_SUCCEEDED: _run_ended,
    Type.RUN_FAILED: _run_ended,
    Type.RUN_CANCELLED: _run_ended,
}
