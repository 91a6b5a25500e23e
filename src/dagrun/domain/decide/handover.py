"""How an engine takes a run in hand."""

from datetime import datetime

from dagrun.domain.decide.nodes import advance
from dagrun.domain.decide.requests import cancel
from dagrun.domain.decide.waiting import time_left_to_run
from dagrun.domain.events import Type
from dagrun.domain.fold_run import look_at_all, suspects
from dagrun.domain.moves import emit
from dagrun.domain.reasons import MOST_LOSSES, POISON, TIMEOUT
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus


def begin(
    state: RunState,
    now: datetime,
    *,
    epoch: int,
    engine: str,
    lost: bool = False,
    reason: str | None = None,
) -> None:
    """Start a queued run, or go on with one from where its journal ends, under a new epoch.

    A run of which the same node was running when :data:`MOST_LOSSES` engines in a row were lost is
    paused instead.

    Args:
        state: the run.
        now: when.
        epoch: the new one.
        engine: who executes the run from now on.
        lost: whether the engine before was lost.
        reason: why it is to be cancelled before anything of it starts; None if it is not.
    """
    _hand_over(state, now, epoch, engine, lost=lost, reason=reason)
    look_at_all(state)
    if state.status is RunStatus.RUNNING and max(state.losses.values(), default=0) >= MOST_LOSSES:
        nodes = suspects(state)
        emit(state, Type.RUN_PAUSED, now, data={"reason": POISON, "node": nodes[0], "nodes": nodes})
    elif state.status is RunStatus.RUNNING and time_left_to_run(state, now) == 0:
        cancel(state, now, reason=TIMEOUT)  # it passed while nobody executed the run
    else:
        advance(state, now)


def _hand_over(
    state: RunState, now: datetime, epoch: int, engine: str, *, lost: bool, reason: str | None
) -> None:
    again = {
        RunStatus.PAUSED: Type.RUN_PAUSED,
        RunStatus.CANCELLING: Type.RUN_CANCELLING,
        RunStatus.ENDING: Type.RUN_ENDING,
    }.get(state.status, Type.RUN_RUNNING)
    why = state.reason
    if reason is not None and again not in (Type.RUN_CANCELLING, Type.RUN_ENDING):
        again, why = Type.RUN_CANCELLING, reason
    # The engine stands first: by that the store finds these events without decoding others.
    data = {
        "engine": engine,
        **({"lost": True} if lost else {}),
        **({"reason": why} if why else {}),
    }
    emit(state, again, now, data=data, epoch=epoch)
