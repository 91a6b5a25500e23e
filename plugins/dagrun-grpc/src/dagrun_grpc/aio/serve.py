"""Answering those who connect."""

import logging
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import attrs
import trio
from grpclib.server import Server, Stream

from dagrun.errors import ChannelLost, ConfigError, sole
from dagrun.ports.tokens import Gate
from dagrun.ports.transport import Handler
from dagrun_grpc.address import joined
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.calls import CHECK, WATCH, Answer, Call, Service
from dagrun_grpc.aio.channel import GrpcChannel
from dagrun_grpc.aio.health import Health
from dagrun_grpc.aio.places import Place, Places
from dagrun_grpc.aio.protocol import GuardedProtocol
from dagrun_grpc.aio.requests import CountingCodec
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.aio.turned_away import TurnedAway
from dagrun_grpc.limits import Patience

_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Listening:
    """What is listened on, and how."""

    host: str
    port: int
    context: ssl.SSLContext | None
    gate: Gate
    max_connections: int
    patience: Patience


class _Server(Server):
    """grpclib's server, with connections that are watched."""

    bridge: Bridge
    patience: Patience

    def _protocol_factory(self) -> GuardedProtocol:
        plain = super()._protocol_factory()
        return GuardedProtocol(
            *(plain.handler, plain.config, plain.h2_config),
            patience=self.patience,
            accepted=True,
            loop=self.bridge.loop,
            opened=self.bridge.opened,
        )


class Listener:
    """Listens for one kind of stream, and lets a handler hold the conversations."""

    def __init__(
        self,
        bridge: Bridge,
        listening: Listening,
        call: Call,
        calls: Sequence[Call],
        handler: Handler,
        answers: Mapping[str, Answer] | None = None,
    ) -> None:
        self._answers = answers or {}
        self._bridge = bridge
        self._listening = listening
        self._call = call
        self._calls = calls
        self._handler = handler
        self._places = Places(listening.max_connections)
        self._turned_away = TurnedAway()
        self._arrived, self._arrivals = trio.open_memory_channel[GrpcChannel](
            listening.max_connections
        )

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled. ``started`` gives the address.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        listeners = await _listeners(self._listening)
        server = await self._bridge.call(self._server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._greet)
            serve = partial(self._connection, server)
            nursery.start_soon(trio.serve_listeners, serve, listeners)
            task_status.started(joined(listeners[0].socket.getsockname()))

    async def _server(self) -> _Server:
        """Put together, in asyncio, what answers the calls."""
        names = {call.path.split("/")[1] for call in self._calls}
        health = Health(names, self._listening.patience.handshake)
        answers = {**health.answers(), **self._answers, self._call.path: self._converse}
        calls = (*self._calls, CHECK, WATCH)
        patience = self._listening.patience
        service = Service(calls, answers, self._listening.gate, seconds=patience.recheck)
        server = _Server([service], codec=CountingCodec())
        server.bridge = self._bridge
        server.patience = patience
        return server

    async def _connection(self, server: _Server, accepted: trio.SocketStream) -> None:
        """Serve a connection; one too many is closed at once."""
        with self._places.taken() as place:
            if place is not None:
                connection = socket.socket(fileno=accepted.socket.detach())
                await self._served(server, connection, place)

    async def _served(self, server: _Server, accepted: socket.socket, place: Place) -> None:
        def made() -> GuardedProtocol:
            place.protocol = server._protocol_factory()  # noqa: SLF001 — ours
            return place.protocol

        peer = _peer_of(accepted)
        connect = self._bridge.loop.connect_accepted_socket
        context = self._listening.context
        try:
            with trio.move_on_after(self._listening.patience.handshake):
                await self._bridge.call(connect, made, accepted, ssl=context)
        except ssl.SSLError as error:
            self._turned_away.note("a handshake of TLS", peer, error)
        except OSError as error:  # such as of who has gone already
            _log.debug("a connection was not made: %s", error)
        else:
            if place.protocol is not None and place.protocol.is_open:
                await place.protocol.gone.wait()
        finally:
            if place.protocol is None:
                accepted.close()
            else:
                await place.protocol.aclose()

    async def _converse(self, stream: Stream[Any, Any]) -> None:
        """Hand a call over to a trio task, and keep it open, in asyncio, until that is through."""
        await stream.send_initial_metadata()
        ours = cast("GuardedStream", stream._stream)  # noqa: SLF001 — ours
        peer = joined(stream.peer.addr() or ("unknown", 0))
        channel = GrpcChannel(ours, peer, self._call.reply, self._call.request)
        try:
            self._arrived.send_nowait(channel)
            await channel.left.wait()
        finally:
            channel.finish()
        if channel.refusal is not None:
            raise channel.refusal

    async def _greet(self) -> None:
        """Start a task for each stream that arrives."""
        async with trio.open_nursery() as nursery:
            async for channel in self._arrivals:
                nursery.start_soon(self._hold, channel)

    async def _hold(self, channel: GrpcChannel) -> None:
        try:
            await self._handler(channel)
        except* ChannelLost as lost:
            _log.debug("a stream has ended: %s", lost.exceptions)
            channel.decline(ChannelLost(str(sole(lost))))
        finally:
            channel.finish()


def _peer_of(accepted: socket.socket) -> tuple[str, int] | None:
    """Give the address and the port of who has connected; None if he has gone already."""
    try:
        host, port, *_ = accepted.getpeername()
    except OSError:
        return None
    return host, port


async def _listeners(listening: Listening) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(listening.port, host=listening.host)
    except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
        where = joined((listening.host, listening.port))
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{where} cannot be listened on: {reason}") from error
