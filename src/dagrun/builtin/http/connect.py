"""Connections to checked addresses.

A name is resolved once. Every address that it has is checked, and the connection goes to one of
those, not to the name: whatever the name server answers the next time, nobody asks it. The name
stays what the server is asked for, and what its certificate must be for.
"""

import math
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpcore
import trio

from dagrun.domain.addresses import Allowed
from dagrun.domain.durations import format_duration
from dagrun.errors import NodeError

MAX_CONNECTIONS: Final = 100
"""Connections that an engine has at once; more requests wait."""

RESOLVERS: Final = 8
"""Threads that wait for name servers. They are not of those that others share, such as the store:
a name server that is silent keeps a thread for longer than the node that gave up."""

SockAddress = tuple[Any, ...]
Found = Sequence[tuple[int, SockAddress]]
"""Family and address of a socket, in the order in which they are to be tried."""

Resolve = Callable[[str, int], Awaitable[Found]]
MakeContext = Callable[[], ssl.SSLContext]


class Resolver:
    """Asks the system for the addresses of a name, in threads."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(RESOLVERS)

    async def __call__(self, host: str, port: int) -> Found:
        """Give the addresses of a name.

        Raises:
            OSError: there are none, or the name servers do not answer.
            UnicodeError: it cannot be a name.
        """
        found = await trio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            limiter=self._limiter,
            abandon_on_cancel=True,
        )
        return [(family, address) for family, _, _, _, address in found]


def open_pool(
    allowed: Allowed, resolve: Resolve, make_context: MakeContext
) -> httpcore.AsyncConnectionPool:
    """Make a pool of connections, one for each request; those left are closed with it.

    None waits for another request. Servers close idle connections when they like, and a request
    that meets such an end on its way might have been carried out or not: nobody could tell.

    Args:
        allowed: addresses that are not public, and may be reached.
        resolve: gives the addresses of a name.
        make_context: makes what TLS needs; called in a thread, when the first connection wants it.
    """
    return httpcore.AsyncConnectionPool(
        network_backend=_Network(allowed, resolve, make_context),
        # Never used: _Stream has its own. It trusts nobody.
        ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=0,
    )


class _Network(httpcore.AsyncNetworkBackend):
    """Makes connections for a pool. What goes wrong is a NodeError from the start."""

    def __init__(self, allowed: Allowed, resolve: Resolve, make_context: MakeContext) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._tls = _Tls(make_context)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 — the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve a name, check all its addresses, and connect to the first that answers."""
        deadline = trio.current_time() + (math.inf if timeout is None else timeout)
        with _until(deadline, "connect_timeout", f"no connection to {host}:{port} in time"):
            addresses = await self._addresses(host, port)
            stream = await _connect_any(addresses, host, deadline)
        return _Stream(stream, stream.socket, self._tls, deadline)

    async def _addresses(self, host: str, port: int) -> Found:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise NodeError("resolve", f"{host} cannot be resolved: {reason}") from error
        for _, address in found:
            kind = self._allowed.refusal(host, port, address[0])
            if kind is not None:
                raise NodeError("refused_address", _refusal(host, address[0], kind))
        return found


def _refusal(host: str, address: str, kind: str) -> str:
    has = f"{host} is" if host == address else f"{host} has the address {address}, which is"
    return (
        f"{has} not public ({kind}); nodes reach it only if the operator's setting http_allow "
        f"names it, as with --http-allow {host}"
    )


async def _connect_any(addresses: Found, host: str, deadline: float) -> trio.SocketStream:
    """Try one address after the other; each gets its share of the time that is left."""
    error: OSError = TimeoutError("no answer")
    for number, (family, address) in enumerate(addresses):
        now = trio.current_time()
        share = (deadline - now) / (len(addresses) - number)
        with trio.move_on_at(now + share):
            try:
                return await _connect(family, address)
            except OSError as failed:
                error = failed
    if trio.current_time() >= deadline:
        await trio.sleep_forever()  # the scope around has ended, and says so
    reason = error.strerror or error
    raise NodeError("connect", f"cannot connect to {host}: {reason}") from error


async def _connect(family: int, address: SockAddress) -> trio.SocketStream:
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await sock.connect(address)
        return trio.SocketStream(sock)
    except BaseException:
        sock.close()
        raise


class _Tls:
    """Makes the context for TLS when it is first wanted: that takes 40 ms."""

    def __init__(self, make: MakeContext) -> None:
        self._make = make
        self._context: ssl.SSLContext | None = None
        self._lock = trio.Lock()

    async def context(self) -> ssl.SSLContext:
        async with self._lock:
            if self._context is None:
                self._context = await trio.to_thread.run_sync(self._make)
                self._context.set_alpn_protocols(["http/1.1"])
            return self._context


class _Stream(httpcore.AsyncNetworkStream):
    """A connection. TLS must be agreed on before the deadline of connecting."""

    def __init__(
        self, stream: trio.abc.Stream, sock: trio.socket.SocketType, tls: _Tls, deadline: float
    ) -> None:
        self._stream = stream
        self._socket = sock
        self._tls = tls
        self._deadline = deadline
        self._unsent: Exception | None = None

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 — the library's signature
    ) -> bytes:
        with _idle(timeout):
            try:
                return bytes(await self._stream.receive_some(max_bytes))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise _broken(self._unsent or error) from error

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 — the library's signature
    ) -> None:
        with _idle(timeout):
            try:
                await self._stream.send_all(buffer)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                # The library then looks whether the server has answered before it hung up. With
                # TLS it cannot any more, and would hear of a broken stream only.
                self._unsent = error
                raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 — the library's signature
    ) -> httpcore.AsyncNetworkStream:
        """Agree on TLS. Whatever happens else, the connection is closed."""
        try:
            with _until(self._deadline, "connect_timeout", "TLS was not agreed on in time"):
                context = await self._tls.context()
                stream = trio.SSLStream(
                    self._stream,
                    context,
                    server_hostname=server_hostname,
                    https_compatible=True,
                )
                await stream.do_handshake()
        except BaseException as error:
            await trio.aclose_forcefully(self._stream)
            if isinstance(error, trio.BrokenResourceError | ssl.SSLError | ValueError):
                raise NodeError("tls", f"{server_hostname}: {_tls_reason(error)}") from error
            raise
        return _Stream(stream, self._socket, self._tls, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._socket.is_readable() if info == "is_readable" else None


@contextmanager
def _until(deadline: float, kind: str, message: str) -> Iterator[None]:
    with trio.CancelScope(deadline=deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise NodeError(kind, message)


@contextmanager
def _idle(seconds: float | None) -> Iterator[None]:
    limit = math.inf if seconds is None else seconds
    with _until(
        trio.current_time() + limit, "idle_timeout", f"nothing moved for {format_duration(limit)}"
    ):
        yield


def _broken(error: Exception) -> NodeError:
    if isinstance(error.__cause__, ssl.SSLError):  # such as the server's refusal of our certificate
        return NodeError("tls", _tls_reason(error))
    return NodeError("protocol", f"the connection broke: {error.__cause__ or error}")


def _tls_reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {cause.verify_message}"
    return str(cause)
