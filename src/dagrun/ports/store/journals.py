"""The journals of runs, each by itself and all in one order."""

from collections.abc import Sequence
from typing import Protocol

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId


@attrs.frozen(kw_only=True)
class Logged:
    """An event, and where it stands in the order of all runs."""

    position: int
    """Grows with each event that is stored; never given twice."""

    workflow_id: str
    engine_id: str | None
    """The engine that executed the run then, see :func:`~dagrun.domain.monitoring.engine_at`."""

    event: Event


class Journals(Protocol):
    """Reads journals."""

    async def events(self, run_id: RunId, *, after: int = 0) -> Sequence[Event]:
        """Give a run's journal from the event behind ``after``."""
        ...

    async def log(self, *, after: int, limit: int, run_id: RunId | None = None) -> Sequence[Logged]:
        """Give the events of all runs, or of one, behind a position, in their order.

        It takes about as long for a large journal as for a small one, and for one run no longer
        than that run is.
        """
        ...

    async def last_position(self) -> int:
        """Give the position of the newest event; 0 when there was none."""
        ...
