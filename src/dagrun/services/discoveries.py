"""Keeps a stream open to every engine that was found."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Final, Protocol

import attrs
import trio

from dagrun.errors import ChannelLost, ConfigError, sole
from dagrun.ports.discovery import Discovery, Registering
from dagrun.ports.transport import Channel

FIRST: Final = 0.1  # seconds before the second try
FACTOR: Final = 2.0
MAX_OPENING: Final = 100
"""Streams that are being opened at once; whoever gives many addresses waits for them himself."""

LASTING: Final = 1.0  # seconds; a stream that ends sooner, such as one that is refused, was none

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class DiscoveriesStatistics:
    """What there is."""

    found: int
    """Addresses that are on somebody's list now."""

    dialled: int
    """Those that are dialled; some may have a stream, though they were not found again."""


class Dial(Protocol):
    """Opens streams to engines; see :meth:`~dagrun.ports.transport.Transport.dial`."""

    def __call__(self, address: str, *, trusted: bool) -> AbstractAsyncContextManager[Channel]:
        """Open one for a block."""
        ...


class Discoveries:
    """Dials what is found, and dials again when a stream has ended.

    What is found no more is dialled no more; a stream that it has goes on until it ends.

    Args:
        sources: name → what finds engines.
        dial: opens a stream to an engine.
        converse: talks on it until it ends.
        longest_pause: seconds between two tries to reach an engine, at most.
        draw: gives random numbers in [0, 1), so that engines are not dialled all at once.
    """

    def __init__(
        self,
        sources: Mapping[str, Discovery],
        *,
        dial: Dial,
        converse: Callable[[Channel], Awaitable[None]],
        longest_pause: float,
        draw: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._dial = dial
        self._converse = converse
        self._longest = longest_pause
        self._draw = draw
        self._lists: dict[str, frozenset[str]] = {}
        self._present: frozenset[str] = frozenset()
        """What is on any of the lists."""

        self._dialled: set[str] = set()
        self._opening = trio.CapacityLimiter(MAX_OPENING)
        self._nursery: trio.Nursery

    async def run(
        self, *, task_status: trio.TaskStatus["Discoveries"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Find and dial until cancelled.

        Raises:
            ConfigError: a source can never find anything.
        """
        async with trio.open_nursery() as self._nursery:
            for name, source in self._sources.items():
                await self._nursery.start(source.run, partial(self._found, name))
            task_status.started(self)

    def statistics(self) -> DiscoveriesStatistics:
        """Say how much was found."""
        return DiscoveriesStatistics(found=len(self._present), dialled=len(self._dialled))

    def register(self, address: str) -> None:
        """Tell of an engine that waits at an address. Does not block.

        Raises:
            ConfigError: nothing is set up to be told.
        """
        listening = [s for s in self._sources.values() if isinstance(s, Registering)]
        if not listening:
            known = ", ".join(self._sources) or "none"
            raise ConfigError(f"engines cannot be registered here; discoveries: {known}")
        for source in listening:
            source.register(address)

    def _found(self, name: str, addresses: Sequence[str]) -> None:
        self._lists[name] = frozenset(addresses)
        before, self._present = self._present, frozenset().union(*self._lists.values())
        for address in sorted(before - self._present):
            _log.info("the engine at %s is not found any more", address)
        for address in sorted(self._present - self._dialled):
            self._dialled.add(address)
            self._nursery.start_soon(self._keep, address)

    def _trusted(self, address: str) -> bool:
        """Whether the operator, or what he chose, says that there is an engine.

        Else it was only told by whoever may call this orchestrator as an engine.
        """
        return any(
            address in found and not isinstance(self._sources[name], Registering)
            for name, found in self._lists.items()
        )

    async def _keep(self, address: str) -> None:
        """Have a stream to an address, again and again, for as long as it is found."""
        pause, told = FIRST, ""
        while address in self._present:
            problem, lasted = await self._talk(address)
            level = logging.DEBUG if problem == told else logging.WARNING
            _log.log(level, "engine at %s: %s", address, problem)
            pause, told = (FIRST, "") if lasted else (min(pause * FACTOR, self._longest), problem)
            await trio.sleep(pause * (0.5 + self._draw() / 2))
        self._dialled.discard(address)

    async def _talk(self, address: str) -> tuple[str, bool]:
        """Give why there is no stream any more, and whether there was one for some time."""
        opened: float | None = None
        problem = "the stream has ended"
        try:
            async with AsyncExitStack() as stack:
                async with self._opening:
                    channel = await stack.enter_async_context(
                        self._dial(address, trusted=self._trusted(address))
                    )
                opened = trio.current_time()
                await self._converse(channel)
        except* (ChannelLost, ConfigError) as group:
            problem = str(sole(group))
        return problem, opened is not None and trio.current_time() - opened > LASTING
