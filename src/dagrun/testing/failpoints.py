"""dagrun in a process that is ended with ``kill -9`` at a named point.

``python -m dagrun.testing.failpoints POINT NUMBER ARGUMENTS…`` does what ``dagrun ARGUMENTS…`` does, up
to the NUMBERth time that it passes POINT, see :class:`Killer`. The points lie where the process meets others: in the
commits of its store, and between it and the other end of a stream. They are put there around what
the plugins offer; dagrun itself knows nothing of them.
"""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import EntryPoint
from typing import Any, Final, get_args

import attrs
import trio

from dagrun.builtin.sqlite import SqliteStore
from dagrun.plugin import loading
from dagrun.plugin.registry import Shelf
from dagrun.ports.frames import Frame
from dagrun.ports.transport import Channel, EngineOffered, Handler, Offered, Transport

COMMAND: Final = ("-m", "dagrun.testing.failpoints")
"""What makes Python this program."""

COMMITS: Final = ("begun", "written", "committed")
"""A transaction has begun, all is written in it, and it is durable. Nobody has heard of it yet."""

STEPS: Final = ("sending", "sent", "received")
"""Frames are about to be sent, are in the hands of the system, or came and were not looked at."""

POINTS: Final = frozenset(
    [*COMMITS, *(f"{step}-{kind.__name__}" for step in STEPS for kind in get_args(Frame))]
)

HEARD: Final = 0.1  # seconds from a point in a commit to the kill

Hit = Callable[[str], None]
"""Is told of each point that is passed."""


class Killer:
    """Ends this process without a last word when it has passed a point so many times.

    Args:
        point: where, of :data:`POINTS`; several with ``>`` between them are passed in this order.
        number: how many times the first one is passed; each of the others once after that.

    Raises:
        ValueError: there is no such point.
    """

    def __init__(self, point: str, number: int) -> None:
        self.ahead, self.left = point.split(">"), number
        for one in self.ahead:
            if one not in POINTS:
                raise ValueError(f"{one!r} is no failpoint; known: {', '.join(sorted(POINTS))}")

    def __call__(self, point: str) -> None:
        """Pass a point."""
        if point == self.ahead[0]:
            self.left -= 1
            if self.left == 0:
                self._next()

    def _next(self) -> None:
        if len(self.ahead) > 1:
            del self.ahead[0]
            self.left = 1
            return
        if self.ahead[0] in COMMITS:  # in a thread: what is said too early has time to be heard
            time.sleep(HEARD)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Be dagrun, with a failpoint."""
    _, point, number, *arguments = sys.argv
    arm(Killer(point, int(number)))
    sys.argv[1:] = arguments
    from dagrun.cli import main as be_dagrun  # noqa: PLC0415 — its plugins have to be armed first

    be_dagrun()


def arm(hit: Hit) -> None:
    """Let the plugins that are loaded from now on tell of what they pass."""
    load = loading.load_plugins

    def load_armed(found: Iterable[EntryPoint] | None = None) -> loading.Installation:
        installation = load(found)
        registry = installation.registry
        _replace(registry.stores, "sqlite", lambda _: partial(SqliteStore, hook=hit))
        _replace(registry.transports, "grpc", lambda make: partial(_telling, make, hit))
        return installation

    loading.load_plugins = load_armed


def _replace(shelf: Shelf[Any], name: str, change: Callable[[Any], Any]) -> None:
    entries = dict(shelf.entries())
    entries[name] = attrs.evolve(entries[name], factory=change(entries[name].factory))
    shelf.put_back(entries)


def _telling(make: Callable[..., Transport], hit: Hit, **options: Any) -> "TellingTransport":
    return TellingTransport(make(**options), hit)


class TellingChannel:
    """A stream that tells of the frames that pass through it."""

    def __init__(self, channel: Channel, hit: Hit) -> None:
        self._channel = channel
        self._hit = hit

    @property
    def peer(self) -> str:
        """Who is at the other end."""
        return self._channel.peer

    async def send(self, frames: Sequence[Frame]) -> None:
        """Send frames."""
        self._tell("sending", frames)
        await self._channel.send(frames)
        self._tell("sent", frames)

    async def receive(self) -> Sequence[Frame]:
        """Wait for frames."""
        frames = await self._channel.receive()
        self._tell("received", frames)
        return frames

    def _tell(self, step: str, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._hit(f"{step}-{type(frame).__name__}")


class TellingTransport:
    """A transport whose streams tell of their frames."""

    def __init__(self, transport: Transport, hit: Hit) -> None:
        self._transport = transport
        self._hit = hit
        self.manage = transport.manage

    async def __aenter__(self) -> "TellingTransport":
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._transport.__aexit__(*error)

    def attach(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an engine."""
        return self._told(self._transport.attach(address))

    def dial(self, address: str, *, trusted: bool = True) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an orchestrator."""
        return self._told(self._transport.dial(address, trusted=trusted))

    async def serve_orchestrator(
        self,
        handler: Handler,
        *,
        offered: Offered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for engines."""
        telling = self._telling(handler)
        await self._transport.serve_orchestrator(telling, offered=offered, task_status=task_status)

    async def serve_engine(
        self,
        handler: Handler,
        *,
        offered: EngineOffered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for orchestrators."""
        telling = self._telling(handler)
        await self._transport.serve_engine(telling, offered=offered, task_status=task_status)

    def _telling(self, handler: Handler) -> Handler:
        async def handle(channel: Channel) -> None:
            await handler(TellingChannel(channel, self._hit))

        return handle

    @asynccontextmanager
    async def _told(self, opened: AbstractAsyncContextManager[Channel]) -> AsyncIterator[Channel]:
        async with opened as channel:
            yield TellingChannel(channel, self._hit)


if __name__ == "__main__":
    main()
