"""The event bus: everybody who watches gets what is durable, at their own pace."""

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.monitoring import (
    GAP,
    Filter,
    MonitorEvent,
    Severity,
    gap,
    observed,
    position_of,
    severity_of,
)
from dagrun.ports.store import Logged, Store

BUFFER: Final = 1000
"""Events that wait for a subscriber; what comes then is a gap."""

PAGE: Final = 500
"""Events that are read from the store at once."""

Whereabouts = Callable[[RunId], tuple[str | None, str | None]]
"""Gives the id of a run's workflow, and of the engine that has it; None for what is not known."""


@attrs.frozen(kw_only=True)
class MonitorStatistics:
    """Who watches, and how far behind they are."""

    subscribers: int
    waiting: int
    """Events in all buffers."""


class Subscription:
    """The events for one subscriber, from :meth:`Monitor.subscribe`; iterate over it."""

    def __init__(self, wanted: Filter, size: int) -> None:
        self._wanted = wanted
        self._size = size
        self._buffer: deque[MonitorEvent] = deque()
        self._missed: MonitorEvent | None = None
        self._some: trio.Event | None = None
        """There while somebody waits for an event."""

        self.closed = False
        """Whether no more events come."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MonitorEvent:
        """Wait for the next event.

        An event of the type ``gap`` says that others were missed: ``data["after"]`` is the id
        behind which they begin, for :meth:`Monitor.subscribe`.
        """
        for event in await self.page(1):
            return event
        raise StopAsyncIteration

    async def page(self, most: int) -> Sequence[MonitorEvent]:
        """Wait for events, and give those that are there; none at the end. A gap comes alone."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._buffer:
            if self._missed is not None:
                missed, self._missed = self._missed, None
                return (missed,)
            if self.closed:
                return ()
            if self._some is None:  # else a call before this one was cancelled
                self._some = trio.Event()
            await self._some.wait()
        return [self._buffer.popleft() for _ in range(min(most, len(self._buffer)))]

    @property
    def waiting(self) -> int:
        """Events that were not fetched yet."""
        return len(self._buffer)

    def offer(self, events: Sequence[MonitorEvent]) -> None:
        """Put events in the buffer, or note that they are missed. Does not block."""
        if self._missed is not None:
            return
        events = self._wanted.among(events)
        if not events:
            return
        room = self._size - len(self._buffer)
        self._buffer.extend(events[:room])
        if len(events) > room:
            self._missed = gap(events[room].time, after=self._buffer[-1].id)
        self._wake()

    def close(self) -> None:
        """End the iteration behind what is in the buffer. Does not block."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._some is not None:
            self._some.set()
            self._some = None


class Monitor:
    """Tells subscribers of durable events.

    Args:
        store: where events are that happened before a subscription.
        whereabouts: gives the workflow of a run of this process, and the engine that has it.
        position: that of the newest event in the store.
        now: the clock, in UTC.
    """

    def __init__(
        self,
        store: Store,
        whereabouts: Whereabouts,
        *,
        position: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._whereabouts = whereabouts
        self._now = now
        self._subscriptions: set[Subscription] = set()
        self._position = position
        self._announced = 0
        self._closed = False

    def publish(self, events: Sequence[Event], position: int) -> None:
        """Tell of durable events of runs, the first of which has the position. Does not block.

        Where the runs are is asked for at once, so this comes before anybody else hears of their
        events and takes a run from its engine.
        """
        if not events:
            return
        self._position, self._announced = position + len(events) - 1, 0
        if self._subscriptions:
            self._offer([self._seen(event, at) for at, event in enumerate(events, start=position)])

    def _seen(self, event: Event, position: int) -> MonitorEvent:
        workflow_id, engine_id = self._whereabouts(event.run_id)
        return observed(event, position=position, workflow_id=workflow_id, engine_id=engine_id)

    def announce(
        self,
        kind: str,
        *,
        workflow_id: str | None = None,
        engine_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell of something that belongs to no run, and is not kept. Does not block."""
        self._announced += 1
        told = MonitorEvent(
            id=f"{self._position}.{self._announced}",
            type=kind,
            severity=severity_of(kind),
            time=self._now(),
            workflow_id=workflow_id,
            engine_id=engine_id,
            data=data or {},
        )
        self._offer([told])

    @asynccontextmanager
    async def subscribe(
        self,
        *,
        min_severity: Severity | str = Severity.INFO,
        types: Collection[str] = (),
        run_id: str | None = None,
        workflow_id: str | None = None,
        after: str | None = None,
        buffer: int = BUFFER,
    ) -> AsyncIterator[AsyncIterator[MonitorEvent]]:
        """Get events in an ``async with`` block, in which they are iterated over.

        When dagrun is closed while the block lasts, the iteration ends: what waits in the buffer
        still comes, what was not read from the store yet does not. So ``async for`` needs no
        cancelling, and ``anext`` raises ``StopAsyncIteration``.

        Args:
            min_severity: leave out what is less.
            types: only these types, or those that begin so: ``run.failed``, ``node``.
            run_id: only the events of a run.
            workflow_id: only the events of a workflow and its runs.
            after: id of the last event that is known; those of runs behind it come first, from
                the store, however long ago they were. Of an event that the store does not have
                yet, such as one from before it was restored, a gap tells, with where it goes on.
            buffer: most events that wait while the block is busy, at least one.

        Raises:
            ValueError: a severity or an id of an event is none, or the buffer holds none.
        """
        if buffer < 1:
            raise ValueError(f"buffer: a number from 1 is needed, not {buffer!r}")
        wanted = Filter(
            min_severity=Severity(min_severity),
            types=frozenset(types),
            run_id=run_id,
            workflow_id=workflow_id,
        )
        seen = None if after is None else position_of(after)
        with self._subscribed(wanted, buffer) as subscription:
            if seen is None:
                yield subscription
            else:
                pages = self._continued(subscription, wanted, seen, 1)
                async with aclosing(pages), aclosing(_each(pages)) as events:
                    yield events

    @asynccontextmanager
    async def subscribe_pages(
        self, *, after: str | None = None, buffer: int = BUFFER, most: int = PAGE
    ) -> AsyncIterator[AsyncIterator[Sequence[MonitorEvent]]]:
        """Get all events as :meth:`subscribe` does, but those that are there at once together.

        Args:
            after: as there.
            buffer: as there.
            most: events of a page, at most. A gap is a page of its own.
        """
        seen = None if after is None else position_of(after)
        wanted = Filter()
        with self._subscribed(wanted, buffer) as subscription:
            async with aclosing(self._continued(subscription, wanted, seen, most)) as pages:
                yield pages

    @contextmanager
    def _subscribed(self, wanted: Filter, buffer: int) -> Iterator[Subscription]:
        subscription = Subscription(wanted, buffer)
        subscription.closed = self._closed
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End all subscriptions behind what was published so far. Does not block."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()

    def statistics(self) -> MonitorStatistics:
        """Say who watches."""
        return MonitorStatistics(
            subscribers=len(self._subscriptions),
            waiting=sum(subscription.waiting for subscription in self._subscriptions),
        )

    async def _continued(
        self, subscription: Subscription, wanted: Filter, after: int | None, most: int
    ) -> AsyncGenerator[Sequence[MonitorEvent], None]:
        """Give stored events, and then those that came in the meantime, each once.

        Without ``after`` nothing is read from the store.
        """
        run_id = None if wanted.run_id is None else RunId(wanted.run_id)
        if after is not None and after > self._position and not subscription.closed:
            last = await self._store.last_position()
            if after > last:
                yield [gap(self._now(), after=str(last))]
                after = last
        while (
            after is not None
            and not subscription.closed
            and (page := await self._store.log(after=after, limit=PAGE, run_id=run_id))
        ):
            events = wanted.among([_stored(logged) for logged in page])
            for start in range(0, len(events), most):
                yield events[start : start + most]
            after = page[-1].position
        while events := await subscription.page(most):
            if fresh := [_ahead(event, after or 0) for event in events if _is_ahead(event, after)]:
                yield fresh

    def _offer(self, events: Sequence[MonitorEvent]) -> None:
        for subscription in self._subscriptions:
            subscription.offer(events)


def _stored(logged: Logged) -> MonitorEvent:
    return observed(
        logged.event,
        position=logged.position,
        workflow_id=logged.workflow_id,
        engine_id=logged.engine_id,
    )


def _is_ahead(event: MonitorEvent, after: int | None) -> bool:
    """Whether an event is news to who has read the store up to a position."""
    if after is None or event.type == GAP or "." in event.id:
        return True
    return position_of(event.id) > after


def _ahead(event: MonitorEvent, after: int) -> MonitorEvent:
    """Let a gap begin behind what was read from the store."""
    if event.type != GAP or position_of(event.id) >= after:
        return event
    return gap(event.time, after=str(after))


async def _each(
    pages: AsyncIterator[Sequence[MonitorEvent]],
) -> AsyncGenerator[MonitorEvent, None]:
    async for page in pages:
        for event in page:
            yield event
