"""What the end of a child run means for the node that waits for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dagrun.domain.decide.attempts import fail, stopped, succeed
from dagrun.domain.jsonvalue import EMPTY, NotJson, Raw, check
from dagrun.domain.reasons import TOO_LARGE
from dagrun.domain.state import Error, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus


def child_ended(state: RunState, data: Mapping[str, Any], now: datetime, *, draw: float) -> bool:
    """Record that a child run has ended. Give False if nobody waits for it.

    What failed, or was cancelled by itself, is another attempt's turn under the retry policy.

    Args:
        state: the run.
        data: ``node_id``, ``item`` and ``attempt`` that the child was started for; its
            ``run_id``; its ``status``, and ``outputs`` or ``error``.
        now: when.
        draw: a random number in [0, 1) for the jitter of a delay.
    """
    work = _asked_for(state, data)
    if work is None or work.status is not NodeStatus.WAITING or work.child != data["run_id"]:
        return False
    if data["status"] == RunStatus.SUCCEEDED:
        _take_outputs(state, work, data, now)
    elif data["status"] == RunStatus.CANCELLED and state.status is RunStatus.CANCELLING:
        stopped(state, work, now)
    elif (error := data.get("error") or {}).get("type") == TOO_LARGE:
        fail(state, work, error, now, draw=draw, retryable=False)
    else:
        fail(state, work, _error_of_child(data), now, draw=draw)
    return True


def will_wait(state: RunState, data: Mapping[str, Any]) -> Work | None:
    """Give what is being attempted and may yet turn out to wait for a child that has ended.

    The end of a child may be heard of before its start is: the engine that asked for it was lost,
    and the next one makes the same attempt again.
    """
    work = _asked_for(state, data)
    return work if work is not None and work.status is NodeStatus.RUNNING else None


def _asked_for(state: RunState, data: Mapping[str, Any]) -> Work | None:
    """Give that for which a child was started; None if that attempt has ended."""
    step = state.plan.by_id.get(data["node_id"])
    if step is None or state.ended:
        return None
    node = state.nodes[step.index]
    item = data.get("item")
    work = node if item is None else node.items.get(item)
    return work if work is not None and work.attempt == data["attempt"] else None


def _take_outputs(state: RunState, work: Work, data: Mapping[str, Any], now: datetime) -> None:
    outputs: Raw = data.get("outputs") or EMPTY
    try:
        check(bytes(outputs))  # a run's may be larger than a node's
    except NotJson as problem:
        message = f"the outputs of run {data['run_id']}: {problem}"
        error = {"type": TOO_LARGE, "message": message}
        fail(state, work, error, now, draw=0, retryable=False)
    else:
        succeed(state, work, outputs, now)


def _error_of_child(data: Mapping[str, Any]) -> Error:
    if data["status"] == RunStatus.CANCELLED:
        message = f"run {data['run_id']} was cancelled"
        return {"type": "child_cancelled", "message": message}
    error = data.get("error") or {}
    return {"type": "child_failed", "message": f"run {data['run_id']}: {error.get('message')}"}
