"""The engines that a run may be given to, kept so that choosing costs little among many of them."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

import attrs


@attrs.frozen(kw_only=True)
class Candidate:
    """An engine that may be given one more run."""

    engine_id: str
    capacity: int
    """Most runs at once; at least 1."""

    active: int
    """Runs that it has now; fewer than ``capacity``."""

    @property
    def load(self) -> float:
        """The share of its capacity that is taken, from 0 to 1."""
        return self.active / self.capacity


class Candidates:
    """Candidates in the order of their engine ids, and what is asked of all of them together.

    Whoever places runs keeps one such object for each set of requirements, and changes it as the
    engines change. Making one takes time in proportion to the candidates; a change, and all that
    a balancer asks, does not.
    """

    def __init__(self, candidates: Iterable[Candidate] = ()) -> None:
        self._by_id: dict[str, Candidate] = {}
        self._ids: list[str] = []
        self._loads: _Loads | None = None
        self.active = 0
        """Runs of all candidates."""

        self.capacity = 0
        """Most runs at once of all candidates."""

        self.get: Callable[[str], Candidate | None] = self._by_id.get
        """Give the candidate of an engine id, or None if the engine is none."""

        for candidate in candidates:
            self.put(candidate)

    def put(self, candidate: Candidate) -> None:
        """Add a candidate, or replace the one of the same engine."""
        known = self._by_id.get(candidate.engine_id)
        if known is None:
            insort(self._ids, candidate.engine_id)
        else:
            self._forget(known)
        self._by_id[candidate.engine_id] = candidate
        self.active += candidate.active
        self.capacity += candidate.capacity
        if self._loads is not None:
            self._loads.add(candidate)

    def discard(self, engine_id: str) -> None:
        """Take an engine out. No error if it is no candidate."""
        known = self._by_id.pop(engine_id, None)
        if known is not None:
            del self._ids[bisect_left(self._ids, engine_id)]
            self._forget(known)

    def least_loaded(self) -> str:
        """Give the engine with the smallest share of its capacity taken.

        Engines with the same share take turns, from call to call.
        """
        if self._loads is None:
            self._loads = _Loads(self)
        return self._loads.take_turn()

    def _forget(self, known: Candidate) -> None:
        self.active -= known.active
        self.capacity -= known.capacity
        if self._loads is not None:
            self._loads.discard(known)

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Candidate]:
        return map(self._by_id.__getitem__, self._ids)

    def __getitem__(self, index: int) -> Candidate:
        return self._by_id[self._ids[index]]


class _Loads:
    """Engine ids by load."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._order: list[float] = []
        self._ids: dict[float, OrderedDict[str, None]] = {}
        for candidate in candidates:
            self.add(candidate)

    def add(self, candidate: Candidate) -> None:
        load = candidate.load
        if load not in self._ids:
            self._ids[load] = OrderedDict()
            insort(self._order, load)
        self._ids[load][candidate.engine_id] = None

    def discard(self, candidate: Candidate) -> None:
        load = candidate.load
        ids = self._ids[load]
        del ids[candidate.engine_id]
        if not ids:
            del self._ids[load], self._order[bisect_left(self._order, load)]

    def take_turn(self) -> str:
        ids = self._ids[self._order[0]]
        engine_id = next(iter(ids))
        ids.move_to_end(engine_id)
        return engine_id
