"""What happens, for those who manage."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import trio

from dagrun.domain.ids import RunId
from dagrun.domain.monitoring import Filter, MonitorEvent, gap, observed, position_of
from dagrun.ports.management import EventPage, Wanted
from dagrun.ports.store import Logged, Store
from dagrun.roles.management.arguments import check_limit, wrong
from dagrun.services.monitor import Monitor

PAGE: Final = 1000  # events that are read at once
LOOK: Final = 0.2  # seconds between looks at a store to which other processes write


class StoredEvents:
    """Implements :class:`~dagrun.ports.management.EventManagement` for who is told of nothing.

    Args:
        store: where the events of runs are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(
        self, wanted: Wanted, *, after: str | None = None, limit: int = 100
    ) -> EventPage:
        """Give the newest events, or the first ones behind one; see the port."""
        check_limit(limit)
        last = await self._store.last_position()
        if after is None:
            return EventPage(items=await self._newest(wanted, last, limit), position=str(last))
        items, position = await self._first(wanted, min(_position(after), last), last, limit)
        return EventPage(items=items, position=str(position))

    @asynccontextmanager
    async def follow(
        self, wanted: Wanted, *, after: str | None = None
    ) -> AsyncIterator[AsyncIterator[MonitorEvent]]:
        """Get events as they are stored; see the port."""
        start = await self._store.last_position() if after is None else _position(after)
        async with aclosing(self._coming(wanted, start)) as events:
            yield events

    async def _coming(self, wanted: Wanted, position: int) -> AsyncGenerator[MonitorEvent, None]:
        while True:
            last = await self._store.last_position()
            if position > last:  # the store was restored, and knows less than before
                position = last
                yield gap(datetime.now(UTC), after=str(last))
            items, position = await self._first(wanted, position, last, PAGE)
            for event in items:
                yield event
            if not items:
                await trio.sleep(LOOK)

    async def _newest(self, wanted: Wanted, last: int, limit: int) -> Sequence[MonitorEvent]:
        """Read backwards, in steps that grow, until there are enough."""
        found: deque[MonitorEvent] = deque()
        end, step = last, max(limit, 100)
        while end > 0 and len(found) < limit:
            begin = 0 if wanted.run_id is not None else max(end - step, 0)
            items, _ = await self._first(wanted, begin, end, None)
            found.extendleft(reversed(items))
            end, step = begin, step * 4
        return list(found)[-limit:]

    async def _first(
        self, wanted: Wanted, after: int, last: int, limit: int | None
    ) -> tuple[Sequence[MonitorEvent], int]:
        """Give what is wanted behind a position, up to another one, and how far that goes."""
        check = _filter(wanted)
        run_id = None if wanted.run_id is None else RunId(wanted.run_id)
        found: list[MonitorEvent] = []
        while after < last:
            page = await self._store.log(after=after, limit=PAGE, run_id=run_id)
            for logged in page:
                if logged.position > last:
                    return found, last
                after = logged.position
                if check.wants(event := _seen(logged)):
                    found.append(event)
                    if len(found) == limit:
                        return found, after
            if not page:
                break
        return found, max(after, last)


class ManagedEvents(StoredEvents):
    """Implements :class:`~dagrun.ports.management.EventManagement`.

    Args:
        store: where the events of runs are.
        monitor: tells of those that happen.
    """

    def __init__(self, store: Store, monitor: Monitor) -> None:
        super().__init__(store)
        self._monitor = monitor

    @asynccontextmanager
    async def follow(
        self, wanted: Wanted, *, after: str | None = None
    ) -> AsyncIterator[AsyncIterator[MonitorEvent]]:
        """Get events as they happen; see the port."""
        if after is not None:
            _position(after)
        async with self._monitor.subscribe(
            min_severity=wanted.min_severity,
            types=wanted.types,
            run_id=wanted.run_id,
            workflow_id=wanted.workflow_id,
            after=after,
        ) as events:
            yield events


def _filter(wanted: Wanted) -> Filter:
    return Filter(
        min_severity=wanted.min_severity,
        types=frozenset(wanted.types),
        run_id=wanted.run_id,
        workflow_id=wanted.workflow_id,
    )


def _position(after: str) -> int:
    try:
        return position_of(after)
    except ValueError as error:
        raise wrong(str(error), "after") from error


def _seen(logged: Logged) -> MonitorEvent:
    return observed(
        logged.event,
        position=logged.position,
        workflow_id=logged.workflow_id,
        engine_id=logged.engine_id,
    )
