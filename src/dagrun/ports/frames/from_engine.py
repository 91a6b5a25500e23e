"""What an engine sends."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.ports.children import ChildRequest

PROTOCOL: Final = 1
"""Version of what is said here. Who meets another one than its own says so, and goes."""

MAX_CAPACITY: Final = 5_000
"""Runs that an engine may have at once: heartbeats and other messages name each of them."""

LOG_WINDOW: Final = 1024 * 1024
"""Most bytes of logs that an engine has on their way on one stream: more must not wait for the
orchestrator's disk. :class:`~dagrun.ports.frames.LogsKept` makes room for more."""


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
    unhealthy: bool = False
    """Whether the engine's own disk cannot be used, so that no node starts there for now."""


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
    """A ``workflow`` node wants its child run; answered by :class:`~dagrun.ports.frames.ChildStarted`."""

    number: int
    request: ChildRequest


FromEngine = Hello | Report | Beat | GivenBack | LogChunk | StartChild
