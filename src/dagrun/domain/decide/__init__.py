"""What follows by rule from a run's state, and what its engine may ask of it.

Everything here happens by events: it is applied through the fold and waits in
:attr:`RunState.outbox <dagrun.domain.state.RunState.outbox>` to be journaled. Times and random
numbers come in from the caller.

Each part knows only those before it: ``ends`` and ``items``; ``nodes``, whose
:func:`advance` lets all happen that follows; then what that follows from: ``attempts``,
``child_ends``, ``requests`` and ``handover``. ``waiting`` says what is left to wait for.
"""

from dagrun.domain.decide.attempts import (
    fail,
    pop_startable,
    start,
    stopped,
    succeed,
    wait,
    wake,
)
from dagrun.domain.decide.child_ends import child_ended, will_wait
from dagrun.domain.decide.handover import begin
from dagrun.domain.decide.nodes import advance
from dagrun.domain.decide.requests import cancel, expire, pause, requeue, resume, submit
from dagrun.domain.decide.waiting import parked, time_left_to_run
from dagrun.domain.reasons import REQUESTED, TIMEOUT

__all__ = [
    "REQUESTED",
    "TIMEOUT",
    "advance",
    "begin",
    "cancel",
    "child_ended",
    "expire",
    "fail",
    "parked",
    "pause",
    "pop_startable",
    "requeue",
    "resume",
    "start",
    "stopped",
    "submit",
    "succeed",
    "time_left_to_run",
    "wait",
    "wake",
    "will_wait",
]
