"""The engines, and which of them gets a run."""

from collections.abc import Callable

import attrs

from dagrun.domain.ids import RunId
from dagrun.ports.balancer import Balancer, Candidate, Candidates
from dagrun.ports.engine import EngineLink


@attrs.define(eq=False)
class Place:
    """An engine and the runs that it has."""

    engine: EngineLink
    runs: set[RunId] = attrs.field(factory=set)

    def has_room(self) -> bool:
        """Whether it may be given one more."""
        return len(self.runs) < self.engine.capacity

    def candidate(self) -> Candidate:
        """Give what balancers know of it."""
        return Candidate(
            engine_id=self.engine.name, capacity=self.engine.capacity, active=len(self.runs)
        )


class Places:
    """All engines.

    Args:
        make_balancer: makes the balancer of a name, or the default one for None.
    """

    def __init__(self, make_balancer: Callable[[str | None], Balancer]) -> None:
        self._make_balancer = make_balancer
        self._balancers: dict[str | None, Balancer] = {}
        self._by_name: dict[str, Place] = {}
        self._candidates = Candidates()
        self._only: Place | None = None
        """The engine, while there is just one: then there is nothing to choose."""

    def add(self, engine: EngineLink) -> None:
        """Take an engine in. Its name must be new."""
        place = self._by_name[engine.name] = Place(engine)
        self._only = place if len(self._by_name) == 1 else None
        for balancer in self._balancers.values():
            balancer.joined(engine.name)
        for known in self._by_name.values():
            self._update(known)

    def have_room(self) -> bool:
        """Whether any engine may be given one more run."""
        return len(self._candidates) > 0 if self._only is None else self._only.has_room()

    def free(self) -> int:
        """Give how many more runs the engines may be given."""
        return sum(
            max(place.engine.capacity - len(place.runs), 0) for place in self._by_name.values()
        )

    def running(self) -> int:
        """Give how many runs the engines have."""
        return sum(len(place.runs) for place in self._by_name.values())

    def take(self, place: Place, run_id: RunId) -> None:
        """Note that an engine has a run."""
        place.runs.add(run_id)
        self._update(place)

    def give_back(self, engine: EngineLink, run_id: RunId) -> None:
        """Note that an engine has a run no more."""
        place = self._by_name[engine.name]
        place.runs.discard(run_id)
        self._update(place)

    def choose(self, key: str, balancer: str | None) -> Place:
        """Choose an engine for one more run. Called only when :meth:`have_room`.

        Args:
            key: what runs that belong together have in common.
            balancer: the name of the one that chooses; None for the default.

        Raises:
            LookupError: it chose what is no candidate.
            Exception: it failed.
        """
        if self._only is not None:
            return self._only
        chosen = self._balancer(balancer).choose(key, self._candidates)
        if self._candidates.get(chosen) is None:
            raise LookupError(f"it chose {chosen!r}, which is no candidate")
        return self._by_name[chosen]

    def least_busy(self) -> Place:
        """Give the engine with the fewest runs, whether it has room or not."""
        return min(self._by_name.values(), key=lambda place: len(place.runs))

    def describe(self) -> str:
        """Say how many runs each engine has."""
        return ", ".join(f"{name} {len(place.runs)}" for name, place in self._by_name.items())

    def _update(self, place: Place) -> None:
        if self._only is not None:
            return
        if place.has_room():
            self._candidates.put(place.candidate())
        else:
            self._candidates.discard(place.engine.name)

    def _balancer(self, name: str | None) -> Balancer:
        """Give a balancer, the same each time, that knows all engines."""
        if name not in self._balancers:
            balancer = self._balancers[name] = self._make_balancer(name)
            for engine in self._by_name:
                balancer.joined(engine)
        return self._balancers[name]
