"""A proxy between two processes, which does to what they say what networks do."""

from typing import Self

import trio

PIECE = 64 * 1024


class Proxy:
    """Carries the bytes of TCP connections to a port of this host.

    Start it with ``proxy = await nursery.start(Proxy(port).run)``; it listens on ``proxy.port``. What
    its attributes say holds from then on, for all connections.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.piece = PIECE
        """Bytes that are passed on at once."""

        self.latency = 0.0
        """Seconds that each piece takes."""

        self.left: int | None = None
        """Bytes after which all is cut, in the middle of whatever it is; None for never."""

        self.connections = 0
        """Connections that came, those that have ended too."""

        self._target = target
        self._flowing = trio.Event()
        self._flowing.set()
        self._scopes: set[trio.CancelScope] = set()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def run(self, *, task_status: trio.TaskStatus[Self] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled. ``started`` gives the proxy."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, self._serve, 0)
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started(self)

    def cut(self) -> None:
        """Close all connections, and pass on nothing more of them."""
        for scope in self._scopes:
            scope.cancel()

    def stall(self) -> None:
        """Pass on nothing, and tell nobody, as a network that loses all packets."""
        self._flowing = trio.Event()

    def resume(self) -> None:
        """Pass on what was held up since :meth:`stall`."""
        self._flowing.set()

    async def _serve(self, near: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            self.connections += 1
            try:
                far = await trio.open_tcp_stream("127.0.0.1", self._target)
            except OSError:  # nobody listens there for now
                return
            async with far, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, near, far)
                nursery.start_soon(self._pump, far, near)
        self._scopes.discard(scope)

    async def _pump(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some(self.piece):
                await self._flowing.wait()
                await trio.sleep(self.latency)
                await target.send_all(self._rationed(bytes(data)))
                if self.left == 0:
                    self.cut()
            await self._flowing.wait()
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.cut()

    def _rationed(self, data: bytes) -> bytes:
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        return data
