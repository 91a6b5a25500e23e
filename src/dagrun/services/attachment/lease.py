"""An engine's right to its runs, which ends by itself when the orchestrator is not heard."""

import math
import time
from collections.abc import Callable
from typing import Final

BEATS: Final = 10
"""Heartbeats in a lease: what one of them was early is missing when an orchestrator is away."""

FRESH: Final = 0.5
"""Share of a lease after which an answer is late."""

FENCE: Final = 0.8
"""Share of a lease after which an engine starts nothing more, and kills what runs."""

DEAD: Final = 0.9
"""Share of a lease after which nothing of the engine's runs lives, even if the engine hangs."""


def boot_time() -> float:
    """Give the seconds since the machine was started, those counted in which it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Counts from the moment at which the last heartbeat was sent that was answered.

    What has not been attached yet has no lease that could end.

    Args:
        clock: seconds that also pass while the machine is suspended.
    """

    def __init__(self, clock: Callable[[], float] = boot_time) -> None:
        self._clock = clock
        self._length = math.inf
        self._renewed = 0.0
        self._sent: dict[int, float] = {}
        self._number = 0

    @property
    def interval(self) -> float:
        """Seconds between heartbeats."""
        return self._length / BEATS

    def now(self) -> float:
        """Give the time by the lease's clock."""
        return self._clock()

    def begin(self, length: float, since: float) -> None:
        """Begin a lease: the orchestrator answered what was sent at ``since``."""
        self._length, self._renewed = length, since
        self._sent.clear()

    def beat(self) -> int:
        """Give the number of the heartbeat that is sent now."""
        self._number += 1
        self._sent[self._number] = self._clock()
        return self._number

    def answered(self, number: int) -> None:
        """Renew the lease: a heartbeat was answered. Unknown ones change nothing."""
        sent = self._sent.get(number)
        if sent is not None:
            self._renewed = max(self._renewed, sent)
            self._sent = {other: at for other, at in self._sent.items() if other > number}

    def fenced(self) -> bool:
        """Whether so much of it has passed that nothing may be done under it any more."""
        return self.left() <= 0

    def fresh(self) -> bool:
        """Whether the orchestrator has answered as soon as it may be expected to."""
        return self._clock() - self._renewed < FRESH * self._length

    def left(self) -> float:
        """Give the seconds until it is :meth:`fenced`."""
        return self._renewed + FENCE * self._length - self._clock()

    def dead_at(self) -> float:
        """Give when all must be dead that was done under it, by its clock."""
        return self._renewed + DEAD * self._length
