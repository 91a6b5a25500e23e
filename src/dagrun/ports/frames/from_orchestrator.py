"""What an orchestrator sends."""

from collections.abc import Mapping

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.jsonvalue import Raw
from dagrun.ports.children import Child
from dagrun.ports.store import Message


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
    """The answer to a :class:`~dagrun.ports.frames.Beat`."""

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
    """The answer to :class:`~dagrun.ports.frames.StartChild`: the child, or why there is none."""

    number: int
    child: Child | None = None
    error: Mapping[str, str] | None = None
    """``{type, message}``."""

    retryable: bool = True
    """Whether another attempt may have more success."""


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
