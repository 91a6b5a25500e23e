"""HTTP/2 by hand, for what no decent client does, and a proxy between two decent ones."""

from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import trio

LIMIT = 10.0


class Raw:
    """A connection on which anything can be said."""

    def __init__(self, stream):
        self.stream = stream
        self.http = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        self.events = []

    async def begin(self):
        self.http.initiate_connection()
        await self.flush()

    async def flush(self):
        await self.stream.send_all(self.http.data_to_send())

    async def call(self, path, *, end=False, **metadata):
        """Open a stream; give its number."""
        number = self.http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "x"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *metadata.items(),
        ]
        self.http.send_headers(number, headers, end_stream=end)
        await self.flush()
        return number

    async def data(self, number, data, *, end=False):
        self.http.send_data(number, data, end_stream=end)
        await self.flush()

    async def closed(self):
        """Read to the end; give how many seconds it took."""
        began = trio.current_time()
        with trio.fail_after(LIMIT):
            while await self.read():
                pass
        return trio.current_time() - began

    async def read(self):
        """Read what is there; give whether there may be more."""
        try:
            data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            return False
        if data:
            self.events += self.http.receive_data(data)
            await self.flush()
        return bool(data)

    async def status(self, number):
        """Wait for the end of a call; give the status and its message."""
        with trio.fail_after(LIMIT):
            while True:
                for event in self.events:
                    told = dict(getattr(event, "headers", None) or ())
                    if getattr(event, "stream_id", None) == number and "grpc-status" in told:
                        return int(told["grpc-status"]), told.get("grpc-message", "")
                assert await self.read(), "closed before there was a status"


@asynccontextmanager
async def connected(port):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield Raw(stream)


class Proxy:
    """Carries bytes between two sides, and does to them what networks do."""

    def __init__(self, port):
        self.port = None
        self.latency = 0.0
        self.piece = 65536
        self.left = None
        self.stalled = False
        self._resumed = trio.Event()
        self._scopes = []
        self._target = port

    async def run(self, *, task_status):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, self._serve, 0)
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started(self)

    def cut(self):
        for scope in self._scopes:
            scope.cancel()

    async def _serve(self, near):
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            async with await trio.open_tcp_stream("127.0.0.1", self._target) as far:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pump, near, far)
                    nursery.start_soon(self._pump, far, near)

    async def _pump(self, source, target):
        try:
            while data := await source.receive_some(self.piece):
                while self.stalled:
                    await trio.sleep(0.01)
                await trio.sleep(self.latency)
                if self.left is not None:
                    data, self.left = data[: self.left], self.left - len(data)
                await target.send_all(data)
                if self.left is not None and self.left <= 0:
                    self.cut()
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.cut()
