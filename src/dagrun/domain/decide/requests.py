"""What people ask of a run."""

from datetime import datetime

from dagrun.domain.decide.nodes import advance
from dagrun.domain.durations import format_duration
from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.domain.moves import acceptance, emit
from dagrun.domain.reasons import REQUESTED, START_TIMEOUT
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus


def submit(
    state: RunState, now: datetime, *, base: str | None = None, rerun_of: RunId | None = None
) -> None:
    """Queue a run that nothing was journaled for.

    Args:
        state: the run.
        now: when it is accepted.
        base: the folder of the workflow's document, if it came from a file.
        rerun_of: the run of which this one is run again, see :mod:`dagrun.domain.rerun`.
    """
    emit(state, Type.RUN_QUEUED, now, data=acceptance(base, rerun_of), epoch=1)


def cancel(
    state: RunState, now: datetime, *, reason: str = REQUESTED, epoch: int | None = None
) -> bool:
    """Ask for the end of a run. Give False if it has ended, or ends already.

    It ends already while its handlers run: they are part of the end, and it has its outcome.
    ``epoch``, here and below, is that of a run that no engine has, which it may have been handed
    over to since its last event; None for who executes it.
    """
    if state.ended or state.status in (RunStatus.CANCELLING, RunStatus.ENDING):
        return False
    emit(state, Type.RUN_CANCELLING, now, data={"reason": reason}, epoch=epoch)
    advance(state, now)
    return True


def pause(
    state: RunState, now: datetime, *, reason: str = REQUESTED, epoch: int | None = None
) -> bool:
    """Start nothing more. Give False if the run neither runs nor waits in the queue."""
    if state.status not in (RunStatus.RUNNING, RunStatus.QUEUED):
        return False
    # One that runs, and no engine asks: it is parked, so the last engine has it no more.
    parked = state.status is RunStatus.RUNNING and epoch is not None
    data = {**({"engine": None} if parked else {}), "reason": reason}
    emit(state, Type.RUN_PAUSED, now, data=data, epoch=epoch)
    return True


def resume(state: RunState, now: datetime) -> bool:
    """Go on with a paused run. Give False if it is not paused."""
    if state.status is not RunStatus.PAUSED:
        return False
    emit(state, Type.RUN_RUNNING, now)
    advance(state, now)
    return True


def requeue(state: RunState, now: datetime, *, epoch: int | None = None) -> bool:
    """Let a paused run that no engine holds wait for one. Give False if it is not paused."""
    if state.status is not RunStatus.PAUSED:
        return False
    emit(state, Type.RUN_QUEUED, now, epoch=epoch)
    return True


def expire(state: RunState, now: datetime, *, epoch: int | None = None) -> bool:
    """End a run that waited in the queue for its ``start_timeout``. Give False if it does not."""
    if state.status is not RunStatus.QUEUED:
        return False
    limit = format_duration(state.plan.workflow.start_timeout or 0.0)
    error = {"type": START_TIMEOUT, "message": f"the run waited longer than {limit} for its start"}
    emit(state, Type.RUN_FAILED, now, data={"error": error}, epoch=epoch)
    return True
