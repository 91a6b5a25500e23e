"""The newest events of an engine that are known to be durable, for those who follow them."""

from collections import deque
from collections.abc import AsyncGenerator, Iterable
from itertools import islice
from typing import Final

import attrs
import trio

from dagrun.domain.events import Event, size_of
from dagrun.domain.ids import RunId
from dagrun.errors import InputError, Problem
from dagrun.ports.engine import DurableEvents

MOST_EVENTS: Final = 1000
"""Events that are kept for those who are behind; who needs an older one misses it."""

MOST_BYTES: Final = 4 * 1024 * 1024  # bytes of them, unless a single one has more
PAGE: Final = 512 * 1024  # bytes of events that are given at once, unless a single one has more
_BEFORE_ALL: Final = -1


@attrs.frozen
class _Entry:
    """An event, or a place where some of a run may be missing."""

    run_id: RunId
    event: Event | None
    size: int


class RecentEvents:
    """Implements :class:`~dagrun.ports.engine.EngineEvents`.

    All who follow read the same entries, each from a position of its own: they cost no memory.

    Args:
        instance: the engine's, random and new with each start; a position of another one is behind
            all that is kept.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._kept: deque[_Entry] = deque()
        self._last = 0
        """How many entries there were ever; so the last one's position."""

        self._bytes = 0
        self._more = trio.Event()

    def add(self, events: Iterable[Event]) -> None:
        """Tell of events of a run that are durable. Does not block."""
        for event in events:
            self._put(_Entry(event.run_id, event, size_of(event)))
        self._wake()

    def lost(self, run_id: RunId) -> None:
        """Tell that nobody here knows which of the next events of a run are durable."""
        self._put(_Entry(run_id, None, 0))
        self._wake()

    def follow(
        self, *, run_id: str | None = None, after: str | None = None
    ) -> AsyncGenerator[DurableEvents, None]:
        """Give events as they become durable; see the port."""
        return self._pages(run_id, self._last if after is None else self._position(after))

    async def _pages(self, run_id: str | None, at: int) -> AsyncGenerator[DurableEvents, None]:
        while True:
            if at < self._oldest:
                at = self._oldest
                yield self._missing(at)
            elif at < self._last:
                page, at = self._next(run_id, at)
                if page is not None:
                    yield page
            else:
                await self._more.wait()

    def _next(self, run_id: str | None, at: int) -> tuple[DurableEvents | None, int]:
        """Give what is wanted behind a position, or None, and how far that goes."""
        events: list[Event] = []
        size = 0
        for entry in islice(self._kept, at - self._oldest, None):
            if run_id in (None, entry.run_id):
                if entry.event is None and not events:
                    return self._missing(at + 1), at + 1
                if entry.event is None or (events and size + entry.size > PAGE):
                    break
                events.append(entry.event)
                size += entry.size
            at += 1
        page = DurableEvents(events=events, position=self._token(at)) if events else None
        return page, at

    @property
    def _oldest(self) -> int:
        """The position behind which all is kept."""
        return self._last - len(self._kept)

    def _missing(self, at: int) -> DurableEvents:
        return DurableEvents(events=(), position=self._token(at), missing=True)

    def _token(self, at: int) -> str:
        return f"{self._instance}.{at}"

    def _position(self, token: str) -> int:
        """Give where a token stands; one of another life of the engine is before all that is kept.

        Raises:
            InputError: it is none.
        """
        instance, _, number = token.rpartition(".")
        if number.isascii() and number.isdigit() and len(number) < 20:
            if instance != self._instance:
                return _BEFORE_ALL
            if int(number) <= self._last:
                return int(number)
        problem = Problem(message=f"{token[:100]!r} is no position of this engine", path="after")
        raise InputError([problem])

    def _put(self, entry: _Entry) -> None:
        self._kept.append(entry)
        self._last += 1
        self._bytes += entry.size
        while len(self._kept) > MOST_EVENTS or (self._bytes > MOST_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.popleft().size

    def _wake(self) -> None:
        self._more.set()
        self._more = trio.Event()
