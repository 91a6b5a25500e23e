"""Tells subscribers of every event, each at its own pace."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, Protocol

import attrs
import trio

from dagrun.domain.monitoring import GAP, MonitorEvent
from dagrun.errors import StoreError, sole
from dagrun.plugin.entering import entered
from dagrun.ports.subscriber import Subscriber

MOST: Final = 100
"""Events that a subscriber gets at once."""

BUFFER: Final = 1000
"""Events that wait for a subscriber. What comes then is read from the store."""

FAREWELL: Final = 5.0  # seconds that subscribers get at the end, for what waits and for closing
AGAIN: Final = 1.0  # seconds until a store that could not be read is read again

_log: Final = logging.getLogger(__name__)

Pages = AbstractAsyncContextManager[AsyncIterator[Sequence[MonitorEvent]]]


class Subscribe(Protocol):
    """Gives all events, and begins behind one of them; see ``Monitor.subscribe_pages``."""

    def __call__(self, *, after: str | None, buffer: int, most: int) -> Pages:
        """Subscribe for the length of the block."""
        ...


@attrs.define(kw_only=True)
class Attendance:
    """How one subscriber fares."""

    handled: int = 0
    """Events that it took."""

    failed: int = 0
    """Events of which it made nothing but an error."""

    caught_up: int = 0
    """Times that it was so far behind that the store was read."""


class Subscribers:
    """Has a task for each subscriber, so that none waits for another, and nobody waits for them.

    Events of runs are told however slow a subscriber is: those that its buffer has no room for are
    read from the store. What belongs to no run is not in the store, and reaches only who keeps up.

    Args:
        subscribers: name → who wants to hear.
        subscribe: gives all events.
    """

    def __init__(self, subscribers: Mapping[str, Subscriber], subscribe: Subscribe) -> None:
        self._subscribers = subscribers
        self._subscribe = subscribe
        self._scope = trio.CancelScope()
        self._attendance = {name: Attendance() for name in subscribers}

    async def run(
        self, *, task_status: trio.TaskStatus["Subscribers"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tell them of all that comes from ``started`` on, until there is nothing more to come.

        A cancellation from outside is not heeded, as the last events come behind it. So the source
        of the events has to be closed, and then :meth:`hurry` be called.

        Raises:
            ConfigError: a subscriber cannot do its work.
        """
        with self._scope:
            async with AsyncExitStack() as stack:
                for subscriber in self._subscribers.values():
                    await entered(stack, subscriber)
                async with trio.open_nursery() as nursery:
                    for name, subscriber in self._subscribers.items():
                        await nursery.start(self._attend, name, subscriber)
                    task_status.started(self)
                    # Who is cancelled while it starts has nobody who would call ``hurry``.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    self._scope.shield = True

    def hurry(self) -> None:
        """Let it end soon. Does not block."""
        self._scope.deadline = trio.current_time() + FAREWELL

    def statistics(self) -> Mapping[str, Attendance]:
        """Say how each of them fares."""
        return {name: attrs.evolve(found) for name, found in self._attendance.items()}

    async def _attend(
        self, name: str, subscriber: Subscriber, *, task_status: trio.TaskStatus[None]
    ) -> None:
        telling = _Telling(name, subscriber, self._attendance[name])
        begun: Callable[[], None] = task_status.started
        while True:
            try:
                async with self._subscribe(after=telling.last, buffer=BUFFER, most=MOST) as pages:
                    begun()
                    begun = _nothing
                    if await telling.tell(pages):
                        return
            except StoreError as error:
                _log.warning("subscriber %s has to wait for older events: %s", name, error)
                await trio.sleep(AGAIN)


class _Telling:
    """Tells one subscriber."""

    def __init__(self, name: str, subscriber: Subscriber, attendance: Attendance) -> None:
        self._name = name
        self._subscriber = subscriber
        self._attendance = attendance
        self._lost = 0
        """Events of which it made nothing since it last took some."""

        self.last: str | None = None
        """Id of the last event that was told; None before the first."""

    async def tell(self, pages: AsyncIterator[Sequence[MonitorEvent]]) -> bool:
        """Hand on what comes. Give False at a gap, and True at the end."""
        async for events in pages:
            if events[0].type == GAP:
                self._attendance.caught_up += 1
                self.last = events[0].id
                return False
            await self._hand_on(events)
            self.last = events[-1].id
        return True

    async def _hand_on(self, events: Sequence[MonitorEvent]) -> None:
        try:
            await self._subscriber.handle(events)
        except Exception as error:  # noqa: BLE001 — an error of who listens concerns nobody else
            level = logging.DEBUG if self._lost else logging.ERROR
            _log.log(level, "subscriber %s failed: %r", self._name, sole(error), exc_info=error)
            self._attendance.failed += len(events)
            self._lost += len(events)
        else:
            if self._lost:
                _log.warning("subscriber %s works again; %d events failed", self._name, self._lost)
            self._attendance.handled += len(events)
            self._lost = 0


def _nothing() -> None:
    """Do nothing."""
