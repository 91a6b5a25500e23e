"""One HTTP/2 connection put together, with the limits that grpclib's own lacks."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import trio
from grpclib.protocol import EventsProcessor, H2Protocol
from h2.connection import H2Connection
from h2.events import Event, RequestReceived
from h2.settings import SettingCodes, Settings

from dagrun_grpc.aio.connection import GuardedConnection
from dagrun_grpc.aio.frames import GuardedFrames
from dagrun_grpc.aio.headers import BoundedEncoder
from dagrun_grpc.aio.opening import Headers, unfit
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.aio.watch import Watch
from dagrun_grpc.limits import (
    BITE,
    CLOSING,
    MAX_FRAMES_OF_STRANGERS,
    MAX_HEADERS,
    MAX_STREAMS,
    MAX_UNFINISHED,
    MAX_UNSENT,
    TURN,
    WINDOW,
    Patience,
)


class _Events(EventsProcessor):
    """grpclib's, which starts a task for each call, however soon it is taken back."""

    too_many: Callable[[], object]
    connection: GuardedConnection

    def process(self, event: Event) -> None:
        """Take in what the peer says; called by grpclib."""
        self.connection.spoke = True
        super().process(event)

    def process_request_received(self, event: RequestReceived) -> None:
        """Begin a call, or refuse it; called by grpclib."""
        if (problem := unfit(cast("Headers", event.headers))) is not None:
            self.connection.refuse(event.stream_id, *problem)
            return
        handler = self.handler
        unfinished = len(getattr(handler, "_tasks", ())) + len(getattr(handler, "_cancelled", ()))
        if unfinished < MAX_UNFINISHED:
            super().process_request_received(event)
        else:
            self.too_many()


class GuardedProtocol(H2Protocol):
    """Puts grpclib's parts and ours together for a connection.

    ``gone`` is set when the connection has ended, however it did. While it has not, it is in the set
    ``opened``. What ``unheard`` says may be wrong if the peer ends it before it says a word.
    """

    connection: GuardedConnection
    _watch: Watch

    def __init__(
        self,
        *args: Any,
        patience: Patience,
        accepted: bool,
        loop: asyncio.AbstractEventLoop,
        opened: "set[GuardedProtocol]",
        unheard: str = "",
    ) -> None:
        super().__init__(*args)
        self.gone = trio.Event()
        self._patience = patience
        self._accepted = accepted
        self._unheard = unheard
        self._loop = loop
        self._opened = opened
        self._transport: asyncio.Transport | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._frames = GuardedFrames(server=accepted, turn=TURN)
        self._unread = bytearray()
        """What arrived and was not looked at yet."""

        self._has_more = False
        """Whether there is something to look at, and a time for it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self.connection = GuardedConnection(
            self._http(),
            self._transport,
            config=self.config,
            unheard=self._unheard,
            make_stream=GuardedStream,
            end_soon=partial(self._loop.call_later, CLOSING / 10, self.close),
        )
        self.connection.flush()
        self.processor = _Events(self.handler, self.connection)
        self.processor.too_many = partial(self.abort, "it takes back its calls too fast")
        self._opened.add(self)
        self._watch = Watch(
            connection=self.connection,
            streams=cast("dict[int, GuardedStream]", self.processor.streams),
            patience=self._patience,
            accepted=self._accepted,
            loop=self._loop,
            close=self.close,
            abort=self.abort,
        )
        self._watch.look()

    def _http(self) -> H2Connection:
        """Begin to speak HTTP/2, with our limits."""
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
        http.incoming_buffer = self._frames
        http.encoder = BoundedEncoder()
        http.initiate_connection()
        http.increment_flow_control_window(WINDOW - http.inbound_flow_control_window)
        return http

    def data_received(self, data: bytes) -> None:
        """Take in what arrived. Whatever it is, it harms this connection only."""
        self._unread += data
        if not self._has_more:
            self._look()

    def _look(self) -> None:
        """Look at some of what arrived, and at the rest when others had their turn."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._watch.heard()
        piece = b"" if self._frames.waits else bytes(self._unread[:BITE])
        del self._unread[: len(piece)]
        self._frames.next_turn()
        self._bitten(piece, transport)
        self._has_more = bool(self._unread) or self._frames.waits
        if self._has_more:
            transport.pause_reading()
            self._loop.call_soon(self._look)
        else:
            transport.resume_reading()

    def _look_at_the_rest(self) -> None:
        """Look at what TLS gave all at once when the peer had said it and closed."""
        while (self._unread or self._frames.waits) and self.connection.reason is None:
            piece = b"" if self._frames.waits else bytes(self._unread[:BITE])
            del self._unread[: len(piece)]
            self._frames.next_turn()
            self._take(piece)

    def _take(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 — grpclib and h2 raise all kinds for nonsense
            self.abort(f"it does not speak HTTP/2 as it should ({error!r})")

    def _bitten(self, data: bytes, transport: asyncio.Transport) -> None:
        self._take(data)
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort("it asks, and does not read the answers")
        if self._is_strangers and self._frames.given > MAX_FRAMES_OF_STRANGERS:
            self.abort("it says too much before a call that is let in")

    @property
    def _is_strangers(self) -> bool:
        return self._accepted and not self.connection.let_in

    def resume_writing(self) -> None:
        """Let those go on who wait to write."""
        super().resume_writing()
        for stream in self.processor.streams.values():
            stream.window_updated.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End all that there is of it, when what came before was looked at."""
        if exc is None and self.connection.reason is None:
            self._look_at_the_rest()
        self.connection.reason = self.connection.reason or self.connection.lost(exc)
        super().connection_lost(exc)
        self._watch.stop()
        if self._ending is not None:
            self._ending.cancel()
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
            if not self._transport.is_closing():  # closed twice, TLS could not be aborted any more
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
