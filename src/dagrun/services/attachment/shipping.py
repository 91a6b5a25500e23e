"""What the nodes of an engine write, on its way to the orchestrator."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
import trio

from dagrun.domain.ids import RunId
from dagrun.ports.frames import LogChunk

PIECE: Final = 64 * 1024  # bytes of one log that travel together
KEPT: Final = 60.0
"""Seconds for which a log stays here that was sent whole: should the stream be found to be dead by
then, it goes once more."""


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

    closed: bool = False

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


class Shipping:
    """Keeps logs on this engine's disk until they were sent. It is where attempts get their logs.

    It holds no byte of a log in memory: what is to be sent is read from the files.

    Args:
        logs: where they are kept.
    """

    def __init__(self, logs: KeptLogs) -> None:
        self._logs = logs
        self._known: dict[ShippedLog, None] = {}
        """Logs of which not all may have arrived, the oldest first."""

        self._unsent: dict[ShippedLog, None] = {}
        """Those of which there is something to be sent, in the order of their turns."""

        self._whole: dict[ShippedLog, float] = {}
        """Those that are closed and were sent whole, and when, by trio's clock; in that order."""

        self._wake: Callable[[], None] = lambda: None
        self._all_sent = trio.Event()

    @property
    def keeps(self) -> bool:
        """Whether there are logs of which not all may have arrived."""
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
        elif log in self._known:
            self._note_whole(log)

    def _note_whole(self, log: ShippedLog) -> None:
        if log.closed:
            self._whole.setdefault(log, trio.current_time())

    def take(self, most: int) -> Sequence[LogChunk]:
        """Give pieces of logs that were not sent yet, one of each by turns.

        Args:
            most: bytes of all of them.
        """
        self._let_go()
        chunks: list[LogChunk] = []
        while most > 0 and self._unsent:
            log = next(iter(self._unsent))
            del self._unsent[log]
            chunk = log.take(min(PIECE, most))
            if chunk.data:
                chunks.append(chunk)
                most -= len(chunk.data)
            if log.unsent:
                self._unsent[log] = None
            else:
                self._note_whole(log)
        if not self._unsent:
            self._all_sent.set()
        return chunks

    async def wait_sent(self) -> None:
        """Wait until there is nothing that was not sent."""
        while self._unsent:
            self._all_sent = trio.Event()
            await self._all_sent.wait()

    def send_again(self) -> None:
        """Have all logs sent from their beginning, for a new stream, but those sent long ago."""
        self._whole.clear()
        for log in self._known:
            log.sent = 0
        self._unsent = dict(self._known)

    def remove_sent(self) -> None:
        """Delete the files of all logs that were sent whole."""
        for log in list(self._whole):
            self._remove(log)

    def _let_go(self) -> None:
        """Delete the files of those that were sent whole so long ago that they have arrived."""
        before = trio.current_time() - KEPT
        while self._whole:
            log, sent_at = next(iter(self._whole.items()))
            if sent_at > before:
                break
            self._remove(log)

    def _remove(self, log: ShippedLog) -> None:
        del self._whole[log], self._known[log]
        log.remove()
