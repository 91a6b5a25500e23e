"""A heap whose items may move, and leave from anywhere."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Final, Generic, TypeVar

_SLACK: Final = 8
"""Outdated places that a heap may hold beside as many as there are items."""


class Ranked:
    """What can stand in a ranking; in one at a time."""

    __slots__ = ("place",)

    def __init__(self) -> None:
        self.place: tuple[Any, ...] | None = None
        """Where it stands: the smaller, the earlier; None when it stands nowhere."""

    def __lt__(self, other: object) -> bool:
        # Asked about two items with equal places, of which at most one is not outdated.
        return False


T = TypeVar("T", bound=Ranked)


class Ranking(Ranked, Generic[T]):
    """Items in the order of their places. Two items that are in it never have equal places.

    To move an item, or take it out, leaves its former place behind in the heap, to be dropped when
    it comes up. So every change costs time in proportion to the logarithm of the items.
    """

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[tuple[Any, ...], T]] = []
        self._count = 0

    def put(self, item: T, place: tuple[Any, ...]) -> None:
        """Add an item, or move it."""
        if item.place == place:
            return
        if item.place is None:
            self._count += 1
        item.place = place
        heappush(self._heap, (place, item))
        if len(self._heap) > 2 * self._count + _SLACK:
            self._heap = [(now, item) for item in self if (now := item.place) is not None]
            heapify(self._heap)

    def discard(self, item: T) -> None:
        """Take an item out. No error if it stands nowhere."""
        if item.place is not None:
            item.place = None
            self._count -= 1

    def first(self) -> T | None:
        """Give the item with the smallest place."""
        heap = self._heap
        while heap:
            place, item = heap[0]
            if item.place is place:
                return item
            heappop(heap)
        return None

    def __iter__(self) -> Iterator[T]:
        """Give the items in no order."""
        return iter({item: None for place, item in self._heap if item.place is place})

    def __len__(self) -> int:
        return self._count
