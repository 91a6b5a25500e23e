"""The journal's events. All state of a run is a fold over them, in the order of ``seq``."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import attrs

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw

SCHEMA_VERSION: Final = 1
"""Version of the events written now. Every released one stays readable."""


class Type(StrEnum):
    """What happened. The second word is the state that the run or node is in from now on."""

    RUN_QUEUED = "run.queued"
    RUN_RUNNING = "run.running"
    RUN_PAUSED = "run.paused"
    RUN_CANCELLING = "run.cancelling"
    RUN_ENDING = "run.ending"
    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    NODE_READY = "node.ready"
    NODE_RUNNING = "node.running"
    NODE_WAITING = "node.waiting"
    NODE_RETRYING = "node.retrying"
    NODE_SUCCEEDED = "node.succeeded"
    NODE_FAILED = "node.failed"
    NODE_SKIPPED = "node.skipped"
    NODE_CANCELLED = "node.cancelled"


RUN_ENDS: Final = frozenset({Type.RUN_SUCCEEDED, Type.RUN_FAILED, Type.RUN_CANCELLED})
"""With these a run ends."""


@attrs.define(slots=True, eq=True)
class Event:
    """One thing that happened to a run. Treat it as frozen.

    It is not an ``attrs.frozen`` class because setting a frozen field costs three times as much,
    and two of these are made for every node.
    """

    run_id: RunId
    seq: int
    """Position in the run's journal, from 1, without gaps."""

    epoch: int
    """The hand-over under which it happened, from 1."""

    type: Type
    time: datetime
    """When it happened; timezone-aware UTC."""

    node_id: str | None = None
    """Of a node, or of a handler, see :func:`~dagrun.domain.handlers.handler_id`."""

    item: int | None = None
    """Index of a ``for_each`` item, from 0; None for the node itself."""

    attempt: int | None = None
    """Number of the attempt, from 1."""

    data: Mapping[str, Any] | None = None
    """What belongs to the type, ready for JSON.

    ========================  ==========================================================
    ``run.queued``            ``base``: folder of the document, if it came from a file;
                              ``rerun_of``: the run of which this one is run again; again, and
                              without these, when a paused run is to go on and waits for an engine
    ``run.running``           ``engine``: who executes the run from now on; ``lost``: true if
                              the one before was lost. So it is in every event of the run with
                              which an engine begins
    ``run.paused``            ``reason``; if that is ``poison``, ``nodes``: those that had begun
                              and not ended when the last engine was lost, and ``node``: the first of them;
                              ``engine``: null if no engine had it, as it only waited for others
    ``run.cancelling``        ``reason``: ``requested``, ``timeout``, or ``for run …``
    ``run.ending``            ``status``: what the run comes to when its handlers have ended,
                              with ``outputs`` or ``error`` of that end; after a hand-over
                              ``engine`` only
    ``run.succeeded``         ``outputs``: :data:`~dagrun.domain.jsonvalue.Raw`
    ``run.failed``            ``error``: ``{type, message}``
    ``node.ready``            ``when``: the condition's result; ``items``: what
                              ``for_each`` gave, as Raw
    ``node.waiting``          ``child``: id of the run whose end it waits for; ``version``: of
                              that run's workflow
    ``node.retrying``         ``error``; ``delay``: seconds from ``time`` to the next attempt
    ``node.succeeded``        ``outputs``: Raw; absent for a ``for_each`` node, whose outputs
                              are those of its items
    ``node.failed``           ``error``
    ``node.skipped``          ``reason``
    ========================  ==========================================================

    What a run keeps of the one before follows its first ``run.queued``: ``node.ready`` with items,
    and ends, without an attempt. These have ``kept_from``: the run in which it was done.
    """


RERUN_OF: Final = "rerun_of"
KEPT_FROM: Final = "kept_from"

RAW_FIELDS: Final = frozenset({"outputs", "items"})
"""Names in :attr:`Event.data` whose values stay JSON text."""

_OVERHEAD: Final = 200  # bytes that an event takes beside its data, roughly


def is_kept(event: Event) -> bool:
    """Whether an event tells what was done in another run."""
    return event.data is not None and KEPT_FROM in event.data


def size_of(event: Event) -> int:
    """Give about how many bytes an event takes."""
    if not event.data:
        return _OVERHEAD
    return _OVERHEAD + sum(
        len(bytes(value)) for value in event.data.values() if isinstance(value, Raw)
    )
