"""One stream from an engine, on the orchestrator's side."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter

import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.errors import ChannelLost, as_one_loss
from dagrun.ports.frames import (
    LOG_WINDOW,
    Beat,
    Frame,
    GivenBack,
    LogChunk,
    Report,
    StartChild,
)
from dagrun.ports.journal import JournalFeed
from dagrun.ports.store import Taken
from dagrun.ports.transport import Channel
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.child_starts import ChildStarts
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import RemoteEngine
from dagrun.services.fleet.returns import Returns
from dagrun.services.fleet.roster import Roster


class Session:
    """Hears what an engine says, and sends what is put in its outbox.

    Args:
        channel: the stream.
        engine: who is at the other end.
        journal: takes the events.
        roster: hears that the engine takes runs, or no more.
        assignments: says whose the runs are.
        returns: takes back runs.
        child_starts: starts child runs.
        log_came: keeps a piece of a log, without blocking, and calls something when it has.
    """

    def __init__(
        self,
        channel: Channel,
        engine: RemoteEngine,
        *,
        journal: JournalFeed,
        roster: Roster,
        assignments: Assignments,
        returns: Returns,
        child_starts: ChildStarts,
        log_came: Callable[[LogChunk, Callable[[], None]], None],
    ) -> None:
        self._channel = channel
        self._engine = engine
        self._journal = journal
        self._roster = roster
        self._assignments = assignments
        self._returns = returns
        self._child_starts = child_starts
        self._log_came = log_came
        self._outbox: Outbox
        self._logs_came = self._logs_kept = 0
        """Bytes of logs, on this stream."""

    async def run(self, outbox: Outbox) -> None:
        """Talk until the stream ends.

        Raises:
            ChannelLost: it has ended.
        """
        self._outbox = outbox
        with as_one_loss():
            await self._talk(outbox)

    async def _talk(self, outbox: Outbox) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, outbox)
            while True:
                for frame in await self._channel.receive():
                    self._hear(frame)

    async def _send(self, outbox: Outbox) -> None:
        while True:
            await self._channel.send(await outbox.take())

    def _hear(self, frame: Frame) -> None:
        match frame:
            case Report():
                self._report(frame)
            case Beat():
                self._beat(frame)
            case GivenBack():
                self._returns.given_back(self._engine, frame)
            case StartChild():
                self._child_starts.wanted(self._engine, frame)
            case LogChunk():
                self._log(frame)
            case other:
                raise ChannelLost(f"engine {self._engine.name} says {type(other).__name__}")

    def _report(self, report: Report) -> None:
        """Let events be journaled of runs that the engine has; it is to stop the others."""
        taken: dict[RunId, list[Taken]] = {}
        for run_id, epoch, number in report.taken:
            taken.setdefault(run_id, []).append(Taken(run_id=run_id, epoch=epoch, number=number))
        for run_id, group in groupby(report.events, key=attrgetter("run_id")):
            self._journal_of(run_id, list(group), taken.pop(run_id, []))
        for run_id, rest in taken.items():
            if self._has(run_id, rest[0].epoch):
                self._journal.append([], rest)

    def _journal_of(self, run_id: RunId, events: list[Event], taken: Sequence[Taken]) -> None:
        epoch = events[0].epoch
        if self._has(run_id, epoch):
            self._engine.unacknowledged[run_id] = (epoch, events[-1].seq)
            self._journal.append(events, taken)

    def _beat(self, beat: Beat) -> None:
        now = trio.current_time()
        for run_id, epoch in beat.held:
            if self._has(run_id, epoch):
                self._engine.runs[run_id].renewed = now
        self._outbox.put_beat_seen(beat.number)
        self._engine.heard = now
        self._roster.heard(self._engine, draining=beat.draining)

    def _log(self, chunk: LogChunk) -> None:
        size = len(chunk.data)
        if not size:  # it would count for nothing, however many there are
            raise ChannelLost(f"engine {self._engine.name} sends an empty piece of a log")
        self._logs_came += size
        if self._logs_came - self._logs_kept > LOG_WINDOW:
            raise ChannelLost(f"engine {self._engine.name} sends more of logs than can be kept")
        if self._assignments.is_anothers(self._engine, chunk.run_id, chunk.epoch):
            self._log_kept(size)  # it is dropped; there is nobody to complain to
        else:
            self._log_came(chunk, partial(self._log_kept, size))

    def _log_kept(self, size: int) -> None:
        self._logs_kept += size
        self._outbox.put_logs_kept(self._logs_kept)

    def _has(self, run_id: RunId, epoch: int) -> bool:
        """Whether the engine has a run; if not, it is told to stop it."""
        if self._engine.assigned(run_id, epoch) is not None:
            return True
        self._engine.stop(run_id, epoch)
        return False
