"""What subscribers see of the events of all runs, and of the program itself."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import attrs

from dagrun.domain.events import RAW_FIELDS, Event, Type, is_kept


class Severity(StrEnum):
    """How much an event asks for somebody's attention, the least first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
GAP: Final = "gap"
"""Type of the event that stands for those that a slow subscriber missed."""

STORE_BLOCKED: Final = "store.blocked"
"""Nothing can be written, and what goes on waits; ``data``: ``message``."""

STORE_UNBLOCKED: Final = "store.unblocked"
_SEVERITIES: Final = {
    Type.RUN_FAILED: Severity.ERROR,
    Type.NODE_FAILED: Severity.ERROR,
    Type.NODE_RETRYING: Severity.WARNING,
    GAP: Severity.WARNING,
    "engine.lost": Severity.WARNING,
    "trigger.missed": Severity.WARNING,
    STORE_BLOCKED: Severity.CRITICAL,
}


@attrs.frozen(kw_only=True)
class MonitorEvent:
    """Something that happened."""

    id: str
    """Where it stands in the order of all events; what ``after`` takes."""

    type: str
    """Such as ``run.succeeded`` or ``workflow.registered``."""

    severity: Severity
    time: datetime
    """Timezone-aware UTC."""

    run_id: str | None = None
    workflow_id: str | None = None
    node_id: str | None = None
    item: int | None = None
    engine_id: str | None = None
    attempt: int | None = None
    data: Mapping[str, Any] = attrs.field(factory=dict)
    """What belongs to the type, see :attr:`dagrun.domain.events.Event.data`, without outputs and
    items: these may be large, and are read from the run.
    """


@attrs.frozen(kw_only=True)
class Filter:
    """Which events a subscriber wants; empty collections and None want all."""

    min_severity: Severity = Severity.INFO
    types: Collection[str] = ()
    """Whole types, such as ``run.failed``, or what stands before the dot."""

    run_id: str | None = None
    workflow_id: str | None = None

    _everything: bool = attrs.field(init=False, eq=False, repr=False)

    @_everything.default
    def _is_everything(self) -> bool:
        nothing_named = self.run_id is None and self.workflow_id is None and not self.types
        return nothing_named and self.min_severity is Severity.INFO

    def among(self, events: Sequence[MonitorEvent]) -> Sequence[MonitorEvent]:
        """Give those of some events that the subscriber wants."""
        return events if self._everything else [event for event in events if self.wants(event)]

    def wants(self, event: MonitorEvent) -> bool:
        """Whether the subscriber wants an event."""
        return (
            (self.run_id is None or self.run_id == event.run_id)
            and (self.workflow_id is None or self.workflow_id == event.workflow_id)
            and RANK[event.severity] >= RANK[self.min_severity]
            and (
                not self.types
                or event.type in self.types
                or event.type.partition(".")[0] in self.types
            )
        )


def severity_of(kind: str) -> Severity:
    """Say how much a type of event asks for attention."""
    return _SEVERITIES.get(kind, Severity.INFO)


def places(event: Event) -> bool:
    """Whether an event says which engine has its run from now on, or that none has."""
    return event.type is Type.RUN_QUEUED or "engine" in (event.data or {})


def engine_at(placed: Event | None, event: Event) -> str | None:
    """Give the engine that had a run when an event happened; None when none had it.

    An engine that begins to execute a run says so in its first event. A run that is queued again,
    or was handed over and waits, is with no engine.

    Args:
        placed: the last event of the run, up to this one, that :func:`places` it.
        event: the event.
    """
    if placed is None or placed.epoch != event.epoch:
        return None
    return (placed.data or {}).get("engine")


def observed(
    event: Event, *, position: int, workflow_id: str | None, engine_id: str | None
) -> MonitorEvent:
    """Give what subscribers see of an event of a run.

    Args:
        event: the event.
        position: where it stands in the order of all runs.
        workflow_id: the workflow of its run.
        engine_id: who executed the run then, see :func:`engine_at`.
    """
    data = event.data or {}
    return MonitorEvent(
        id=str(position),
        type=str(event.type),
        severity=Severity.INFO if is_kept(event) else severity_of(event.type),
        time=event.time,
        run_id=event.run_id,
        workflow_id=workflow_id,
        node_id=event.node_id,
        item=event.item,
        engine_id=engine_id,
        attempt=event.attempt,
        data={name: value for name, value in data.items() if name not in RAW_FIELDS},
    )


def gap(time: datetime, *, after: str) -> MonitorEvent:
    """Give what stands for events that a subscriber missed.

    Args:
        time: when they began to be missed.
        after: id of the event behind which they begin.
    """
    severity = severity_of(GAP)
    return MonitorEvent(id=after, type=GAP, severity=severity, time=time, data={"after": after})


def position_of(event_id: str) -> int:
    """Give the position up to which somebody who has this event has seen all.

    Raises:
        ValueError: it is no id of an event.
    """
    position = event_id.partition(".")[0]
    if not (position.isascii() and position.isdigit() and len(position) < 20):
        raise ValueError(f"{event_id!r} is no id of an event")
    return int(position)
