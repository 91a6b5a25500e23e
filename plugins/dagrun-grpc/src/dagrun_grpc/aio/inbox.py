"""What has arrived on a stream and was not read yet, for trio tasks and those of asyncio.

Both loops run in one thread, each within the other's tasks.
"""

import asyncio
from collections.abc import Callable

import trio

from dagrun.errors import ChannelLost


class Changes(asyncio.Event):
    """Wakes those who wait in either loop."""

    def __init__(self) -> None:
        super().__init__()
        self._lot = trio.lowlevel.ParkingLot()

    def set(self) -> None:
        """Wake all who wait now."""
        super().set()
        self._lot.unpark_all()

    async def next(self) -> None:
        """Wait, in trio, for the next call of :meth:`set`."""
        await self._lot.park()


class Inbox:
    """Data that has arrived on a stream and was not read yet.

    The peer is told that it may send more only as data is taken out, so there is never more here
    than a window, and one message that is being put together; in however small pieces it came.
    """

    def __init__(self, acknowledge: Callable[[int], None], changes: Changes) -> None:
        self._acknowledge = acknowledge
        self._changes = changes
        self._arrived = bytearray()
        self._taken = bytearray()
        self.ended = False

    def add(self, data: bytes, ack_size: int) -> None:
        """Put in what arrived. ``ack_size`` is what it takes of the window, with its padding."""
        if ack_size > len(data):
            self._acknowledge(ack_size - len(data))
        if data:
            self._arrived += data
            self._changes.set()

    def eof(self) -> None:
        """Note that nothing more will come."""
        self.ended = True
        self._changes.set()

    def unacked_size(self) -> int:
        """Throw away what nobody reads, and give what it took of the window."""
        size = len(self._arrived)
        self._arrived.clear()
        return size

    def take(self, size: int) -> bytes | None:
        """Take ``size`` bytes; none at the end; None as long as they are not there.

        Raises:
            ChannelLost: the stream ended before the last of them.
        """
        self._take_out(max(size - len(self._taken), 0))
        if len(self._taken) >= size:
            data = bytes(memoryview(self._taken)[:size])
            del self._taken[:size]
            return data
        if not self.ended:
            return None
        if self._taken:
            raise ChannelLost("the stream ended in the middle of a message")
        return b""

    def _take_out(self, size: int) -> None:
        """Take out what has arrived of the next ``size`` bytes, and let as many more come."""
        if piece := self._arrived[:size]:
            del self._arrived[:size]
            self._taken += piece
            self._acknowledge(len(piece))

    async def read(self, size: int) -> bytes:
        """Wait, in asyncio, for ``size`` bytes; none at the end."""
        while (data := self.take(size)) is None:
            self._changes.clear()
            await self._changes.wait()
        return data
