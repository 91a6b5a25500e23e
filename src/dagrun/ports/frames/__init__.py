"""What an engine and an orchestrator send each other on their one stream.

The engine speaks first, with :class:`Hello`, whichever of the two opened the stream. The answer is
:class:`Welcome` or :class:`TurnedAway`. After that both send what they have to say, in any order;
what one side sends arrives in its order or, when the stream ends, not at all.

Every frame that concerns a run names the epoch under which it was sent, so that what comes late
does no harm.

``from_engine`` has what the one sends, ``from_orchestrator`` what the other one sends.
"""

from dagrun.ports.frames.from_engine import (
    LOG_WINDOW,
    MAX_CAPACITY,
    PROTOCOL,
    Beat,
    FromEngine,
    GivenBack,
    Hello,
    LogChunk,
    Report,
    StartChild,
    Why,
)
from dagrun.ports.frames.from_orchestrator import (
    BeatSeen,
    ChildStarted,
    Dispatch,
    Drain,
    Durable,
    FromOrchestrator,
    JournalPart,
    LogsKept,
    Stop,
    Tell,
    TurnedAway,
    Welcome,
)

Frame = FromEngine | FromOrchestrator

__all__ = [
    "LOG_WINDOW",
    "MAX_CAPACITY",
    "PROTOCOL",
    "Beat",
    "BeatSeen",
    "ChildStarted",
    "Dispatch",
    "Drain",
    "Durable",
    "Frame",
    "FromEngine",
    "FromOrchestrator",
    "GivenBack",
    "Hello",
    "JournalPart",
    "LogChunk",
    "LogsKept",
    "Report",
    "StartChild",
    "Stop",
    "Tell",
    "TurnedAway",
    "Welcome",
    "Why",
]
