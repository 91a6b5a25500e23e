"""A network in memory: streams that are slow, stand still, lose one direction, or are cut."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import attrs
import trio

from dagrun.errors import ChannelLost, ConfigError
from dagrun.ports.frames import Frame
from dagrun.ports.management import Management
from dagrun.ports.transport import EngineOffered, Handler, Offered
from dagrun.testing.simulation.clock import VirtualClock

LATENCY: Final = 0.001  # seconds that frames travel when nothing is wrong
WINDOW: Final = 64  # sends that are on their way before a sender waits


@attrs.define(eq=False)
class Host:
    """A process as the network sees it."""

    name: str
    alive: bool = True


@attrs.define(eq=False)
class Link:
    """How it stands between two hosts, in one direction."""

    delay: float = LATENCY
    stalled: bool = False
    """Whether nothing arrives, and nobody notices."""

    twice: bool = False
    """Whether what is sent arrives twice."""


class End:
    """One end of a stream. Implements :class:`~dagrun.ports.transport.Channel`."""

    def __init__(self, network: "Network", host: Host, peer: Host) -> None:
        self._network, self.host, self._peer_host = network, host, peer
        self.other: End
        self._inbox: deque[tuple[float, Sequence[Frame] | None]] = deque()
        """When each batch arrives; None is the end of the stream."""

        self._waiting = trio.lowlevel.ParkingLot()
        self.lost: str | None = None

    @property
    def peer(self) -> str:
        """The name of the other host."""
        return self._peer_host.name

    async def send(self, frames: Sequence[Frame]) -> None:
        """Send frames; waits while many are on their way."""
        await trio.lowlevel.checkpoint()
        self._check()
        link = self._network.link(self.host.name, self._peer_host.name)
        for _ in range(2 if link.twice else 1):
            self.other.arrive(link.delay, frames)
        while self.other.crowded and self.lost is None:
            await self._waiting.park()
        self._check()

    async def receive(self) -> Sequence[Frame]:
        """Wait for what comes next."""
        if self._arrived():
            await trio.lowlevel.checkpoint()
        while True:
            self._check()
            if not self._arrived():
                await self._waiting.park()
            elif (frames := self._take()) is not None:
                return frames

    def _arrived(self) -> bool:
        """Whether there is something that can be taken now."""
        link = self._network.link(self._peer_host.name, self.host.name)
        return not link.stalled and bool(self._inbox) and self._inbox[0][0] <= trio.current_time()

    def _take(self) -> Sequence[Frame] | None:
        """Take what has arrived first; None if it is the end of the stream."""
        was_crowded = self.crowded
        _, frames = self._inbox.popleft()
        if frames is None:
            self.lose("the other side has closed it")
        elif was_crowded:
            self.other.wake()
        return frames

    @property
    def crowded(self) -> bool:
        """Whether more is on its way to this end than it should."""
        return len(self._inbox) > WINDOW

    def finish(self) -> None:
        """Let the other side notice the end behind all that was sent before."""
        link = self._network.link(self.host.name, self._peer_host.name)
        self.other.arrive(link.delay, None)

    def arrive(self, delay: float, frames: Sequence[Frame] | None) -> None:
        """Take in some seconds what the other end has sent."""
        due = trio.current_time() + delay
        self._inbox.append((due, frames))
        self._network.clock.call_at(due, self.wake)

    def lose(self, why: str) -> None:
        """End the stream on this side; what has not arrived is lost."""
        if self.lost is None:
            self.lost = why
            self.wake()

    def wake(self) -> None:
        """Let who waits look again."""
        self._waiting.unpark_all()

    def _check(self) -> None:
        if self.lost is not None:
            raise ChannelLost(f"{self.peer}: {self.lost}")


class Network:
    """All hosts, and the streams between them.

    Args:
        clock: what frames take time by.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._links: dict[tuple[str, str], Link] = {}
        self._listening: dict[str, tuple[Host, Handler, trio.Nursery]] = {}
        self._ends: dict[End, None] = {}

    def link(self, source: str, target: str) -> Link:
        """Give how it stands from one host to another."""
        return self._links.setdefault((source, target), Link())

    def between(self, one: str, other: str) -> tuple[Link, Link]:
        """Give both directions."""
        return self.link(one, other), self.link(other, one)

    def changed(self) -> None:
        """Let all look again, as a link was changed."""
        for end in list(self._ends):
            end.wake()

    def cut(self, one: str, other: str) -> None:
        """End the streams between two hosts, and let both notice."""
        for end in list(self._ends):
            if {end.host.name, end.peer} == {one, other}:
                end.lose("the stream was cut")

    def die(self, host: Host, *, silently: bool) -> None:
        """Let nothing more leave a host. Unless it is silently, others notice at once."""
        host.alive = False
        self._listening = {n: known for n, known in self._listening.items() if known[0] is not host}
        for end in list(self._ends):
            if end.host is host:
                if not silently:
                    end.finish()
                end.lose("this host is dead")
                self._ends.pop(end, None)

    def heal(self) -> None:
        """Let all links be as they were; streams that stood still are cut."""
        for (source, target), link in self._links.items():
            if link.stalled:
                self.cut(source, target)
        self._links.clear()
        self.changed()

    @asynccontextmanager
    async def connect(self, host: Host, address: str) -> AsyncIterator[End]:
        """Open a stream.

        Raises:
            ChannelLost: nobody listens there, or cannot be reached.
        """
        there = self.link(host.name, address)
        await self.clock.sleep(there.delay)
        known = self._listening.get(address)
        if known is None or not host.alive:
            raise ChannelLost(f"{address}: nobody listens")
        if there.stalled or self.link(address, host.name).stalled:
            await self.clock.sleep(1.0)
            raise ChannelLost(f"{address}: no answer")
        peer, handler, nursery = known
        mine, theirs = End(self, host, peer), End(self, peer, host)
        mine.other, theirs.other = theirs, mine
        self._ends |= {mine: None, theirs: None}
        nursery.start_soon(_handle, handler, theirs)
        try:
            yield mine
        finally:
            if host.alive:
                mine.finish()
            mine.lose("it was closed here")
            self._ends.pop(mine, None)

    async def listen(self, host: Host, handler: Handler, task_status: trio.TaskStatus[str]) -> None:
        """Hand streams to a handler until cancelled."""
        async with trio.open_nursery() as nursery:
            if host.alive:  # it may have died on the way here
                self._listening[host.name] = host, handler, nursery
            task_status.started(host.name)
            await trio.sleep_forever()


