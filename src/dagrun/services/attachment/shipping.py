"""What the nodes of an engine write, on its way to the orchestrator."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import attrs
import trio

from dagrun.domain.ids import RunId
from dagrun.ports.frames import LOG_WINDOW, LogChunk

PIECE: Final = 64 * 1024  # bytes of one log that travel together


class KeptLog(Protocol):
    """The log of one attempt, in a file."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is kept."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the file."""
        ...

    def write(self, data: bytes) -> None:
        """Append bytes as they came."""
        ...

    def tail(self) -> bytes:
        """Give the end of what was written."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...

    def read(self, start: int, size: int) -> bytes:
        """Give at most ``size`` bytes from ``start``; none if the file is gone."""
        ...

    def remove(self) -> None:
        """Delete the file."""
        ...


class KeptLogs(Protocol):
    """Where an engine keeps logs, with a file for each epoch of an attempt."""

    def open(
        self, run_id: str, node_id: str, attempt: int, item: int | None = None, *, epoch: int
    ) -> KeptLog:
        """Give the log of one attempt. Touches no file before something is written."""
        ...


@attrs.define(eq=False)
class ShippedLog:
    """The log of one attempt, and how much of it was sent. It is an ``AttemptLog``."""

    _log: KeptLog
    _about: LogChunk
    """What its pieces have in common."""

    _changed: Callable[["ShippedLog"], None]
    sent: int = 0
    """Bytes, on the present stream."""

    arrived: int = 0
    """Bytes that the orchestrator has, of those that were sent on the present stream."""

    closed: bool = False

    @property
    def whole(self) -> bool:
        """Whether the orchestrator has all that there will be."""
        return self.closed and self.arrived >= self._log.size

    @property
    def ended(self) -> bool:
        """Whether nothing more is kept."""
        return self._log.ended

    @property
    def unsent(self) -> bool:
        """Whether there is more in it than was sent."""
        return self._log.size > self.sent

    def write(self, data: bytes) -> None:
        """Append bytes to the file, and have them sent."""
        self._log.write(data)
        self._changed(self)

    def tail(self) -> bytes:
        """Give the end of what was written."""
        return self._log.tail()

    def close(self) -> None:
        """Write no more. What is there is sent all the same."""
        self._log.close()
        self.closed = True
        self._changed(self)

    def take(self, most: int) -> LogChunk:
        """Give the next piece. If the file is gone, it is empty, and nothing more comes."""
        data = self._log.read(self.sent, most)
        chunk = attrs.evolve(self._about, offset=self.sent, data=data)
        self.sent = self.sent + len(data) if data else self._log.size
        return chunk

    def remove(self) -> None:
        """Delete the file."""
        self._log.remove()


class _OnWay(NamedTuple):
    """A piece that was sent, and of which nothing was heard yet."""

    end: int
    """Where it ends, in bytes of all logs since the stream began."""

    log: ShippedLog
    upto: int
    """Where it ends in its log."""


class Shipping:
    """Keeps logs on this engine's disk until they have arrived. It is where attempts get their logs.

    It holds no byte of a log in memory: what is to be sent is read from the files. No more than
    :data:`~dagrun.ports.frames.LOG_WINDOW` is on its way: while the orchestrator's disk is slow, the
    rest waits here.

    Args:
        logs: where they are kept.
    """

    def __init__(self, logs: KeptLogs) -> None:
        self._logs = logs
        self._known: dict[ShippedLog, None] = {}
        """Logs of which not all has arrived, or more may come, the oldest first."""

        self._unsent: dict[ShippedLog, None] = {}
        """Those of which there is something to be sent, in the order of their turns."""

        self._on_way: deque[_OnWay] = deque()
        self._sent = self._kept = 0
        """Bytes, on the present stream."""

        self._wake: Callable[[], None] = lambda: None
        self._all_arrived = trio.Event()

    @property
    def keeps(self) -> bool:
        """Whether there are logs of which not all has arrived, or more may come."""
        return bool(self._known)

    def open(
        self, run_id: str, node_id: str, attempt: int, item: int | None = None, *, epoch: int
    ) -> ShippedLog:
        """Give the log of an attempt; whoever gets it closes it.

        Raises:
            ValueError: an id is none.
        """
        about = LogChunk(
            run_id=RunId(run_id),
            epoch=epoch,
            node_id=node_id,
            attempt=attempt,
            item=item,
            offset=0,
            data=b"",
        )
        log = self._logs.open(run_id, node_id, attempt, item, epoch=epoch)
        return ShippedLog(log, about, self._changed)

    def call_when_unsent(self, wake: Callable[[], None]) -> None:
        """Call something whenever there is more to send."""
        self._wake = wake

    def _changed(self, log: ShippedLog) -> None:
        if log.unsent:
            if log not in self._unsent:
                self._known[log] = self._unsent[log] = None
                self._wake()
        else:
            self._let_go(log)

    def take(self, most: int) -> Sequence[LogChunk]:
        """Give pieces of logs that were not sent yet, one of each by turns.

        Args:
            most: bytes of all of them.
        """
        most = min(most, LOG_WINDOW - (self._sent - self._kept))
        chunks: list[LogChunk] = []
        while most > 0 and self._unsent:
            log = next(iter(self._unsent))
            del self._unsent[log]
            chunk = log.take(min(PIECE, most))
            if chunk.data:
                chunks.append(chunk)
                most -= len(chunk.data)
                self._sent += len(chunk.data)
                self._on_way.append(_OnWay(self._sent, log, log.sent))
            else:
                self._arrived(log, log.sent)
            if log.unsent:
                self._unsent[log] = None
        return chunks

    def acknowledge(self, count: int) -> None:
        """Hear how many bytes of logs the orchestrator has taken since the stream began."""
        self._kept = min(count, self._sent)
        while self._on_way and self._on_way[0].end <= count:
            piece = self._on_way.popleft()
            self._arrived(piece.log, piece.upto)
        if self._unsent:
            self._wake()

    async def wait_arrived(self) -> None:
        """Wait until all that was written so far, and is written meanwhile, has arrived."""
        while self._unsent or self._on_way:
            self._all_arrived = trio.Event()
            await self._all_arrived.wait()

    def send_again(self) -> None:
        """Have all logs sent from their beginning, for a new stream, that have not arrived whole."""
        self._on_way.clear()
        self._sent = self._kept = 0
        for log in self._known:
            log.sent = log.arrived = 0
        self._unsent = dict(self._known)

    def _arrived(self, log: ShippedLog, upto: int) -> None:
        log.arrived = upto
        self._let_go(log)
        if not self._unsent and not self._on_way:
            self._all_arrived.set()

    def _let_go(self, log: ShippedLog) -> None:
        """Delete the file of a log of which all has arrived."""
        if log.whole and log in self._known:
            del self._known[log]
            log.remove()
