"""Places for attempts."""

from collections import deque

from dagrun.services.engine.execution import Execution


class Slots:
    """Places for attempts, given to the runs that want some by turns.

    Args:
        free: how many attempts may be made at once.
    """

    def __init__(self, free: int) -> None:
        self.free = free
        self._ring: deque[Execution] = deque()
        self._waiting: set[Execution] = set()

    def ask(self, execution: Execution) -> None:
        """Put a run in the ring, unless it is there."""
        if execution not in self._waiting:
            self._waiting.add(execution)
            self._ring.append(execution)

    def next(self) -> Execution | None:
        """Give the run whose turn it is, or None when there is no place or nobody asks."""
        if not self.free or not self._ring:
            return None
        execution = self._ring[0]
        self._ring.rotate(-1)
        return execution

    def drop(self, execution: Execution) -> None:
        """Take a run out of the ring: it has nothing to start."""
        if execution in self._waiting:
            self._waiting.remove(execution)
            self._ring.remove(execution)
