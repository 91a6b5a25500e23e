"""The journal of an engine whose orchestrator is elsewhere: what happens goes up, and is kept until
it is known to be durable.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
import trio

from dagrun.domain.events import Event, size_of
from dagrun.domain.ids import RunId
from dagrun.ports.frames import Report
from dagrun.ports.store import Refusal, Taken
from dagrun.services.journal.journal import MAX_WAITING
from dagrun.services.journal.recent import RecentEvents
from dagrun.services.journal.watermarks import Watermarks

MAX_REPORT: Final = 512 * 1024  # bytes of events in one frame, unless a single portion has more


@attrs.frozen(kw_only=True)
class UplinkStatistics:
    """What is kept."""

    events: int
    """Events that are not known to be durable."""

    bytes: int


@attrs.define(eq=False)
class _Portion:
    """What was appended at once; it is kept until its last event is durable."""

    run_id: RunId
    last: int
    """``seq`` of its last event; 0 for messages that had no effect, which are not kept."""

    events: Sequence[Event]
    taken: Sequence[Taken]
    size: int


class Uplink:
    """Implements :class:`~dagrun.ports.journal.JournalFeed` for an engine in another process.

    Args:
        fenced: whether the engine's lease has ended, see
            :meth:`~dagrun.ports.journal.JournalFeed.fenced`.
        recent: is told of what is durable; None for nobody.
    """

    def __init__(
        self, fenced: Callable[[], bool] = lambda: False, recent: RecentEvents | None = None
    ) -> None:
        self._is_fenced = fenced
        self._recent = recent or RecentEvents("")
        self._unsent: deque[_Portion] = deque()
        self._waiting: Counter[RunId] = Counter()
        """Run → how many of its portions are unsent."""

        self._kept: dict[RunId, deque[_Portion]] = {}
        self._bytes = 0
        self._marks = Watermarks()
        self._hurry = False
        """Whether somebody began to wait since the last report."""

        self._wake: Callable[[], None] = lambda: None
        self._room = trio.Event()

    def append(self, events: Sequence[Event], taken: Sequence[Taken] = ()) -> None:
        """Queue events of one run, and what was taken up with them. Does not block."""
        if not events and not taken:
            return
        run_id = events[0].run_id if events else taken[0].run_id
        last = events[-1].seq if events else 0
        portion = _Portion(run_id, last, events, taken, sum(map(size_of, events)))
        self._unsent.append(portion)
        self._waiting[run_id] += 1
        if events:
            self._kept.setdefault(run_id, deque()).append(portion)
            self._bytes += portion.size
        self._wake()

    def durable(self, run_id: RunId) -> int:
        """Give the highest ``seq`` of a run that is known to be durable."""
        return self._marks.durable(run_id)

    async def wait_durable(self, run_id: RunId, seq: int) -> None:
        """Wait until a run's events up to ``seq`` are durable.

        Raises:
            ConflictError: they never will be, as the run belongs to somebody else now.
        """
        if self._marks.durable(run_id) < seq:
            self._hurry = True
            self._wake()
            await self._marks.wait(run_id, seq)

    def has_room(self) -> bool:
        """Whether nodes may still be started: little waits, and the lease has not ended."""
        return self._bytes <= MAX_WAITING and not self._is_fenced()

    async def wait_room(self) -> None:
        """Wait until :meth:`has_room`."""
        while not self.has_room():
            await self._room.wait()

    def fenced(self) -> bool:
        """Whether the engine's lease has ended; see the port."""
        return self._is_fenced()

    def continue_from(self, run_id: RunId, seq: int) -> None:
        """Say that a run's events up to ``seq`` came from the store."""
        self._marks.reach(run_id, seq)

    def forget(self, run_id: RunId) -> None:
        """Drop what is kept and remembered of a run."""
        for portion in self._kept.pop(run_id, ()):
            self._bytes -= portion.size
        if self._waiting.pop(run_id, 0):
            self._unsent = deque(portion for portion in self._unsent if portion.run_id != run_id)
        self._marks.forget(run_id)
        self.look_for_room()

    def call_when_unsent(self, wake: Callable[[], None]) -> None:
        """Call something whenever there is more to send."""
        self._wake = wake

    def take_report(self) -> Report | None:
        """Give what is to be sent next, or None. It is kept until it is durable."""
        portions: list[_Portion] = []
        size = 0
        while self._unsent and (not portions or size + self._unsent[0].size <= MAX_REPORT):
            portion = self._unsent.popleft()
            portions.append(portion)
            size += portion.size
            self._waiting[portion.run_id] -= 1
            if not self._waiting[portion.run_id]:
                del self._waiting[portion.run_id]
        if not portions and not self._hurry:
            return None
        awaited, self._hurry = self._hurry, False
        return Report(
            events=tuple(event for portion in portions for event in portion.events),
            taken=tuple(
                (taken.run_id, taken.epoch, taken.number)
                for portion in portions
                for taken in portion.taken
            ),
            awaited=awaited,
        )

    def acknowledge(self, run_id: RunId, seq: int) -> None:
        """Hear that a run's events up to ``seq`` are stored."""
        kept = self._kept.get(run_id)
        while kept and kept[0].last <= seq:
            portion = kept.popleft()
            self._bytes -= portion.size
            self._recent.add(portion.events)
        if kept is not None and not kept:
            del self._kept[run_id]
        if seq > self._marks.durable(run_id):
            self._marks.reach(run_id, seq)
        self.look_for_room()

    def refuse(self, run_id: RunId) -> None:
        """Hear that a run is somebody else's now: nothing that is kept of it is of use."""
        self._marks.refuse(run_id, Refusal.STALE_EPOCH)
        if run_id in self._kept:  # some of it may be stored, and the answer have been lost
            self._recent.lost(run_id)
        self.forget(run_id)

    def send_again(self, runs: Iterable[RunId]) -> None:
        """Queue all that is kept of some runs, for a new stream."""
        self._unsent = deque(portion for run_id in runs for portion in self._kept.get(run_id, ()))
        self._waiting = Counter(portion.run_id for portion in self._unsent)
        self._hurry = self._marks.waiting > 0
        self._wake()

    def look_for_room(self) -> None:
        """Let those go on who wait for room, if there is some."""
        if self.has_room():
            self._room.set()
            self._room = trio.Event()

    def statistics(self) -> UplinkStatistics:
        """Say how much is kept."""
        portions = [portion for kept in self._kept.values() for portion in kept]
        return UplinkStatistics(
            events=sum(len(portion.events) for portion in portions), bytes=self._bytes
        )
