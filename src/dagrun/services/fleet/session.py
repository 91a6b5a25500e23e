"""One stream from an engine, on the orchestrator's side."""

from collections.abc import Callable
from functools import partial

import trio

from dagrun.domain.events import RUN_ENDS, Event
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
from dagrun.ports.journal import AssigningFeed
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
        journal: AssigningFeed,
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
        """Let events be journaled of runs that the engine has; it is to stop the others.

        All that is said of a run goes into one portion: what a message brought about is stored
        together with the fact that it was taken up.
        """
        said: dict[tuple[RunId, int], tuple[list[Event], list[Taken]]] = {}
        for event in report.events:
            said.setdefault((event.run_id, event.epoch), ([], []))[0].append(event)
        for run_id, epoch, number in report.taken:
            taken = Taken(run_id=run_id, epoch=epoch, number=number)
            said.setdefault((run_id, epoch), ([], []))[1].append(taken)
        for (run_id, epoch), (events, takens) in said.items():
            if self._has(run_id, epoch):
                if events:
                    self._engine.unacknowledged[run_id] = (epoch, events[-1].seq)
                self._journal.append(events, takens)
        if report.awaited or any(event.type in RUN_ENDS for event in report.events):
            self._journal.hurry()

    def _beat(self, beat: Beat) -> None:
        now = trio.current_time()
        for run_id, epoch in beat.held:
            if self._has(run_id, epoch):
                self._engine.runs[run_id].renewed = now
        self._outbox.put_beat_seen(beat.number)
        self._engine.heard = now
        self._roster.heard(self._engine, draining=beat.draining, unhealthy=beat.unhealthy)

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
