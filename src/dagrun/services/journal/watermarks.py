"""How far the journal of each run is on disk, and who waits for it to be further."""

from collections.abc import Iterable

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.errors import ConflictError
from dagrun.ports.store import Refusal


@attrs.define(eq=False)
class _Waiter:
    seq: int
    event: trio.Event = attrs.field(factory=trio.Event)
    refused: Refusal | None = None


class Watermarks:
    """The highest durable ``seq`` of each run that is going on."""

    def __init__(self) -> None:
        self._durable: dict[RunId, int] = {}
        self._waiters: dict[RunId, list[_Waiter]] = {}
        self.waiting = 0
        """Calls of :meth:`wait` that have not returned."""

    def durable(self, run_id: RunId) -> int:
        """Give the highest ``seq`` of a run that is known to be durable."""
        return self._durable.get(run_id, 0)

    def reach(self, run_id: RunId, seq: int) -> None:
        """Say that the events of a run up to ``seq`` are durable."""
        self._durable[run_id] = seq
        waiters = self._waiters.get(run_id)
        if waiters:
            self._waiters[run_id] = [w for w in waiters if not _wake_if_reached(w, seq)]

    def acknowledge(self, events: Iterable[Event]) -> None:
        """Say that events are durable; those of one run are in their order."""
        for run_id, seq in {event.run_id: event.seq for event in events}.items():
            self.reach(run_id, seq)

    def refuse(self, run_id: RunId, why: Refusal) -> None:
        """Tell all who wait for a run that its events are not taken, and forget it."""
        for waiter in self._waiters.get(run_id, ()):
            waiter.refused = why
            waiter.event.set()
        self.forget(run_id)

    def forget(self, run_id: RunId) -> None:
        """Drop what is remembered of a run."""
        self._durable.pop(run_id, None)
        self._waiters.pop(run_id, None)

    async def wait(self, run_id: RunId, seq: int) -> None:
        """Wait until the events of a run up to ``seq``, which is not reached, are durable.

        Raises:
            ConflictError: they never will be, as the run belongs to somebody else now.
        """
        waiter = _Waiter(seq)
        self._waiters.setdefault(run_id, []).append(waiter)
        self.waiting += 1
        try:
            await waiter.event.wait()
        finally:
            self.waiting -= 1
        if waiter.refused is not None:
            raise ConflictError(f"run {run_id} was taken over by somebody else ({waiter.refused})")


def _wake_if_reached(waiter: _Waiter, seq: int) -> bool:
    if waiter.seq > seq:
        return False
    waiter.event.set()
    return True
