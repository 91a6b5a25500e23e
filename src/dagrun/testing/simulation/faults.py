"""What is to go wrong, and when: a script that can be made, kept, and shrunk."""

from enum import StrEnum

import attrs


class FaultKind(StrEnum):
    """What goes wrong."""

    KILL = "kill"
    """A process dies; others notice, as the system closes its connections."""

    VANISH = "vanish"
    """Its machine dies, and nobody notices."""

    FREEZE = "freeze"
    """A process stands still, as one that SIGSTOP has stopped: its timers end unheard, and all clocks
    go on. What an engine has started goes on, until the guard ends it.
    """

    CUT = "cut"
    """The stream of an engine is cut."""

    STALL = "stall"
    """Nothing arrives either way between an engine and the orchestrator, and nobody notices."""

    DEAF = "deaf"
    """Nothing arrives at an engine."""

    DUMB = "dumb"
    """Nothing of what an engine says arrives."""

    SLOW = "slow"
    """What is sent takes half a second to arrive."""

    TWICE = "twice"
    """What an engine says arrives twice."""

    FULL = "full"
    """There is no room on the disk of the store."""

    BUSY = "busy"
    """Another process holds the store."""

    CLOCK = "clock"
    """The wall clock of a machine is set, by as many seconds as the fault lasts."""


@attrs.frozen
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds from the beginning."""

    kind: FaultKind
    target: int
    """Number of an engine, from 0; -1 is the orchestrator, for which some kinds mean nothing."""

    seconds: float
    """How long it lasts; a process is started again then."""


class ActionKind(StrEnum):
    """What is asked of a run."""

    CANCEL = "cancel"
    PAUSE = "pause"


@attrs.frozen
class Ask:
    """A run, and what is asked of it."""

    at: float
    """Seconds from the beginning at which it is submitted."""

    workflow: int
    """Which of the workflows, by number; any number will do."""

    action: ActionKind | None = None
    after: float = 0.0
    """Seconds from the submission to the action."""


@attrs.frozen
class Script:
    """One history to play."""

    seed: int = 0
    """Of the order in which tasks run, and of all jitter."""

    engines: int = 2
    capacity: int = 2
    runs: tuple[Ask, ...] = ()
    faults: tuple[Fault, ...] = ()
