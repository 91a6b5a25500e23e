# ruff: noqa: S101 — it is for tests
"""What tests of the transport need: a listener with a good neighbour, and HTTP/2 by hand."""

import resource
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived

from dagrun.domain.ids import RunId
from dagrun.errors import ChannelLost
from dagrun.ports.engine import IDLE, EngineReport, Offers, ReportSeen
from dagrun.ports.frames import Beat, BeatSeen, LogChunk
from dagrun.ports.transport import Channel, EngineOffered, Handler, Offered
from dagrun.services.journal.recent import RecentEvents
from dagrun_grpc.aio.access import Accepts, AcceptsGate
from dagrun_grpc.aio.transport import GrpcTransport
from dagrun_grpc.limits import Patience

LIMIT: Final = 10.0  # seconds that nothing takes
MIB: Final = 1024 * 1024  # bytes
HASTE: Final = Patience(handshake=1.0, keepalive=0.3, answer=0.8, idle=0.6)
SLACK: Final = 4.0  # seconds that a busy machine may add


async def answer(channel: Channel) -> None:
    """Answer each beat; a handler of an orchestrator."""
    while True:
        beats = await channel.receive()
        await channel.send([BeatSeen(number=beat.number) for beat in beats])  # type: ignore[union-attr]  # only heartbeats are sent here


async def ask(channel: Channel, number: int = 1) -> None:
    """Send a beat, and check the answer."""
    with trio.fail_after(LIMIT):
        await channel.send([Beat(number=number, held=())])
        assert await channel.receive() == (BeatSeen(number=number),)


def chunk(size: int) -> LogChunk:
    """Make a piece of a log, of so many bytes."""
    return LogChunk(
        run_id=RunId("r"), node_id="a", attempt=1, item=None, epoch=1, offset=0, data=bytes(size)
    )


def right(token: str | None, role: str) -> bool:
    """Accept the token ``right`` of an engine, and nothing else."""
    return (token, role) == ("right", "engine")


def memory() -> int:
    """Give the bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def stranger(handler: Callable[[trio.SocketStream], Awaitable[object]]) -> AsyncIterator[str]:
    """Give the address of somebody who speaks no gRPC."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handler, 0)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def lost(channel: Channel) -> str:
    """Wait until a stream has ended; give what is said of it."""
    with trio.fail_after(LIMIT):
        try:
            while True:
                await channel.receive()
        except ChannelLost as error:
            return str(error)


REPORT: Final = EngineReport(
    engine_id="e1",
    instance="i",
    release="0.1",
    status=IDLE,
    capacity=3,
    runs=(),
    offers=Offers(executors=frozenset()),
)


def of_engine(**fields: Any) -> EngineOffered:
    """Give what an engine offers that does nothing; ``fields`` does more."""

    async def refuse(_frame: object) -> str:
        return "nothing is executed here"

    nothing = {"report": lambda: REPORT, "hear": refuse, "events": RecentEvents("i")}
    return EngineOffered(**{**nothing, **fields})


def of_orchestrator(accepts: Accepts | None = None, **fields: Any) -> Offered:
    """Give what an orchestrator offers that knows every engine, and has no management.

    Args:
        accepts: as the transport takes it.
        fields: what it has nevertheless.
    """
    nothing = {
        "management": None,
        "gate": AcceptsGate(accepts),
        "register": lambda _address: None,
        "report": lambda report: ReportSeen(kept=report.runs, stopped=()),
    }
    return Offered(**{**nothing, **fields})


