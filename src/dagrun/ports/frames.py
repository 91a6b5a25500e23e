"""What an engine and an orchestrator send each other on their one stream.

The engine speaks first, with :class:`Hello`, whichever of the two opened the stream. The answer is
:class:`Welcome` or :class:`TurnedAway`. After that both send what they have to say, in any order;
what one side sends arrives in its order or, when the stream ends, not at all.

Every frame that concerns a run names the epoch under which it was sent, so that what comes late
does no harm.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.jsonvalue import Raw
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.store import Message

PROTOCOL: Final = 1
"""Version of what is said here. Who meets another one than its own says so, and goes."""

LOG_WINDOW: Final = 1024 * 1024
"""Most bytes of logs that an engine has on their way on one stream: more must not wait for the
orchestrator's disk. :class:`LogsKept` makes room for more."""


# What an engine sends


@attrs.frozen(kw_only=True)
class Hello:
    """The engine's inventory; the first frame of each stream."""

    protocol: int = PROTOCOL
    release: str
    """Version of dagrun, for people."""

    engine_id: str
    instance: str
    """Random, new with each start of the engine's process."""

    capacity: int
    """Most runs at once."""

    executors: tuple[str, ...] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict)
    resources: Mapping[str, float] = attrs.field(factory=dict)
    draining: bool = False
    held: tuple[tuple[RunId, int], ...] = ()
    """Run and epoch. What the engine recorded of those that it keeps is sent again behind the
    welcome, from the ``seq`` that this names."""


@attrs.frozen(kw_only=True)
class Report:
    """Events of the engine's runs, each run's in the order of ``seq``."""

    events: tuple[Event, ...] = ()
    taken: tuple[tuple[RunId, int, int], ...] = ()
    """Run, epoch and number of messages that were taken up in these events, or had no effect."""

    awaited: bool = False
    """Whether somebody waits for all that was reported so far to be durable."""


@attrs.frozen(kw_only=True)
class Beat:
    """The engine lives, and renews the leases of the runs that it names, and of no others."""

    number: int
    """Grows by one; the answer names it."""

    held: tuple[tuple[RunId, int], ...]
    """Run and epoch."""

    draining: bool = False


class Why(StrEnum):
    """Why an engine gives a run back that has not ended."""

    PAUSED = "paused"
    PARKED = "parked"
    """All that is going on of it waits for something outside."""

    STOPPED = "stopped"
    """The lease had ended, or the engine is closing, and its attempts were killed."""

    UNUSABLE = "unusable"
    """The engine cannot execute it, such as for an executor that it lacks."""


@attrs.frozen(kw_only=True)
class GivenBack:
    """The engine has a run no more; all its events were sent before."""

    run_id: RunId
    epoch: int
    why: Why
    seen: int
    """Number of the last message that the engine has seen; 0 for none."""

    detail: str = ""


@attrs.frozen(kw_only=True)
class LogChunk:
    """A piece of the log of an attempt, with all secrets hidden."""

    run_id: RunId
    epoch: int
    """Under which the attempt was made: made again elsewhere, it has another log."""

    node_id: str
    attempt: int
    item: int | None
    offset: int
    """Where it belongs, in bytes from the beginning; a piece may come twice."""

    data: bytes


@attrs.frozen(kw_only=True)
class StartChild:
    """A ``workflow`` node wants its child run; answered by :class:`ChildStarted`."""

    number: int
    request: ChildRequest


# What an orchestrator sends


@attrs.frozen(kw_only=True)
class Welcome:
    """The engine may go on. What its inventory names is kept or stopped."""

    lease: float
    """Seconds of silence after which the engine loses its runs."""

    kept: tuple[tuple[RunId, int, int], ...] = ()
    """Run, epoch, and highest ``seq`` that is stored."""

    stopped: tuple[tuple[RunId, int], ...] = ()
    """Runs that are somebody else's now, or have ended, and the epoch under which they were."""


@attrs.frozen(kw_only=True)
class TurnedAway:
    """The engine may not attach; the stream ends behind this."""

    reason: str
    final: bool = False
    """Whether trying again is of no use: versions that do not fit."""


@attrs.frozen(kw_only=True)
class BeatSeen:
    """The answer to a :class:`Beat`."""

    number: int


def _is_id(frame: object, field: "attrs.Attribute[RunId]", value: RunId) -> None:
    """Refuse what is no id: files are called after it."""
    if not is_id(value):
        raise ValueError(f"{type(frame).__name__}: {field.name} {value[:200]!r} is no id")


@attrs.frozen(kw_only=True)
class Dispatch:
    """The engine is to execute a run, from where its journal ends.

    A journal of more than a frame may carry follows in :class:`JournalPart` frames, before anything
    else is said of the run.
    """

    run_id: RunId = attrs.field(validator=_is_id)
    epoch: int
    definition_hash: str
    definition: bytes
    """The workflow as JSON, see :mod:`dagrun.domain.serialize`."""

    inputs: Raw
    events: tuple[Event, ...]
    more: bool = False
    """Whether parts follow."""

    messages: tuple[Message, ...] = ()
    """What was posted to the run and not taken up yet."""

    lost: bool = False
    """Whether the engine that had it was lost."""


@attrs.frozen(kw_only=True)
class JournalPart:
    """More of the journal of a run that is being dispatched."""

    run_id: RunId
    epoch: int
    events: tuple[Event, ...]
    more: bool


@attrs.frozen(kw_only=True)
class Durable:
    """Events that the engine sent are stored."""

    runs: tuple[tuple[RunId, int, int], ...]
    """Run, epoch, and highest ``seq`` that is stored."""


@attrs.frozen(kw_only=True)
class LogsKept:
    """Pieces of logs that the engine sent are written down, or were dropped."""

    count: int
    """Their bytes since the stream began, in the order in which they were sent."""


@attrs.frozen(kw_only=True)
class Stop:
    """A run is not the engine's any more: it stops all work on it, and reports nothing."""

    run_id: RunId
    epoch: int
    reason: str


@attrs.frozen(kw_only=True)
class Tell:
    """Something was posted to a run: a request, or the end of a child."""

    run_id: RunId
    epoch: int
    message: Message


@attrs.frozen(kw_only=True)
class Drain:
    """The engine is to take no more runs, or may take some again."""

    on: bool


@attrs.frozen(kw_only=True)
class ChildStarted:
    """The answer to :class:`StartChild`: the child, or why there is none."""

    number: int
    child: Child | None = None
    error: Mapping[str, str] | None = None
    """``{type, message}``."""

    retryable: bool = True
    """Whether another attempt may have more success."""


FromEngine = Hello | Report | Beat | GivenBack | LogChunk | StartChild
FromOrchestrator = (
    Welcome
    | TurnedAway
    | BeatSeen
    | Dispatch
    | JournalPart
    | Durable
    | LogsKept
    | Stop
    | Tell
    | Drain
    | ChildStarted
)
Frame = FromEngine | FromOrchestrator
