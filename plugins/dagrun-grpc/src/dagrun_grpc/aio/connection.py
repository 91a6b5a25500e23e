"""What is sent on one HTTP/2 connection, and why it ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from grpclib import Status
from grpclib.metadata import encode_grpc_message
from grpclib.protocol import Connection, Stream
from h2.exceptions import H2Error

from dagrun_grpc.limits import LARGE_AT_ONCE


class GuardedConnection(Connection):
    """A connection that can be cut, and knows why it was.

    Args:
        unheard: what may be wrong if the peer never says a word; empty where nothing can be said.
        make_stream: makes a stream of what grpclib's own is made of.
        end_soon: ends the connection when what is on its way out has had a moment to go.
    """

    reason: str | None = None
    """Why it is ending."""

    spoke = False
    """Whether the peer has said anything in HTTP/2."""

    let_in = False
    """Whether a call was accepted on it."""

    def __init__(
        self,
        *args: Any,
        unheard: str,
        make_stream: Callable[..., Stream],
        end_soon: Callable[[], object],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.large = asyncio.Semaphore(LARGE_AT_ONCE)
        """Held while something large is answered, which is kept until the peer has read it."""

        self._unheard = unheard
        self._make_stream = make_stream
        self._end_soon = end_soon

    def create_stream(self, *, stream_id: int | None = None, wrapper: Any = None) -> Stream:
        """Make a stream; called by grpclib.

        Raises:
            ConnectionResetError: the peer has ended the connection, or did not speak HTTP/2.
        """
        if self.is_closing():
            raise ConnectionResetError(self.reason or self.lost())
        return self._make_stream(
            self, self._connection, self._transport, stream_id=stream_id, wrapper=wrapper
        )

    def ack(self, stream_id: int, size: int) -> None:
        """Let the peer send more; called by grpclib. It does not matter on a closed connection."""
        with suppress(H2Error):
            super().ack(stream_id, size)

    def flush(self) -> None:
        """Send what h2 has to say."""
        if not self.is_closing():
            super().flush()

    def close(self) -> None:
        """End, and let go of what refers to this; called by grpclib.

        What is ending already is not closed again: asyncio could not abort TLS any more.
        """
        transport = vars(self).pop("_transport", None)
        if transport is not None and not transport.is_closing():
            transport.close()
        vars(self._connection).pop("_frame_dispatch_table", None)

    def ping(self, data: bytes) -> None:
        """Ask the peer for an answer to eight bytes."""
        self._connection.ping(data)
        self.flush()

    def refuse(self, stream_id: int, status: Status, message: str) -> None:
        """End a call that the peer makes before anything is done with it."""
        headers = [
            (":status", "200"),
            ("content-type", "application/grpc+proto"),
            ("grpc-status", str(status.value)),
            ("grpc-message", encode_grpc_message(message)),
        ]
        with suppress(H2Error):  # the peer has ended it, too
            self._connection.send_headers(stream_id, headers, end_stream=True)
            self._connection.reset_stream(stream_id)
        self.flush()

    def initialize(self) -> None:
        """Do nothing: the watch is :class:`~dagrun_grpc.aio.watch.Watch`."""

    def lost(self, error: BaseException | None = None) -> str:
        """Say that it is lost, and why if the peer has never said a word."""
        lost = f"the connection is lost ({error})" if error else "the connection is lost"
        return f"{lost}: {self._unheard}" if self._unheard and not self.spoke else lost

    def condemn(self, reason: str) -> None:
        """End, but let what is on its way out go first."""
        self.reason = self.reason or reason
        self._end_soon()
