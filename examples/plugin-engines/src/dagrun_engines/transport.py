"""The transport ``json``: frames as JSON over TCP, for machines that trust their network."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NoReturn, Self

import trio

from dagrun.errors import ChannelLost, ConfigError, DagrunError, NotAuthenticated
from dagrun.ports.management import Management
from dagrun.ports.tokens import Role
from dagrun.ports.transport import Channel, EngineOffered, Handler, Offered
from dagrun_engines.channel import JsonChannel

HELLO: Final = 16 * 1024  # bytes of the first message, which comes from anybody

Accepts = Callable[[str | None, str], bool]
Admit = Callable[[str | None, Role], Awaitable[None]]
Wanted = Literal["orchestrator", "engine"]


class JsonTransport:
    """What :class:`~dagrun.ports.transport.Transport` says.

    Who dials says first whom it wants to talk with, and shows its token; the answer is why it may
    not, or null.

    Args:
        address: where to listen: a host's name or address.
        port: where to listen; 0 for any that is free.
        token: what it shows when it dials; None for none.
        accepts: says whether a token, or None for none, may act in a role; None accepts all. Where
            an orchestrator offers something, its gate decides in place of this.
        tls_cert: must be None.
        tls_key: must be None.
        tls_ca: must be None.
        max_connections: most accepted connections; more are closed at once.
        connection_timeout: seconds for a connection to come to be.

    Raises:
        ConfigError: TLS is asked for.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 50051,
        token: str | None = None,
        accepts: Accepts | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        tls_ca: Path | None = None,
        max_connections: int = 100,
        connection_timeout: float = 30.0,
    ) -> None:
        if tls_cert or tls_key or tls_ca:
            raise ConfigError("the transport json has no TLS: whoever sees the network can read it")
        self._where = (address, port)
        self._token = token
        self._accepts = accepts
        self._free = max_connections
        self._timeout = connection_timeout
        self._open: set[JsonChannel] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all streams."""
        async with trio.open_nursery() as nursery:
            for channel in self._open:
                nursery.start_soon(channel.aclose)

    def attach(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an engine to an orchestrator."""
        return self._dialled(address, "orchestrator")

    def dial(self, address: str, *, trusted: bool = True) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an orchestrator to an engine."""
        return self._dialled(address, "engine", shows=trusted)

    def manage(self, address: str) -> AbstractAsyncContextManager[Management]:
        """Refuse: this transport is for engines only."""
        raise ConfigError(f"{address}: the transport json reaches no clients")

    async def serve_orchestrator(
        self,
        handler: Handler,
        *,
        offered: Offered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for engines until cancelled."""
        admit = self._admit if offered is None else offered.gate.admit
        await self._serve("orchestrator", handler, admit, task_status)

    async def serve_engine(
        self,
        handler: Handler,
        *,
        offered: EngineOffered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for orchestrators until cancelled."""
        await self._serve("engine", handler, self._admit, task_status)

    @asynccontextmanager
    async def _dialled(
        self, address: str, wanted: Wanted, *, shows: bool = True
    ) -> AsyncIterator[Channel]:
        token = self._token if shows else None
        host, port = _host_and_port(address)
        end = trio.current_time() + self._timeout
        try:
            with trio.fail_at(end):
                stream = await trio.open_tcp_stream(host, port)
        except (OSError, trio.TooSlowError) as error:
            raise ChannelLost(f"{address}: nobody answers") from error
        async with self._held(JsonChannel(stream, address)) as channel:
            with trio.move_on_at(end) as waiting:
                await channel.write(_json({"wants": wanted, "token": token}))
                refusal = _parsed(await channel.read(HELLO))
            if waiting.cancelled_caught:
                raise ChannelLost(f"{address}: no answer")
            if refusal is not None:
                raise ChannelLost(f"{address}: {refusal}")
            yield channel

    async def _serve(
        self, wanted: Wanted, handler: Handler, admit: Admit, task_status: trio.TaskStatus[str]
    ) -> None:
        host, port = self._where
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            why = f"{host}:{port} cannot be listened on: {error.strerror or error}"
            raise ConfigError(why) from error
        answer = partial(self._answer, wanted, handler, admit)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, answer, listeners)
            task_status.started(f"{host}:{listeners[0].socket.getsockname()[1]}")

    async def _answer(
        self, wanted: Wanted, handler: Handler, admit: Admit, stream: trio.SocketStream
    ) -> None:
        """Talk on a connection that somebody opened."""
        if self._free <= 0:
            await stream.aclose()
            return
        self._free -= 1
        try:
            async with self._held(JsonChannel(stream, _peer(stream))) as channel:
                with trio.move_on_after(self._timeout) as waiting:
                    await _let_in(channel, wanted, admit)
                if not waiting.cancelled_caught:
                    await handler(channel)
        except* ChannelLost:
            pass  # the usual end of a conversation
        finally:
            self._free += 1

    @asynccontextmanager
    async def _held(self, channel: JsonChannel) -> AsyncIterator[JsonChannel]:
        """Know of a stream for a block, and end it then."""
        self._open.add(channel)
        try:
            yield channel
        finally:
            self._open.discard(channel)
            await channel.aclose()

    async def _admit(self, token: str | None, role: Role) -> None:
        if self._accepts is not None and not self._accepts(token, role):
            raise NotAuthenticated("a token is needed that is accepted")


async def _let_in(channel: JsonChannel, wanted: Wanted, admit: Admit) -> None:
    """Hear who it is.

    Raises:
        ChannelLost: it may not come in.
    """
    hello = _parsed(await channel.read(HELLO))
    if not isinstance(hello, dict) or not isinstance(hello.get("token"), str | None):
        _refuse("this is no hello")
    try:
        if hello.get("wants") != wanted:
            _refuse(f"here is an {wanted}")
        await admit(hello.get("token"), Role.ENGINE)
    except DagrunError as error:  # of access, or of a store that holds the tokens
        await channel.write(_json(str(error)))
        raise ChannelLost(str(error)) from error
    await channel.write(_json(None))


def _refuse(why: str) -> NoReturn:
    raise ChannelLost(why)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ChannelLost(f"what came is no JSON: {error}") from error


def _peer(stream: trio.SocketStream) -> str:
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:  # it has gone already
        return "nobody"
    return f"{host}:{port}"


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise ConfigError(f"{address!r} is no address; host:port is needed")
    return host.removeprefix("[").removesuffix("]"), int(port)
