"""A scripted HTTP server on loopback, for tests of what sends requests.

It runs in threads, so that tests may block, and it says what goes over the wire byte by byte, so
that it can be as wrong as a test needs it.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

import attrs
import trio

LIMIT: Final = 30.0  # seconds that no test comes near
LOOPBACK: Final = ("127.0.0.1", "::1")
"""What an operator allows whose nodes may reach the server."""

HANG: Final = b""
"""What a script yields to wait until the client closes the connection."""


@attrs.frozen(kw_only=True)
class Received:
    """A request as it arrived."""

    method: str
    target: str
    """Path and query."""

    headers: Mapping[str, str]
    """Names in lower case."""

    body: bytes
    connection: int
    """Number of the connection on which it came, from 1."""


Script = Callable[[Received], bytes | Iterable[bytes]]
"""Gives what is sent back, all at once or in parts."""


def answer(
    body: bytes | str = b"", *, status: str = "200 OK", headers: Mapping[str, str] | None = None
) -> bytes:
    """Write a response with its length."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *lines])
    return head.encode() + b"\r\n\r\n" + data


def json_answer(body: str, *, status: str = "200 OK") -> bytes:
    """Write a response whose body is JSON."""
    return answer(body, status=status, headers={"Content-Type": "application/json"})


class HttpServer:
    """Answers by scripts, and keeps what it was sent.

    Args:
        scripts: path without query → script or response; ``*`` is for all others.
        tls: makes it speak TLS.
        address: where it listens.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script | bytes],
        *,
        tls: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self._scripts, self._tls = scripts, tls
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.received: list[Received] = []
        self.closed = threading.Event()
        """Set when a client has closed a connection."""

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``, for the default address."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._spawn(self._accept)

    def stop(self) -> None:
        """End all connections, and wait for the threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)

    def _spawn(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._spawn(self._serve, connection, len(self._connections))

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            connection.settimeout(LIMIT)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while (request := _read(stream, number)) is not None:
                    self.received.append(request)
                    self._answer(connection, request)
                self.closed.set()

    def _answer(self, connection: socket.socket, request: Received) -> None:
        script = self._scripts.get(request.target.partition("?")[0]) or self._scripts["*"]
        reply = script if isinstance(script, bytes) else script(request)
        for part in (reply,) if isinstance(reply, bytes) else reply:
            try:
                if part == HANG:
                    connection.recv(1)
                    raise ConnectionError
                connection.sendall(part)
            except OSError:
                self.closed.set()
                raise


def _read(stream: BinaryIO, number: int) -> Received | None:
    """Read a request; None when the client has closed the connection."""
    lines: list[str] = []
    while (line := stream.readline().decode("latin-1")) != "\r\n":
        if not line:
            return None
        lines.append(line.rstrip("\r\n"))
    method, target, _ = lines[0].split(" ")
    fields = (line.partition(":") for line in lines[1:])
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = stream.read(int(headers.get("content-length", 0)))
    return Received(method=method, target=target, headers=headers, body=body, connection=number)


@contextmanager
def serving(
    scripts: Mapping[str, Script | bytes],
    *,
    tls: ssl.SSLContext | None = None,
    address: str = "127.0.0.1",
) -> Iterator[HttpServer]:
    """Run a server while the block is entered."""
    server = HttpServer(scripts, tls=tls, address=address)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def wait_for(event: threading.Event) -> None:
    """Wait for what a thread of a server tells, such as :attr:`HttpServer.closed`.

    Raises:
        AssertionError: it told nothing within ``LIMIT`` seconds.
    """
    if not await trio.to_thread.run_sync(event.wait, LIMIT):
        raise AssertionError(f"it did not happen within {LIMIT:g} s")
