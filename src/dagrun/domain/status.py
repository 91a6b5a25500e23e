"""The states of runs and nodes."""

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    ENDING = "ending"
    """Its outcome is decided, and its handlers run."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


def stands(status: str) -> str:
    """Say how a run stands, behind its name: ``has failed``, ``is running``."""
    return f"has {status}" if status in (RunStatus.SUCCEEDED, RunStatus.FAILED) else f"is {status}"


class NodeStatus(StrEnum):
    """Where a node, or one item of it, stands."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


RUN_ENDED: Final = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})
CANCELLABLE: Final = frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.PAUSED})
PAUSABLE: Final = frozenset({RunStatus.QUEUED, RunStatus.RUNNING})
RESUMABLE: Final = frozenset({RunStatus.PAUSED})
"""States in which a run can be asked for something, and stays until whoever has it does that."""

NODE_ENDED: Final = frozenset(
    {NodeStatus.SUCCEEDED, NodeStatus.FAILED, NodeStatus.SKIPPED, NodeStatus.CANCELLED}
)
