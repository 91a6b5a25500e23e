"""A transport within one process, and the hub on which its addresses are names.

``dagrun dev`` uses it as it is. Tests use the hub to do to its links what happens to networks.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

import attrs
import trio

from dagrun.errors import ChannelLost, ConfigError
from dagrun.ports.transport import Channel, EngineOffered, Handler, Offered

if TYPE_CHECKING:  # most commands have no use for it
    from dagrun.ports.frames import Frame
    from dagrun.ports.management import Management

BOUND: Final = 16
"""Sendings that are on their way in one direction; one more waits."""

Role = Literal["orchestrator", "engine"]
Way = Literal["there", "back", "both"]
"""Directions of a link: ``there`` is from who dialled to who was dialled."""


class _Sent(NamedTuple):
    at: float
    frames: Sequence["Frame"]


class _Pipe:
    """One direction of a link."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._waiting: deque[_Sent] = deque()
        self._changed = trio.lowlevel.ParkingLot()
        self.stalled = False
        self.lost: str | None = None
        """Why nothing can be put in any more."""

        self.drained = False
        """Whether nothing can be taken out, either."""

    async def put(self, frames: Sequence["Frame"]) -> None:
        await trio.lowlevel.checkpoint()
        while self.lost is None:
            if len(self._waiting) < BOUND:
                self._waiting.append(_Sent(trio.current_time(), tuple(frames)))
                self.wake()
                return
            await self._changed.park()
        raise ChannelLost(self.lost)

    async def take(self) -> Sequence["Frame"]:
        await trio.lowlevel.checkpoint()
        while not self.drained:
            if self._waiting and not self.stalled:
                due = self._waiting[0].at + self._hub.latency
                if trio.current_time() >= due:
                    self.wake()
                    return self._waiting.popleft().frames
                with trio.move_on_at(due):
                    await self._changed.park()
            elif self.lost is not None and not self._waiting and not self.stalled:
                break
            else:
                await self._changed.park()
        raise ChannelLost(self.lost or "the stream has ended")

    def end(self, reason: str, *, drained: bool) -> None:
        self.lost = self.lost or reason
        self.drained = self.drained or drained
        self.wake()

    def wake(self) -> None:
        self._changed.unpark_all()


@attrs.define(eq=False)
class Link:
    """A stream that is open on a hub."""

    address: str
    """Who was dialled."""

    role: Role
    """What the dialled one is."""

    there: _Pipe = attrs.field(repr=False)
    back: _Pipe = attrs.field(repr=False)

    def pipes(self, way: Way) -> Sequence[_Pipe]:
        """Give the directions that are meant."""
        return {"there": [self.there], "back": [self.back], "both": [self.there, self.back]}[way]


class Hub:
    """Where transports of one process meet.

    What happens to networks happens here, to one link or, without one, to all that are open.
    """

    def __init__(self) -> None:
        self.links: list[Link] = []
        """The open streams, the oldest first."""

        self.latency = 0.0
        self._listening: dict[tuple[Role, str], trio.MemorySendChannel[Link]] = {}

    def cut(self, link: Link | None = None) -> None:
        """Cut a link: what is on its way is gone, and both ends learn of it."""
        for each in self._meant(link):
            for pipe in each.pipes("both"):
                pipe.end("the link was cut", drained=True)

    def stall(self, link: Link | None = None, *, way: Way = "both") -> None:
        """Let nothing arrive, and tell nobody, as when a network loses all packets."""
        self._set_stalled(link, way, stalled=True)

    def resume(self, link: Link | None = None, *, way: Way = "both") -> None:
        """Let arrive again what was held up since :meth:`stall`."""
        self._set_stalled(link, way, stalled=False)

    def delay(self, seconds: float) -> None:
        """Let everything arrive that much later, on all links, from now on."""
        self.latency = seconds
        for link in self.links:
            for pipe in link.pipes("both"):
                pipe.wake()

    def _set_stalled(self, link: Link | None, way: Way, *, stalled: bool) -> None:
        for each in self._meant(link):
            for pipe in each.pipes(way):
                pipe.stalled = stalled
                pipe.wake()

    def _meant(self, link: Link | None) -> Sequence[Link]:
        return list(self.links) if link is None else [link]

    def _dial(self, role: Role, address: str) -> Link:
        try:
            link = Link(address, role, _Pipe(self), _Pipe(self))
            self._listening[role, address].send_nowait(link)
        except (KeyError, trio.WouldBlock):
            raise ChannelLost(f"{address}: nobody answers") from None
        self.links.append(link)
        return link

    def _listen(self, role: Role, address: str) -> trio.MemoryReceiveChannel[Link]:
        if (role, address) in self._listening:
            raise ConfigError(f"{address!r} is taken")
        send, receive = trio.open_memory_channel[Link](BOUND)
        self._listening[role, address] = send
        return receive

    def _forget(self, role: Role, address: str, links: trio.MemoryReceiveChannel[Link]) -> None:
        """Answer no more, and those not at all who were not answered yet."""
        del self._listening[role, address]
        with suppress(trio.WouldBlock):
            while True:
                self._end(links.receive_nowait(), f"{address}: nobody answers")

    def _end(self, link: Link, reason: str) -> None:
        """End a stream on one side: what was sent before still arrives."""
        if link in self.links:
            self.links.remove(link)
        for pipe in link.pipes("both"):
            pipe.end(reason, drained=False)