@attrs.frozen
class Served:
    """An orchestrator that listens."""

    address: str
    transport: GrpcTransport
    channels: list[Channel]
    """Those that a handler was given, without the neighbour's."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])


@asynccontextmanager
async def serving(
    handler: Handler = answer,
    *,
    neighbour: bool = True,
    patience: Patience = HASTE,
    token: str | None = None,
    offered: Offered | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """Listen during a block.

    Args:
        handler: holds the conversations; it answers beats if there is a neighbour.
        neighbour: whether somebody else has a stream, and gets answers before and after the block.
        patience: the listener's.
        token: the neighbour's.
        offered: what is served beside the streams; None for what does nothing.
        options: the listener's.
    """
    channels: list[Channel] = []

    async def hold(channel: Channel) -> None:
        channels.append(channel)
        await handler(channel)

    transport = GrpcTransport(port=0, patience=patience, **options)
    async with transport, trio.open_nursery() as nursery:
        offered = offered or of_orchestrator(options.get("accepts"))
        serve = partial(transport.serve_orchestrator, hold, offered=offered)
        address = await nursery.start(serve)
        served = Served(address, transport, channels)
        if neighbour:
            async with GrpcTransport(token=token) as other, other.attach(address) as channel:
                await ask(channel, 1)
                channels.clear()
                yield served
                await ask(channel, 2)
        else:
            yield served
        nursery.cancel_scope.cancel()


def message(encoded: bytes) -> bytes:
    """Put before a message what stands before it on the wire."""
    return struct.pack(">?I", False, len(encoded)) + encoded


class RawClient:
    """A connection on which anything can be said."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.http = H2Connection(
            H2Configuration(
                client_side=True, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        self.events: list[Event] = []
        """All that was heard."""

    async def begin(self) -> None:
        """Say what every client says first."""
        self.http.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        """Send what h2 has to say."""
        await self.stream.send_all(self.http.data_to_send())

    async def call(self, path: str, **metadata: str | None) -> int:
        """Begin a call, without the headers that are None; give its number."""
        number = self.http.get_next_available_stream_id()
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "test",
            "te": "trailers",
            "content-type": "application/grpc",
            **metadata,
        }
        shown = [(name, value) for name, value in headers.items() if value is not None]
        self.http.send_headers(number, shown)
        await self.flush()
        return number

    async def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send data, as much at a time as the server takes."""
        with trio.fail_after(LIMIT):
            while data or end:
                window = self.http.local_flow_control_window(number)
                room = min(window, self.http.max_outbound_frame_size)
                if data and room <= 0:
                    await self.read()
                    continue
                piece, data = data[:room], data[room:]
                last = end and not data
                self.http.send_data(number, piece, end_stream=last)
                await self.flush()
                if last:
                    return

    async def read(self) -> bool:
        """Take in what is there; give whether there may be more."""
        try:
            data = await self.stream.receive_some(64 * 1024)
        except trio.BrokenResourceError:
            return False
        if data:
            self.events += self.http.receive_data(bytes(data))
            await self.flush()
        return bool(data)

    async def send_until_cut_off(self, data: bytes, *, pause: float = 0.0) -> int:
        """Send the same again and again, past all windows; give the bytes that went."""
        sent = 0
        with trio.fail_after(LIMIT), suppress(trio.BrokenResourceError):
            while True:
                await self.stream.send_all(data)
                sent += len(data)
                await trio.sleep(pause)
        return sent

    async def closed(self) -> float:
        """Read until the server has closed; give how many seconds it took."""
        began = trio.current_time()
        with trio.fail_after(LIMIT):
            while await self.read():
                pass
        return trio.current_time() - began

    async def drained(self) -> float:
        """As :meth:`closed`, but without a look at what is read."""
        began = trio.current_time()
        try:
            with trio.fail_after(LIMIT):
                while await self.stream.receive_some(64 * 1024):
                    pass
        except trio.BrokenResourceError:
            pass
        return trio.current_time() - began

    async def accepted(self, number: int) -> None:
        """Wait until the server has begun to answer a call, or has ended it.

        Raises:
            EOFError: the connection ended before.
        """
        with trio.fail_after(LIMIT):
            while not any(
                isinstance(event, ResponseReceived) and event.stream_id == number
                for event in self.events
            ):
                if not await self.read():
                    raise EOFError

    async def status(self, number: int) -> tuple[int, str]:
        """Wait for the end of a call; give its status, and what is said of it.

        Raises:
            EOFError: the connection ended before.
        """
        with trio.fail_after(LIMIT):
            while (told := self.told(number)) is None:
                if not await self.read():
                    raise EOFError
        return told

    def told(self, number: int) -> tuple[int, str] | None:
        """Give the status of a call as far as it was heard, and what is said of it."""
        for event in self.events:
            if getattr(event, "stream_id", None) == number:
                headers = dict(getattr(event, "headers", None) or ())
                if "grpc-status" in headers:
                    return int(headers["grpc-status"]), headers.get("grpc-message", "")
        return None


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawClient]:
    """Connect to a port of this host."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield RawClient(stream)
