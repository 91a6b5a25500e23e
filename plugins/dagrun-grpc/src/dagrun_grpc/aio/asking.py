"""Calls from a client, each a request with one answer or a stream of them."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import trio
from grpclib import GRPCError
from grpclib.client import Stream as ClientStream
from h2.exceptions import H2Error

from dagrun.errors import ChannelLost, RemoteError, Unreachable
from dagrun_grpc.address import split
from dagrun_grpc.aio.bridge import Bridge
from dagrun_grpc.aio.calls import Call
from dagrun_grpc.aio.dial import WatchedClient
from dagrun_grpc.aio.refusals import KEY, decode
from dagrun_grpc.aio.sending import check_sendable
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.aio.unreached import unreached
from dagrun_grpc.limits import Patience
from dagrun_grpc.tls import ClientContext


class Asking:
    """Makes calls on one connection, which is made when there is a first call. Close it.

    Args:
        bridge: runs asyncio.
        address: ``host:port`` of the server.
        context: for TLS; None without.
        metadata: what each call shows.
        patience: how long one waits.

    Raises:
        ConfigError: the address is none.
    """

    def __init__(
        self,
        bridge: Bridge,
        address: str,
        *,
        context: ClientContext | None,
        metadata: Mapping[str, str],
        patience: Patience,
    ) -> None:
        self._bridge = bridge
        self._address = address
        self._where = (*split(address), context, patience)
        self._metadata = metadata
        self._patience = patience
        self._client: WatchedClient | None = None

    async def once(self, call: Call, request: Any) -> Any:
        """Give the one answer to a call.

        Raises:
            Unreachable: nobody answers.
            DagrunError: what the server says is wrong.
        """
        replies = await self.all(call, request)
        if len(replies) != 1:
            raise RemoteError(f"{self._address}: {len(replies)} answers to {call.path}")
        return replies[0]

    async def all(self, call: Call, request: Any) -> list[Any]:
        """Give all answers to a call; raises as :meth:`once`."""
        async with self.stream(call, request) as replies:
            return [reply async for reply in replies]

    @asynccontextmanager
    async def stream(self, call: Call, request: Any) -> AsyncIterator[AsyncIterator[Any]]:
        """Give the answers to a call as they come; raises as :meth:`once`.

        When the block begins, the server has accepted the call.
        """
        check_sendable(request)
        opening = _Opening(self, call, request)
        try:
            asked = await self._accepted(opening)
            async with aclosing(self._replies(call, asked)) as replies:
                yield replies
        finally:
            opening.end()

    @contextmanager
    def understanding(self) -> Iterator[None]:
        """Say whose answer it is that cannot be read, or is of a server that knows more.

        Raises:
            RemoteError: reading it raised something that is no error of dagrun's.
        """
        try:
            yield
        except (ValueError, LookupError, TypeError) as error:
            message = f"{self._address}: an answer that this dagrun cannot read ({error!r})"
            raise RemoteError(message) from error

    async def close(self) -> None:
        """Close the connection, and wait until it is gone."""
        if self._client is not None:
            self._client.close()
            if self._client.connection is not None:
                await self._client.connection.aclose()

    async def _accepted(self, opening: "_Opening") -> GuardedStream:
        """Make a call, and wait for the headers of the answer; with those of a call that fails at
        once its error comes.
        """
        try:
            with trio.move_on_after(self._patience.handshake) as connecting:
                await self._bridge.call(opening.connect)
            if not connecting.cancelled_caught:
                await self._bridge.call(opening.ask)
        except Exception as error:
            stream = opening.stream
            if stream is not None:
                self._check_end(stream)
                if stream.lost is not None:
                    raise Unreachable(f"{self._address}: {stream.lost}") from error
            raise Unreachable(f"{self._address}: {unreached(error)}") from error
        if opening.stream is None:
            raise Unreachable(
                f"{self._address}: no connection within {self._patience.handshake:g} s"
            )
        return opening.stream

    async def _replies(self, call: Call, asked: GuardedStream) -> AsyncGenerator[Any, None]:
        try:
            while (encoded := await asked.receive()) is not None:
                try:
                    reply = cast("Any", call.reply).parse(encoded)
                except (ValueError, EOFError, TypeError, NotImplementedError) as error:
                    message = f"{self._address}: an answer that is none ({error})"
                    raise RemoteError(message) from error
                yield reply
        except ChannelLost as error:
            self._check_end(asked)
            raise Unreachable(f"{self._address}: {error}") from error
        except GRPCError as error:  # too long, or compressed
            raise RemoteError(
                f"{self._address}: an answer that is none ({error.message})"
            ) from error
        while asked.trailers is None and asked.lost is None:
            await asked.changes.next()
        if not self._check_end(asked):
            raise Unreachable(f"{self._address}: {asked.lost or 'the answer is not whole'}")

    def _check_end(self, asked: GuardedStream) -> bool:
        """Raise what the server says went wrong. Give whether it says that all went well."""
        for headers in (asked.trailers, asked.headers):
            told = dict(headers or ())
            status = told.get("grpc-status")
            if status == "0":
                return True
            if status is not None:
                raise decode(status, _message(told.get("grpc-message", "")), told.get(KEY))
        return False

    def client(self) -> WatchedClient:
        """Give the connection, in asyncio."""
        if self._client is None:
            self._client = WatchedClient(self._bridge, *self._where)
        return self._client

    @property
    def metadata(self) -> Mapping[str, str]:
        """What each call shows."""
        return self._metadata


class _Opening:
    """A call, from before the server has accepted it to its end; in asyncio, but for the end."""

    def __init__(self, asking: Asking, call: Call, request: Any) -> None:
        self._asking, self._call, self._message = asking, call, request
        self._request: ClientStream[Any, Any] | None = None

    @property
    def stream(self) -> GuardedStream | None:
        return getattr(self._request, "_stream", None)

    async def connect(self) -> None:
        call = self._call
        request: ClientStream[Any, Any] = self._asking.client().request(
            call.path, call.kind, call.request, call.reply, metadata=dict(self._asking.metadata)
        )
        self._request = await request.__aenter__()  # its end is the stream's
        await request.send_request()

    async def ask(self) -> None:
        assert self._request is not None  # noqa: S101 — connect comes first
        await self._request.send_message(self._message, end=True)
        await self._request.recv_initial_metadata()

    def end(self) -> None:
        """Want nothing more of it, and make room for another one on the connection."""
        if self.stream is not None:
            with suppress(H2Error):
                self.stream.lose("nobody wants the rest")
        release = getattr(self._request, "_release_stream", None)  # grpclib's, at the block's end
        if release is not None:
            release()


def _message(text: str) -> str:
    from urllib.parse import unquote  # noqa: PLC0415 — for errors only

    return unquote(text, errors="replace")