class _Channel:
    """One end of a link."""

    def __init__(self, link: Link, peer: str, out: _Pipe, into: _Pipe) -> None:
        self.link = link
        self._peer = peer
        self._out = out
        self._into = into

    @property
    def peer(self) -> str:
        return self._peer

    async def send(self, frames: Sequence["Frame"]) -> None:
        try:
            await self._out.put(frames)
        except trio.Cancelled:
            self._lose()
            raise

    async def receive(self) -> Sequence["Frame"]:
        try:
            return await self._into.take()
        except trio.Cancelled:
            self._lose()
            raise

    def leave(self, hub: Hub) -> None:
        """End it on this side."""
        self._into.end("the stream is closed on this side", drained=True)
        hub._end(self.link, f"{self._peer}: the stream has ended")  # noqa: SLF001 — one thing

    def _lose(self) -> None:
        for pipe in (self._out, self._into):
            pipe.end("sending or receiving was cancelled", drained=True)


class MemoryTransport:
    """What :class:`~dagrun.ports.transport.Transport` says, on a hub.

    Args:
        hub: what those who want to reach each other share.
        address: the name under which it listens.
    """

    def __init__(self, *, hub: Hub, address: str = "memory") -> None:
        self._hub = hub
        self._address = address
        self._open: set[_Channel] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for channel in tuple(self._open):
            channel.leave(self._hub)

    def attach(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an engine to an orchestrator."""
        return self._dialled("orchestrator", address)

    def dial(self, address: str, *, trusted: bool = True) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an orchestrator to an engine."""
        return self._dialled("engine", address)

    def manage(self, address: str) -> AbstractAsyncContextManager["Management"]:
        """Refuse: who is in the same process needs no transport."""
        raise ConfigError(f"{address}: the memory transport reaches no clients")

    async def serve_orchestrator(
        self,
        handler: Handler,
        *,
        offered: Offered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for engines until cancelled."""
        await self._serve("orchestrator", handler, task_status)

    async def serve_engine(
        self,
        handler: Handler,
        *,
        offered: EngineOffered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for orchestrators until cancelled."""
        await self._serve("engine", handler, task_status)

    @contextmanager
    def _held(self, channel: _Channel) -> Iterator[None]:
        """Know of a channel for a block, and end it then."""
        self._open.add(channel)
        try:
            yield
        finally:
            self._open.discard(channel)
            channel.leave(self._hub)

    @asynccontextmanager
    async def _dialled(self, role: Role, address: str) -> AsyncIterator[Channel]:
        await trio.lowlevel.checkpoint()
        link = self._hub._dial(role, address)  # noqa: SLF001 — the hub's other half
        channel = _Channel(link, address, link.there, link.back)
        with self._held(channel):
            yield channel

    async def _serve(self, role: Role, handler: Handler, task_status: trio.TaskStatus[str]) -> None:
        links = self._hub._listen(role, self._address)  # noqa: SLF001 — the hub's other half
        try:
            async with trio.open_nursery() as nursery:
                task_status.started(self._address)
                async for link in links:
                    nursery.start_soon(self._hold, handler, link)
        finally:
            self._hub._forget(role, self._address, links)  # noqa: SLF001 — as above

    async def _hold(self, handler: Handler, link: Link) -> None:
        channel = _Channel(link, "memory", link.back, link.there)
        with self._held(channel):
            try:
                await handler(channel)
            except* ChannelLost:
                pass  # the usual end of a conversation
