"""A call's stream of messages, read and written by trio tasks or by those of asyncio.

grpclib's own stream takes a message of any length, and is for asyncio only. Both loops run in one
thread, each within the other's tasks, so that a trio task may do here what an asyncio task would.
"""

import struct
from functools import partial
from typing import Any, Final

import trio
from grpclib import GRPCError, Status
from grpclib import protocol as grpclib_protocol
from h2.errors import ErrorCodes
from h2.exceptions import H2Error

from dagrun.errors import ChannelLost
from dagrun_grpc.aio.connection import GuardedConnection
from dagrun_grpc.aio.inbox import Changes, Inbox
from dagrun_grpc.limits import MAX_MESSAGE

_PREFIX: Final = struct.Struct(">?I")
"""What stands before each message: whether it is compressed, and its length."""

COMPRESSED: Final = "a compressed message, which nobody asked for"


class GuardedStream(grpclib_protocol.Stream):
    """A stream whose messages have a limit, and which trio tasks can use, too."""

    connection: GuardedConnection
    id: int
    buffer: Inbox  # type: ignore[assignment]  # in its place, with the same methods

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.changes = Changes()
        super().__init__(*args, **kwargs)
        self.window_updated = self.changes
        self.lost: str | None = None
        """Why nothing can be sent or received any more."""

        self.most = MAX_MESSAGE
        """Bytes of a message from the other side, at most."""

        self.keeps_open = True
        """Whether its connection is in use as long as this is open."""

    def init_stream(self, stream_id: int, connection: grpclib_protocol.Connection) -> None:
        """Begin, now that there is a number for it; called by grpclib."""
        super().init_stream(stream_id, connection)
        self.buffer = Inbox(partial(connection.ack, stream_id), self.changes)

    async def recv_data(self, size: int) -> bytes:
        """Read, in asyncio; called by grpclib with the length that stands before a message."""
        self._refuse(size)
        return await super().recv_data(size)

    async def receive(self) -> bytes | None:
        """Wait, in trio, for the next message; None when the other side has ended the stream.

        Raises:
            ChannelLost: it is broken.
            GRPCError: what was sent is refused.
        """
        await trio.lowlevel.checkpoint()
        prefix = await self._read(_PREFIX.size)
        if not prefix:
            return None
        compressed, size = _PREFIX.unpack(prefix)
        if compressed:
            raise GRPCError(Status.UNIMPLEMENTED, COMPRESSED)
        self._refuse(size)
        return await self._read(size) if size else b""

    async def send(self, message: bytes) -> None:
        """Send a message, in trio; wait while the other side takes no more.

        Raises:
            ChannelLost: the stream is broken, or the other side has ended it.
        """
        await trio.lowlevel.checkpoint()
        rest = memoryview(_PREFIX.pack(False, len(message)) + message)
        while rest:
            self._still_open()
            room = self._room()
            if room <= 0:
                await self.changes.next()
                continue
            self._write(bytes(rest[:room]))
            rest = rest[room:]

    async def finish(self) -> None:
        """Say, in trio, that nothing more will be sent, and wait for the same from the server.

        Raises:
            ChannelLost: the stream is broken.
        """
        while not self.connection.write_ready.is_set() and self.lost is None:
            await self.changes.next()
        self._still_open()
        try:
            self._h2_connection.end_stream(self.id)
        except H2Error as error:
            raise ChannelLost(f"the stream is closed ({error})") from error
        self.connection.flush()
        while self.lost is None and not self.buffer.ended:
            await self.changes.next()

    def close(self, reason: str) -> None:
        """Send and receive nothing more. What was sent goes on its way."""
        if self.lost is None:
            self.lost = reason
        self.changes.set()

    def lose(self, reason: str) -> None:
        """End the stream at once, on both sides."""
        if self.lost is None and self.closable:
            self.reset_nowait(ErrorCodes.CANCEL)
        self.close(reason)

    def __terminated__(self, reason: str) -> None:
        """Take note that the stream is broken; called by grpclib."""
        if self.lost is None:
            self.lost = self.connection.reason or reason
        self.changes.set()
        super().__terminated__(self.lost)

    async def _read(self, size: int) -> bytes:
        while True:
            if self.lost is not None:
                raise ChannelLost(self.lost)
            data: bytes | None = self.buffer.take(size)
            if data is not None:
                return data
            await self.changes.next()

    def _still_open(self) -> None:
        if self.lost is not None:
            raise ChannelLost(self.lost)
        if self.trailers is not None:  # the server's, behind which it takes nothing
            raise ChannelLost("the other side has ended the stream")

    def _room(self) -> int:
        """How much may be sent now."""
        if not self.connection.write_ready.is_set():
            return 0
        try:
            window = self._h2_connection.local_flow_control_window(self.id)
        except H2Error as error:
            raise ChannelLost(f"the stream is closed ({error})") from error
        return min(window, self._h2_connection.max_outbound_frame_size)

    def _write(self, data: bytes) -> None:
        try:
            self._h2_connection.send_data(self.id, data)
        except H2Error as error:
            raise ChannelLost(f"the stream is closed ({error})") from error
        self.connection.flush()

    def _refuse(self, size: int) -> None:
        """Refuse a message that is too long, and its sender."""
        if size > self.most:
            self.connection.condemn(f"a message of {size} bytes; at most {self.most} are allowed")
            raise GRPCError(
                Status.RESOURCE_EXHAUSTED,
                f"a message has {size} bytes; at most {self.most} are allowed",
            )
