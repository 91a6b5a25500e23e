"""The subscriber that comes with the core: ``log``."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from dagrun.domain.monitoring import MonitorEvent, Severity
from dagrun.domain.result import rfc3339

LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
    Severity.CRITICAL: logging.CRITICAL,
}

_log: Final = logging.getLogger("dagrun.events")


class LogSubscriber:
    """Writes each event as a line of the log: its type, and all that is known of it beside.

    The level of a line is the event's severity, so the level of the log leaves out the lesser ones.
    """

    async def handle(self, events: Sequence[MonitorEvent]) -> None:
        """Write them."""
        for event in events:
            _log.log(LEVELS[event.severity], "%s", event.type, extra=_fields(event))


def _fields(event: MonitorEvent) -> Mapping[str, Any]:
    fields = attrs.asdict(event, recurse=False, filter=lambda _, value: value not in (None, {}))
    del fields["type"], fields["severity"]  # the line itself, and its level
    return {**fields, "time": rfc3339(event.time)}
