"""One stream of the transport ``json``: each message behind its length."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import trio

from dagrun.errors import ChannelLost
from dagrun.plugin.frames_json import Malformed, decode_frames, encode_frames
from dagrun.ports.frames import Frame

MOST: Final = 64 * 1024 * 1024  # bytes of a message; nothing of a longer one is read
GOODBYE: Final = 1.0  # seconds that the other side gets to end the stream, too
BITE: Final = 64 * 1024  # bytes that are taken from the socket at once

UNREAD: Final = 512 * 1024
"""Bytes that the system keeps for who does not read; by itself it may take tens of megabytes."""

_LENGTH: Final = struct.Struct(">I")
_BROKEN: Final = (
    OSError,
    trio.BrokenResourceError,
    trio.BusyResourceError,
    trio.ClosedResourceError,
)


class JsonChannel:
    """What :class:`~dagrun.ports.transport.Channel` says, on a socket.

    Args:
        stream: the socket; it is closed with this.
        peer: who is at the other end, for people.
    """

    def __init__(self, stream: trio.SocketStream, peer: str) -> None:
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, UNREAD)
        self.peer = peer
        self._stream = stream
        self._came = bytearray()
        self._lost: str | None = None

    async def send(self, frames: Sequence[Frame]) -> None:
        """Send frames; see the port."""
        for message in messages(frames, MOST):
            await self.write(message)

    async def receive(self) -> Sequence[Frame]:
        """Wait for frames; see the port."""
        message = await self.read(MOST)
        with self._ending_it():
            return decode_frames(message)

    async def write(self, message: bytes) -> None:
        """Send a message.

        Raises:
            ChannelLost: the stream has ended.
        """
        with self._ending_it():
            await self._stream.send_all(_LENGTH.pack(len(message)) + message)

    async def read(self, most: int) -> bytes:
        """Wait for a message of ``most`` bytes or less.

        Raises:
            ChannelLost: the stream has ended.
        """
        with self._ending_it():
            (length,) = _LENGTH.unpack(await self._exactly(_LENGTH.size))
            if length > most:
                raise ChannelLost(f"a message of {length} bytes; at most {most} are allowed")
            return await self._exactly(length)

    async def aclose(self) -> None:
        """End the stream. What was sent before still arrives, if the other side reads it now."""
        if self._lost is None:
            with trio.move_on_after(GOODBYE, shield=True), suppress(*_BROKEN):
                await self._stream.send_eof()
                while await self._stream.receive_some(BITE):
                    pass  # a socket with unread data, when it is closed, takes back what it sent
        self._lose("the stream is closed on this side")

    async def _exactly(self, size: int) -> bytes:
        while len(self._came) < size:
            data = await self._stream.receive_some(BITE)
            if not data:
                raise ChannelLost("the other side has ended the stream")
            self._came += data
        message = bytes(self._came[:size])
        del self._came[:size]
        return message

    @contextmanager
    def _ending_it(self) -> Iterator[None]:
        """Let whatever goes wrong in the block be the end, in both directions and for good.

        That is so for a cancellation, too: nobody could say what of a message was sent.
        """
        if self._lost is not None:
            raise ChannelLost(self._lost)
        try:
            yield
        except (*_BROKEN, Malformed) as error:
            reason = f"{self.peer}: {error}"
            self._lose(reason)
            raise ChannelLost(reason) from error
        except BaseException as error:
            self._lose(str(error))
            raise

    def _lose(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
        self._stream.socket.close()  # wakes who waits for it


def messages(frames: Sequence[Frame], most: int) -> Iterator[bytes]:
    """Give the messages that carry frames; one, if they fit.

    Raises:
        ValueError: a frame is larger than a message may be.
    """
    message = encode_frames(frames)
    if len(message) <= most:
        yield message
    elif len(frames) > 1:
        half = len(frames) // 2
        yield from messages(frames[:half], most)
        yield from messages(frames[half:], most)
    else:
        name = type(frames[0]).__name__
        raise ValueError(f"a {name} of {len(message)} bytes; at most {most} are possible")
