# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every subscriber must do, as tests to inherit, and events to tell of."""

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

import pytest
import trio
import trio.lowlevel

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.monitoring import MonitorEvent, Severity, observed
from dagrun.plugin.entering import entered
from dagrun.ports.subscriber import Subscriber
from dagrun.testing.frames import NASTY, events

LIMIT = 30.0  # seconds that no test of the suite comes near
AT_ONCE = 0.5  # seconds for which a subscriber may hold up everybody else
MANY: Final = 100
"""Events that a subscriber gets at once, at most."""

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def of_all_types() -> Sequence[MonitorEvent]:
    """Give an event of each type, of each severity, and those that belong to no run."""
    of_runs = [
        observed(event, position=position, workflow_id="w", engine_id=NASTY)
        for position, event in enumerate(events(), start=1)
    ]
    position = len(of_runs)
    announced = [
        MonitorEvent(id=f"{position}.{number}", type=kind, severity=severity, time=NOON, **more)
        for number, (kind, severity, more) in enumerate(_ANNOUNCED, start=1)
    ]
    return [*of_runs, *announced]


_ANNOUNCED: Final[Sequence[tuple[str, Severity, dict[str, Any]]]] = (
    ("engine.joined", Severity.INFO, {"engine_id": "e1"}),
    ("engine.lost", Severity.WARNING, {"engine_id": NASTY, "data": {"reason": NASTY}}),
    ("workflow.registered", Severity.INFO, {"workflow_id": "w", "data": {"version": "1.0.0"}}),
    ("store.blocked", Severity.CRITICAL, {"data": {"nested": [{"n": 2**70}, None, True]}}),
    ("newer.type", Severity.ERROR, {"item": 0, "attempt": 2**63 - 1}),
)


def in_order(count: int, *, first: int = 1) -> Sequence[MonitorEvent]:
    """Give events of one run, the ids of which are numbers from ``first`` on."""
    return [
        observed(
            Event(
                *(RunId("06dndml8000000000000000000"), number, 1, Type.NODE_SUCCEEDED),
                *(NOON + timedelta(seconds=number), f"n{number}"),
            ),
            position=number,
            workflow_id="w",
            engine_id="e1",
        )
        for number in range(first, first + count)
    ]


class SubscriberSuite(ABC):
    """Inherit it, and say how a subscriber is made, and what arrived where it tells of events."""

    @abstractmethod
    def make_subscriber(self) -> Subscriber:
        """Make a subscriber, each time with the same place that it tells."""

    @abstractmethod
    async def told(self) -> Sequence[str]:
        """Give the ids of the events that have arrived there, the oldest first."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Subscriber]:
        """Enter the subscriber as an orchestrator does, if it can be entered."""
        with trio.fail_after(LIMIT):
            async with AsyncExitStack() as stack:
                yield await entered(stack, self.make_subscriber())

    async def test_events_of_all_types_arrive(self) -> None:
        async with self.opened() as subscriber:
            for event in of_all_types():
                await subscriber.handle([event])
        assert list(await self.told()) == [event.id for event in of_all_types()]

    async def test_events_that_come_together_arrive_in_their_order(self) -> None:
        async with self.opened() as subscriber:
            await subscriber.handle(in_order(MANY))
            await subscriber.handle(in_order(1, first=MANY + 1))
            await subscriber.handle(in_order(MANY, first=MANY + 2))
        assert list(await self.told()) == [event.id for event in in_order(2 * MANY + 1)]

    async def test_what_was_told_before_is_still_there_behind_another_start(self) -> None:
        for first in (1, 3):
            async with self.opened() as subscriber:
                await subscriber.handle(in_order(2, first=first))
        assert list(await self.told()) == ["1", "2", "3", "4"]

    async def test_events_stay_as_they_are(self) -> None:
        given = of_all_types()
        before = copy.deepcopy(given)
        async with self.opened() as subscriber:
            await subscriber.handle(given)
        assert given == before

    async def test_nobody_is_held_up_by_it(self) -> None:
        longest, held_up = 0.0, []

        async def watch() -> None:
            nonlocal longest
            while True:
                before = trio.current_time()
                await trio.sleep(0.01)
                longest = max(longest, trio.current_time() - before)

        async with self.opened() as subscriber, trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.sleep(0.02)
            for _ in range(10):
                longest = 0.0
                await subscriber.handle(in_order(MANY))
                await trio.sleep(0.02)
                held_up.append(longest)
            nursery.cancel_scope.cancel()
        assert median(held_up) < AT_ONCE  # a busy machine holds up some of them

    async def test_a_call_that_is_cancelled_returns_soon(self) -> None:
        async with self.opened() as subscriber:
            with trio.move_on_after(0):
                await subscriber.handle(in_order(MANY))

    async def test_it_closes_though_nothing_was_told(self) -> None:
        async with self.opened():
            await trio.lowlevel.checkpoint()

    async def test_what_the_block_raises_comes_out_as_it_is(self) -> None:
        with pytest.raises(LookupError, match="mine"):
            async with self.opened():
                raise LookupError("mine")

    async def test_no_thread_of_it_goes_on_when_it_is_closed(self) -> None:
        before = _threads()
        async with self.opened() as subscriber:
            await subscriber.handle(in_order(MANY))
        assert _threads() <= before


def _threads() -> set[str]:
    """Give the threads that are no workers of trio, which waits for others to be given work."""
    return {thread.name for thread in threading.enumerate() if "Trio" not in thread.name}
