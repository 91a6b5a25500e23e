"""One HTTP/2 connection, with the limits and the watch that grpclib's own lacks."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import trio
from grpclib.protocol import Connection, EventsProcessor, H2Protocol
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from dagrun_grpc.aio.frames import GuardedFrames
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.limits import (
    BITE,
    CLOSING,
    MAX_HEADERS,
    MAX_STREAMS,
    MAX_UNFINISHED,
    MAX_UNSENT,
    WINDOW,
    Patience,
)

_LOOKS: Final = 4
"""How often the watch looks within the shortest of its times."""


class GuardedConnection(Connection):
    """A connection that can be cut, and knows why it was."""

    reason: str | None = None
    """Why it is ending."""

    end_soon: Callable[[], object]
    let_in = False
    """Whether a call was accepted on it."""

    def create_stream(self, *, stream_id: int | None = None, wrapper: Any = None) -> GuardedStream:
        """Make a stream; called by grpclib."""
        return GuardedStream(
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

    def initialize(self) -> None:
        """Do nothing: the watch is :class:`GuardedProtocol`'s."""

    def condemn(self, reason: str) -> None:
        """End, but let what is on its way out go first."""
        self.reason = self.reason or reason
        self.end_soon()


class _Events(EventsProcessor):
    """grpclib's, which starts a task for each call, however soon it is taken back."""

    too_many: Callable[[], object]

    def process_request_received(self, event: RequestReceived) -> None:
        """Begin a call; called by grpclib."""
        handler = self.handler
        unfinished = len(getattr(handler, "_tasks", ())) + len(getattr(handler, "_cancelled", ()))
        if unfinished < MAX_UNFINISHED:
            super().process_request_received(event)
        else:
            self.too_many()


class GuardedProtocol(H2Protocol):
    """Puts grpclib's parts together for a connection, and watches it.

    ``gone`` is set when the connection has ended, however it did. While it has not, it is in the set
    ``opened``.
    """

    connection: GuardedConnection

    def __init__(
        self,
        *args: Any,
        patience: Patience,
        accepted: bool,
        loop: asyncio.AbstractEventLoop,
        opened: "set[GuardedProtocol]",
    ) -> None:
        super().__init__(*args)
        self.gone = trio.Event()
        self._patience = patience
        self._accepted = accepted
        self._loop = loop
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._made = self._heard = self._busy = loop.time()
        self._asked: float | None = None
        self._looked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._made = self._heard = self._busy = self._looked = self._loop.time()
        http = H2Connection(config=self.h2_config)
        http.local_settings = Settings(
            client=http.config.client_side,
            initial_values={
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS,
                SettingCodes.ENABLE_PUSH: 0,
            },
        )
        http.incoming_buffer = GuardedFrames(server=not http.config.client_side)
        http.initiate_connection()
        http.increment_flow_control_window(WINDOW - http.inbound_flow_control_window)
        self.connection = GuardedConnection(http, self._transport, config=self.config)
        self.connection.end_soon = partial(self._loop.call_later, CLOSING / 10, self.close)
        self.connection.flush()
        self.processor = _Events(self.handler, self.connection)
        self.processor.too_many = partial(self.abort, "it takes back its calls too fast")
        self._opened.add(self)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take in what arrived. Whatever it is, it harms this connection only."""
        self._heard, self._asked = self._loop.time(), None
        for start in range(0, len(data), BITE):
            if self._transport is None or self._transport.is_closing():
                break
            self._bitten(data[start : start + BITE], self._transport)

    def _bitten(self, data: bytes, transport: asyncio.Transport) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 — grpclib and h2 raise all kinds for nonsense
            self.abort(f"it does not speak HTTP/2 as it should ({error!r})")
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort("it asks, and does not read the answers")

    def resume_writing(self) -> None:
        """Let those go on who wait to write."""
        super().resume_writing()
        for stream in self.processor.streams.values():
            stream.window_updated.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End all that there is of it."""
        self.connection.reason = self.connection.reason or _described(exc)
        super().connection_lost(exc)
        for timer in (self._watch, self._ending):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self._opened.discard(self)
        self.gone.set()

    @property
    def is_open(self) -> bool:
        """Whether it has begun, and not ended."""
        return self._transport is not None

    def close(self) -> None:
        """End when all is sent, and after a moment in any case."""
        if self._transport is not None and self._ending is None:
            self._transport.close()
            self._ending = self._loop.call_later(CLOSING, self.abort, "closed")

    async def aclose(self) -> None:
        """Close it, in trio, and wait until it is gone; at most a moment."""
        self.close()
        with trio.CancelScope(shield=True):
            while self.is_open:
                await self.gone.wait()

    def abort(self, reason: str) -> None:
        """End now."""
        if self._transport is not None:
            self.connection.reason = self.connection.reason or reason
            self._transport.abort()

    def _look(self) -> None:
        patience, now = self._patience, self._loop.time()
        shortest = min(patience.handshake, patience.keepalive, patience.answer, patience.idle)
        if now - self._looked > shortest:  # nobody is to blame for what this process did not hear
            self._heard, self._asked = now, None
        self._looked = now
        self._judge(now)
        self._watch = self._loop.call_later(shortest / _LOOKS, self._look)

    def _judge(self, now: float) -> None:
        if self.connection.is_closing():  # by grpclib, which waits for a peer that may not read
            self.close()
        elif self._accepted and not self.connection.let_in:
            if now - self._made > self._patience.handshake:
                self.abort(f"no call within {self._patience.handshake:g} s that was let in")
        elif self._asked is not None:
            if now - self._asked > self._patience.answer:
                self.abort(f"no answer within {self._patience.answer:g} s")
        elif now - self._heard > self._patience.keepalive:
            self._ask(now)
        elif self._accepted:
            self._idle(now)

    def _ask(self, now: float) -> None:
        self._asked = now
        self.connection._connection.ping(struct.pack("!d", now))  # noqa: SLF001 — grpclib's h2
        self.connection.flush()

    def _idle(self, now: float) -> None:
        if self.processor.streams:
            self._busy = now
        elif now - self._busy > self._patience.idle:
            self.connection.reason = "idle"
            self.close()


def _described(error: BaseException | None) -> str:
    return f"the connection is lost ({error})" if error else "the connection is lost"
