"""Time that passes only while all tasks wait, and then at once."""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final

import trio


class Timer:
    """Something that is to be done at a time."""

    def __init__(self, due: float, number: int, act: Callable[[], object]) -> None:
        self.due = due
        self._number = number
        self._act: Callable[[], object] | None = act

    @property
    def cancelled(self) -> bool:
        """Whether it is not to be done any more."""
        return self._act is None

    def do(self) -> None:
        """Do it, unless it was cancelled."""
        if self._act is not None:
            self._act()

    def cancel(self) -> None:
        """Do not do it. Later than its time, this changes nothing."""
        self._act = None

    def __lt__(self, other: "Timer") -> bool:
        """Whether it comes first; what was set first comes first among equals."""
        return (self.due, self._number) < (other.due, other._number)


class VirtualClock(trio.abc.Clock):
    """A clock that stands still while anything runs, and jumps to what happens next.

    It does so when trio asks how long to wait, which costs less than a ``MockClock``: that one
    turns the loop once more for each jump. Its own timers need no cancel scope, and take a fifth of
    the time of ``trio.sleep``: they are for what is simulated, such as disks and networks.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[Timer] = []
        self._numbers: Final = count()

    def start_clock(self) -> None:
        """Do nothing: it begins at 0."""

    def current_time(self) -> float:
        """Give the seconds since the beginning."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Let the time pass until the deadline or the next timer. Give the seconds to wait: none."""
        due = min(deadline, self._next())
        if due == math.inf:
            return due
        self._now = max(self._now, due)
        while self._next() <= self._now:
            heappop(self._timers).do()
        return 0.0

    def _next(self) -> float:
        """Give when the next timer is due."""
        while self._timers and self._timers[0].cancelled:
            heappop(self._timers)
        return self._timers[0].due if self._timers else math.inf

    def call_at(self, due: float, act: Callable[[], object]) -> Timer:
        """Call something at a time, outside of all tasks. It may wake tasks."""
        timer = Timer(due, next(self._numbers), act)
        heappush(self._timers, timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        task = trio.lowlevel.current_task()
        timer = self.call_at(self._now + seconds, lambda: trio.lowlevel.reschedule(task))

        def abort(_: object) -> trio.lowlevel.Abort:
            timer.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
