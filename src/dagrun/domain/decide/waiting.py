"""What is left of a run to wait for."""

from datetime import datetime

from dagrun.domain.retry import time_left
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus


def time_left_to_run(state: RunState, now: datetime) -> float | None:
    """Give the seconds that a run has until its timeout, going by the times of its journal.

    Who executes it asks once, and then counts by a clock that nobody can set. None without a
    timeout, and for a run that is past it: cancelling, ending or ended.
    """
    timeout = state.plan.workflow.timeout
    if timeout is None or state.status not in (
        RunStatus.QUEUED,
        RunStatus.RUNNING,
        RunStatus.PAUSED,
    ):
        return None
    if state.started_at is None:
        return timeout
    spent = ((state.paused_at or now) - state.started_at).total_seconds() - state.paused_for
    return time_left(timeout, spent)


def parked(state: RunState) -> bool:
    """Whether all that is left to do of a run is to wait for child runs to end.

    Then nobody need execute it until there is something to tell it of. A retry's delay is something
    to do.
    """
    if not state.waiting or state.running:
        return False
    if state.status is RunStatus.CANCELLING:
        return True
    return state.status is RunStatus.RUNNING and not (
        state.retrying or state.taken_over or state.lost or state.dirty or _has_startable(state)
    )


def _has_startable(state: RunState) -> bool:
    """Whether anything in line may start; what was dropped may still stand there."""
    lines = (state.startable, state.startable_processes)
    return any(
        work.queued and not work.ended and not work.node.ended for line in lines for work in line
    )
