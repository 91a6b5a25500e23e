"""The event bus: everybody who watches gets what is durable, at their own pace."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.monitoring import (
    GAP,
    Filter,
    MonitorEvent,
    Severity,
    observed,
    position_of,
    severity_of,
)
from dagrun.ports.store import Store

BUFFER: Final = 1000
"""Events that wait for a subscriber; what comes then is a gap."""

PAGE: Final = 500
"""Events that are read from the store at once."""


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
        self._some = trio.Event()
        self._last = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MonitorEvent:
        """Wait for the next event.

        An event of the type ``gap`` says that others were missed: ``data["after"]`` is the id
        behind which they begin, for :meth:`Monitor.subscribe`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._buffer:
            if self._missed is not None:
                missed, self._missed = self._missed, None
                return missed
            await self._some.wait()
        return self._buffer.popleft()

    @property
    def waiting(self) -> int:
        """Events that were not fetched yet."""
        return len(self._buffer)

    def offer(self, event: MonitorEvent) -> None:
        """Put an event in the buffer, or note that it is missed. Does not block."""
        if not self._wanted.wants(event):
            return
        if self._missed is not None:
            return
        if len(self._buffer) < self._size:
            self._buffer.append(event)
        else:
            self._missed = _gap(event, after=self._buffer[-1].id)
        self._some.set()
        self._some = trio.Event()


class Monitor:
    """Tells subscribers of durable events.

    Args:
        store: where events are that happened before a subscription.
        workflow_of: gives the workflow of a run of this process.
        now: the clock, in UTC.
    """

    def __init__(
        self,
        store: Store,
        workflow_of: Callable[[str], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._workflow_of = workflow_of
        self._now = now
        self._subscriptions: set[Subscription] = set()
        self._engines: dict[str, str] = {}
        self._position = 0
        self._announced = 0

    def publish(self, events: Sequence[Event], position: int) -> None:
        """Tell of durable events of runs, the first of which has the position. Does not block."""
        if not events:
            return
        self._position, self._announced = position + len(events) - 1, 0
        if not self._subscriptions:
            return
        for number, event in enumerate(events, start=position):
            self._offer(
                observed(
                    event,
                    position=number,
                    workflow_id=self._workflow_of(event.run_id),
                    engine_id=self._engine_of(event),
                )
            )

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
        self._offer(
            MonitorEvent(
                id=f"{self._position}.{self._announced}",
                type=kind,
                severity=severity_of(kind),
                time=self._now(),
                workflow_id=workflow_id,
                engine_id=engine_id,
                data=data or {},
            )
        )

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

        Args:
            min_severity: leave out what is less.
            types: only these types, or those that begin so: ``run.failed``, ``node``.
            run_id: only the events of a run.
            workflow_id: only the events of a workflow and its runs.
            after: id of the last event that is known; those of runs behind it come first, from
                the store, however long ago they were.
            buffer: most events that wait while the block is busy.

        Raises:
            ValueError: a severity or an id of an event is none.
        """
        wanted = Filter(
            min_severity=Severity(min_severity),
            types=frozenset(types),
            run_id=run_id,
            workflow_id=workflow_id,
        )
        seen = None if after is None else position_of(after)
        subscription = Subscription(wanted, buffer)
        self._subscriptions.add(subscription)
        try:
            if seen is None:
                yield subscription
            else:
                async with aclosing(self._continued(subscription, wanted, seen)) as events:
                    yield events
        finally:
            self._subscriptions.discard(subscription)

    def statistics(self) -> MonitorStatistics:
        """Say who watches."""
        return MonitorStatistics(
            subscribers=len(self._subscriptions),
            waiting=sum(subscription.waiting for subscription in self._subscriptions),
        )

    async def _continued(
        self, subscription: Subscription, wanted: Filter, after: int
    ) -> AsyncGenerator[MonitorEvent, None]:
        """Give stored events, and then those that came in the meantime, each once."""
        while page := await self._store.log(after=after, limit=PAGE):
            for logged in page:
                after = logged.position
                event = observed(
                    logged.event, position=logged.position, workflow_id=logged.workflow_id
                )
                if wanted.wants(event):
                    yield event
        async for event in subscription:
            if event.type == GAP or "." in event.id or position_of(event.id) > after:
                yield event

    def _engine_of(self, event: Event) -> str | None:
        engine = (event.data or {}).get("engine")
        if engine is not None:
            self._engines[event.run_id] = engine
        elif event.type in _ENDS:
            return self._engines.pop(event.run_id, None)
        return self._engines.get(event.run_id)

    def _offer(self, event: MonitorEvent) -> None:
        for subscription in self._subscriptions:
            subscription.offer(event)


_ENDS: Final = ("run.succeeded", "run.failed", "run.cancelled")


def _gap(event: MonitorEvent, *, after: str) -> MonitorEvent:
    return MonitorEvent(
        id=after, type=GAP, severity=severity_of(GAP), time=event.time, data={"after": after}
    )