async def _handle(handler: Handler, end: End) -> None:
    try:
        await handler(end)
    except* ChannelLost:
        pass
    finally:
        if end.host.alive:
            end.finish()
        end.lose("it was closed here")


class SimulatedTransport:
    """Implements :class:`~dagrun.ports.transport.Transport` for one host of a network."""

    def __init__(self, network: Network, host: Host) -> None:
        self._network, self._host = network, host

    async def __aenter__(self) -> "SimulatedTransport":
        """Do nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: streams end with their tasks."""

    def attach(self, address: str) -> AbstractAsyncContextManager[End]:
        """Open a stream to an orchestrator."""
        return self._network.connect(self._host, address)

    def dial(self, address: str, *, trusted: bool = True) -> AbstractAsyncContextManager[End]:
        """Open a stream to an engine."""
        return self._network.connect(self._host, address)

    def manage(self, address: str) -> AbstractAsyncContextManager[Management]:
        """Refuse: a simulation has no clients."""
        raise ConfigError(f"{address}: nobody is simulated who would ask")

    async def serve_orchestrator(
        self,
        handler: Handler,
        *,
        offered: Offered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for engines."""
        await self._network.listen(self._host, handler, task_status)

    async def serve_engine(
        self,
        handler: Handler,
        *,
        offered: EngineOffered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for orchestrators."""
        await self._network.listen(self._host, handler, task_status)
