"""Why a run stands where it stands, as a chain of reasons in plain words."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from dagrun.domain.durations import format_duration
from dagrun.domain.fold_run import is_left, suspects
from dagrun.domain.reasons import POISON
from dagrun.domain.state import NodeState, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.domain.workflow import OnEngineLoss

SHOWN: Final = 20
"""Nodes that are told of; of the others only the number is."""

THEN: Final = {
    OnEngineLoss.RETRY: "runs again when the run is resumed",
    OnEngineLoss.FAIL: "fails when the run is resumed",
}
"""What becomes of a node of a paused run that was cut off with its engine."""


def explain_run(state: RunState, *, cut_off: bool = False) -> list[str]:
    """Say why a run is where it is, and what each node that has not succeeded waits for.

    Args:
        state: the run.
        cut_off: whether the process that had it is gone, so that nothing of it goes on.
    """
    reasons = [_cut_off(state) if cut_off else _run(state), *_poison(state)]
    nodes = [
        text
        for node in (*state.nodes, *state.due)
        if (text := _node(state, node, cut_off)) is not None
    ]
    reasons += islice(nodes, SHOWN)
    if len(nodes) > SHOWN:
        reasons.append(f"and {len(nodes) - SHOWN} more nodes")
    return reasons


def see_log(run_id: str, node_id: str, item: int | None = None) -> str:
    """Say how to see what a node or an item of it wrote."""
    index = "" if item is None else f" --item {item}"
    return f"see what it wrote with: dagrun runs logs {run_id} {node_id}{index}"


def how_to_go_on(run_id: str, status: RunStatus | None) -> str:
    """Say what becomes of a run without a process, by what its journal says."""
    match status:
        case RunStatus.CANCELLING:
            what = "finish cancelling it"
        case RunStatus.ENDING:
            what = "finish its handlers"
        case _:
            what = "go on"
    return f"{what} with: dagrun run --resume {run_id}"


def _run(state: RunState) -> str:
    match state.status:
        case RunStatus.QUEUED:
            return "the run is queued"
        case RunStatus.PAUSED:
            return f"the run is paused ({state.reason}): nothing starts until it is resumed"
        case RunStatus.CANCELLING:
            return f"the run is being cancelled ({state.reason}): what runs is being stopped"
        case RunStatus.FAILED if state.error is not None:
            return f"the run has failed: {state.error['message']}"
        case RunStatus.CANCELLED:
            return "the run was cancelled"
        case RunStatus.ENDING:
            return "all nodes of the run have ended; its handlers run"
        case RunStatus.RUNNING:
            return f"the run is running: {state.unfinished} of {len(state.nodes)} nodes are to end"
        case status:
            return f"the run has {status}"


def _poison(state: RunState) -> Iterator[str]:
    """Say what may have ended the engines of a run that was paused for that."""
    if state.status is RunStatus.PAUSED and state.reason == POISON and state.losses:
        lost = f"{max(state.losses.values())} engines were lost one after the other with it"
        yield f"{lost}; what had begun and not ended may be why: {some_of(suspects(state))}"


def _cut_off(state: RunState) -> str:
    left = f"{state.unfinished} of {len(state.nodes)} nodes had not ended"
    return f"the run was cut off while it was {state.status}: {left}"


def _node(state: RunState, node: NodeState, cut_off: bool) -> str | None:
    """Say what is with a node; None when there is nothing to say."""
    if node.status is NodeStatus.RUNNING and (cut_off or is_left(state, node)):
        then = "" if cut_off else f"; what ran of it {THEN[node.step.node.on_engine_loss]}"
        return f"{node.step.node.id}: {_stopped(node)}{then}"
    reason = _reason(state, node)
    return None if reason is None else f"{node.step.node.id}: {reason}"


def _reason(state: RunState, node: NodeState) -> str | None:
    match node.status:
        case NodeStatus.SUCCEEDED:
            return None
        case NodeStatus.SKIPPED:
            return f"skipped, as {node.reason}"
        case NodeStatus.FAILED:
            allowed = ", which is allowed" if node.step.node.allow_failure else ""
            return f"failed{allowed}: {_error(node)}"
        case NodeStatus.CANCELLED:
            return "cancelled with the run"
        case NodeStatus.RETRYING:
            return f"attempt {node.attempt} failed ({_error(node)}); {_again(node)}"
        case NodeStatus.RUNNING if node.values is not None:
            return ", ".join(_items(node))
        case NodeStatus.WAITING:
            return f"waits for the end of run {node.child}"
        case NodeStatus.RUNNING:
            return f"attempt {node.attempt} is running"
        case _:
            return _waiting(state, node)


def _waiting(state: RunState, node: NodeState) -> str:
    if node.queued and state.status is not RunStatus.PAUSED:
        return "waits for a free place (DAGRUN_PARALLEL)" if node.step.limited else "is starting"
    missing = [state.nodes[index] for index in node.step.dependencies]
    names = [other.step.node.id for other in missing if not other.ended]
    if names:
        return f"waits for {some_of(names)}"
    return "waits for the run to go on"


def some_of(names: Sequence[str]) -> str:
    """Give the first of some names, and how many there are more."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _items(node: NodeState) -> Iterator[str]:
    values = node.values or []
    ended = sum(item.ended for item in node.items.values())
    running = sum(item.status is NodeStatus.RUNNING for item in node.items.values())
    yield f"{ended} of {len(values)} items have ended, {running} {_are(running)} running"
    if waiting := [i.child for i in node.items.values() if i.status is NodeStatus.WAITING]:
        more = f" and {len(waiting) - 5} more" if len(waiting) > 5 else ""
        yield f"{len(waiting)} wait for the end of runs: {' '.join(map(str, waiting[:5]))}{more}"
    if node.step.node.max_parallel is not None:
        yield f"at most {node.step.node.max_parallel} at once (max_parallel)"
    for item in node.items.values():
        if item.status is NodeStatus.RETRYING:
            yield f"item {item.index} failed ({_error(item)}); {_again(item)}"
            return


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _stopped(node: NodeState) -> str:
    if node.values is None:
        return f"attempt {node.attempt} was cut off"
    ended = sum(item.ended for item in node.items.values())
    return f"cut off when {ended} of {len(node.values)} items had ended"


def _again(work: Work) -> str:
    policy = work.node.step.node.retry
    return (
        f"attempt {work.attempt + 1} of {policy.max_attempts} comes"
        f" {format_duration(work.delay)} after it"
    )


def _error(work: Work) -> str:
    error = work.error or {}
    return f"{error.get('type')}: {error.get('message')}"
