"""Opening a stream."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import trio
from grpclib.client import Channel as Client
from grpclib.client import Handler
from grpclib.client import Stream as ClientStream

from dagrun.errors import ChannelLost
from dagrun_grpc.address import split
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.calls import Call
from dagrun_grpc.aio.channel import GrpcChannel, ended
from dagrun_grpc.aio.protocol import GuardedProtocol
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.aio.unreached import unheard, unreached
from dagrun_grpc.limits import CLOSING, Patience
from dagrun_grpc.tls import ClientContext


class WatchedClient(Client):
    """grpclib's client, with a connection that is watched."""

    def __init__(
        self,
        bridge: Bridge,
        host: str,
        port: int,
        context: ClientContext | None,
        patience: Patience,
    ) -> None:
        super().__init__(host, port, ssl=context)
        self._bridge = bridge
        self._patience = patience
        self._unheard = unheard(context)
        self.connection: GuardedProtocol | None = None

    def _protocol_factory(self) -> GuardedProtocol:
        self.connection = GuardedProtocol(
            *(Handler(), self._config, self._h2_config),
            patience=self._patience,
            accepted=False,
            unheard=self._unheard,
            loop=self._bridge.loop,
            opened=self._bridge.opened,
        )
        return self.connection


@asynccontextmanager
async def dialled(
    bridge: Bridge,
    address: str,
    call: Call,
    *,
    context: ClientContext | None,
    metadata: Mapping[str, str],
    patience: Patience,
) -> AsyncIterator[GrpcChannel]:
    """Open a stream for a block; raises as :meth:`~dagrun.ports.transport.Transport.attach`."""
    host, port = split(address)
    dialling = _Dialling(bridge, host, port, call, context, metadata, patience)
    try:
        with trio.move_on_after(patience.handshake) as waiting:
            await _unless_refused(bridge, dialling, address)
        if waiting.cancelled_caught or dialling.stream is None:
            raise ChannelLost(f"{address}: no answer within {patience.handshake:g} s")
        channel = GrpcChannel(dialling.stream, address, call.request, call.reply)
        try:
            yield channel
        finally:
            with trio.move_on_after(CLOSING, shield=True), suppress(ChannelLost):
                await dialling.stream.finish()
            channel.finish()
    finally:
        await dialling.close()


class _Dialling:
    """A connection, from the attempt to its end, and the one stream on it."""

    def __init__(
        self,
        bridge: Bridge,
        host: str,
        port: int,
        call: Call,
        context: ClientContext | None,
        metadata: Mapping[str, str],
        patience: Patience,
    ) -> None:
        self._where = (bridge, host, port, context, patience)
        self._call = call
        self._metadata = metadata
        self._client: WatchedClient | None = None
        self._request: ClientStream[Any, Any] | None = None
        self.stream: GuardedStream | None = None

    async def open(self) -> None:
        """Open the stream, in asyncio, and wait until the server has accepted it."""
        call = self._call
        self._client = WatchedClient(*self._where)
        self._request = self._client.request(
            call.path, call.kind, call.request, call.reply, metadata=dict(self._metadata)
        )
        await self._request.__aenter__()  # it is never left: the connection goes with it
        await self._request.send_request()
        await self._request.recv_initial_metadata()
        self.stream = cast("GuardedStream", self._request._stream)  # noqa: SLF001 — ours

    def refusal(self) -> str | None:
        """Say why the server did not accept it; None if it has not said."""
        stream = getattr(self._request, "_stream", None)
        if stream is not None and (told := ended(stream)):
            return told
        connection = self._client and self._client.connection
        return getattr(getattr(connection, "connection", None), "reason", None)

    async def close(self) -> None:
        """Close the connection, in trio, and wait until it is gone."""
        if self._client is None:
            return
        self._client.close()
        connection = self._client.connection
        if connection is not None:
            await connection.aclose()


async def _unless_refused(bridge: Bridge, dialling: _Dialling, address: str) -> None:
    try:
        await bridge.call(dialling.open)
    except Exception as error:
        reason = dialling.refusal() or unreached(error)
        raise ChannelLost(f"{address}: {reason}") from error
