"""Runs that come and go, remembered so that their journals need not happen again each time."""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState

T = TypeVar("T")

MOST: Final = 100_000
"""Events of all runs that are remembered, together; a state needs some 150 bytes for each."""

LEAST: Final = 1000
"""As so many events a run counts that has fewer, so that there are not too many runs."""

MOST_BYTES: Final = 1024 * 1024
"""Bytes of inputs and outputs up to which a run is remembered."""


class Remembered(Generic[T]):
    """What is known of the runs that were here last, up to a bound.

    Args:
        most: events of all of them together.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[RunId, tuple[T, int]] = OrderedDict()
        self._cost = 0

    def __len__(self) -> int:
        return len(self._known)

    def put(self, run_id: RunId, what: T, events: int) -> None:
        """Remember something of a run with so many events, and forget the oldest for it."""
        self.take(run_id)
        cost = max(events, LEAST)
        self._known[run_id] = what, cost
        self._cost += cost
        while self._cost > self._most:
            _, (_, gone) = self._known.popitem(last=False)
            self._cost -= gone

    def take(self, run_id: RunId) -> T | None:
        """Give what is known of a run, and remember it no more; None if nothing is."""
        if run_id not in self._known:
            return None
        what, cost = self._known.pop(run_id)
        self._cost -= cost
        return what


def is_small(state: RunState) -> bool:
    """Whether a run has no more inputs and outputs than one that is remembered may have."""
    return state.output_bytes + len(bytes(state.inputs)) <= MOST_BYTES
