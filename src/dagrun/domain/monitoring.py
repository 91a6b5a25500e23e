"""What subscribers see of the events of all runs, and of the program itself."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import attrs

from dagrun.domain.events import RAW_FIELDS, Event, Type


class Severity(StrEnum):
    """How much an event asks for somebody's attention, the least first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
GAP: Final = "gap"
"""Type of the event that stands for those that a slow subscriber missed."""

_SEVERITIES: Final = {
    Type.RUN_FAILED: Severity.ERROR,
    Type.NODE_FAILED: Severity.ERROR,
    Type.NODE_RETRYING: Severity.WARNING,
    GAP: Severity.WARNING,
    "engine.lost": Severity.WARNING,
    "trigger.missed": Severity.WARNING,
    "store.blocked": Severity.CRITICAL,
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

    def wants(self, event: MonitorEvent) -> bool:
        """Whether the subscriber wants an event."""
        return (
            RANK[event.severity] >= RANK[self.min_severity]
            and self.run_id in (None, event.run_id)
            and self.workflow_id in (None, event.workflow_id)
            and (
                not self.types
                or event.type in self.types
                or event.type.partition(".")[0] in self.types
            )
        )


def severity_of(kind: str) -> Severity:
    """Say how much a type of event asks for attention."""
    return _SEVERITIES.get(kind, Severity.INFO)


def observed(
    event: Event, *, position: int, workflow_id: str, engine_id: str | None = None
) -> MonitorEvent:
    """Give what subscribers see of an event of a run."""
    data = event.data or {}
    return MonitorEvent(
        id=str(position),
        type=str(event.type),
        severity=severity_of(event.type),
        time=event.time,
        run_id=event.run_id,
        workflow_id=workflow_id,
        node_id=event.node_id,
        item=event.item,
        engine_id=engine_id or data.get("engine"),
        attempt=event.attempt,
        data={name: value for name, value in data.items() if name not in RAW_FIELDS},
    )


def position_of(event_id: str) -> int:
    """Give the position up to which somebody who has this event has seen all.

    Raises:
        ValueError: it is no id of an event.
    """
    position = event_id.partition(".")[0]
    if not (position.isascii() and position.isdigit() and len(position) < 20):
        raise ValueError(f"{event_id!r} is no id of an event")
    return int(position)
