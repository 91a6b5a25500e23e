"""The balancers that come with the core."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import ClassVar, Final

from dagrun.domain.ring import Ring
from dagrun.ports.balancer import Balancer, Candidate, Candidates

VIRTUAL_NODES: Final = 150

JUMPS: Final = 32
"""How many engines of a key's order are looked at, engines that are no candidates among them."""

CROWD: Final = 8
"""How many of them may be candidates that have their share already."""

FEW: Final = 64
"""How many candidates may be looked at one by one, when that finds none."""

OVERLOAD: Final = (5, 4)
"""How much of the mean load, as a fraction, an engine may have."""


class ConsistentHash(Balancer):
    """Sends runs of one key to the same engine, as long as it has no more than its share.

    With one run more than there are now, an engine may have ``⌈1.25 × runs × capacity / capacity of
    all⌉`` of them, where all means all candidates. Beyond that the key goes to its next engine
    (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2016; there,
    capacities are equal). A key whose first eight engines have their share goes to one of the others,
    among many to the least loaded.

    Args:
        virtual_nodes: points of an engine on the ring, at least 1. More make the shares of the
            engines more even, and take memory: 16 bytes each.

    Raises:
        ValueError: fewer than one virtual node.
    """

    settings: ClassVar[Mapping[str, str]] = {"virtual_nodes": "load_balancer_nodes"}

    def __init__(self, *, virtual_nodes: int = VIRTUAL_NODES) -> None:
        if virtual_nodes < 1:
            raise ValueError(f"at least one virtual node is needed, not {virtual_nodes}")
        self._ring = Ring(virtual_nodes)

    def joined(self, engine_id: str) -> None:
        """Put the engine's points on the ring; the others stay where they are."""
        self._ring.add(engine_id)

    def left(self, engine_id: str) -> None:
        """Take the engine's points off the ring."""
        self._ring.remove(engine_id)

    def choose(self, key: str, candidates: Candidates) -> str:
        """Give the first engine of the key's order that is a candidate below its bound."""
        below = _bound(candidates)
        chosen = next(filter(below, self._first(key, candidates)), None)
        if chosen is not None:
            return chosen.engine_id
        if len(candidates) > FEW:
            return candidates.least_loaded()
        return self._ring.closest(key, (c.engine_id for c in candidates if below(c)))

    def _first(self, key: str, candidates: Candidates) -> Iterable[Candidate]:
        """Give the first candidates of the key's order, unless they would be hard to find."""
        if len(candidates) * JUMPS < len(self._ring):
            return ()
        engines = islice(self._ring.preferences(key), JUMPS)
        return islice(filter(None, map(candidates.get, engines)), CROWD)


def _bound(candidates: Candidates) -> Callable[[Candidate], bool]:
    """Give what says whether a candidate may have one more run.

    One with the smallest share of its capacity taken always may.
    """
    more, per = OVERLOAD
    most, capacity = more * (candidates.active + 1), per * candidates.capacity
    return lambda candidate: candidate.active * capacity < most * candidate.capacity


class RoundRobin(Balancer):
    """Gives the next run to the candidate that has waited longest for one.

    With unchanging candidates they simply take turns. Going on behind the one that was chosen last
    would be unfair when runs have different candidates: of two that may be given every run and one
    that may be given every second run, the last might never be chosen.
    """

    uses_key: ClassVar[bool] = False

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, None] = OrderedDict()

    def joined(self, engine_id: str) -> None:
        """Queue the engine behind the others."""
        self._waiting.setdefault(engine_id)

    def left(self, engine_id: str) -> None:
        """Forget the engine."""
        self._waiting.pop(engine_id, None)

    def choose(self, key: str, candidates: Candidates) -> str:
        """Give the candidate that has waited longest, and queue it behind the others."""
        engine_id = next(filter(candidates.get, self._waiting), None)
        if engine_id is None:
            return candidates[0].engine_id
        self._waiting.move_to_end(engine_id)
        return engine_id


class LeastLoaded(Balancer):
    """Gives the next run to the candidate with the smallest share of its capacity taken."""

    uses_key: ClassVar[bool] = False

    def choose(self, key: str, candidates: Candidates) -> str:
        """Give the least loaded candidate; those that are equal take turns."""
        return candidates.least_loaded()
