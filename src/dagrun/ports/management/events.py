"""What can be asked of what happens."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from dagrun.domain.monitoring import MonitorEvent, Severity


@attrs.frozen(kw_only=True)
class EventPage:
    """Some events, oldest first."""

    items: Sequence[MonitorEvent]
    position: str
    """Behind what events come that are newer than all that was looked at: an ``after``."""


@attrs.frozen(kw_only=True)
class Wanted:
    """Which events somebody wants; empty and None want all."""

    min_severity: Severity = Severity.INFO
    types: Collection[str] = ()
    """Whole types, such as ``run.failed``, or what stands before the dot."""

    run_id: str | None = None
    workflow_id: str | None = None


class EventManagement(Protocol):
    """What happens in all runs, and to the orchestrator."""

    async def list(
        self, wanted: Wanted, *, after: str | None = None, limit: int = 100
    ) -> EventPage:
        """Give the newest events; or, with ``after``, the first ones behind that one.

        Raises:
            InputError: the limit or the event's id is none.
        """
        ...

    def follow(
        self, wanted: Wanted, *, after: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[MonitorEvent]]:
        """Get events as they happen, in an ``async with`` block; see the monitor's ``subscribe``.

        Args:
            wanted: which.
            after: those behind this one come first; None begins with what happens from now on.

        Raises:
            InputError: the event's id is none.
        """
        ...
