"""The engines, and which of them gets a run."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import attrs

from dagrun.domain.entry import NOTHING, Needs, amount, described
from dagrun.domain.ids import RunId
from dagrun.ports.balancer import Balancer, Candidate, Candidates
from dagrun.ports.engine import EngineLink

KEPT: Final = 100
"""Sets of needs for which the engines are kept that fulfil them."""

NAMED: Final = 3
"""Engines of which it is said why they are not given a run."""


@attrs.define(eq=False)
class Place:
    """An engine and the runs that it has."""

    engine: EngineLink
    runs: dict[RunId, Needs] = attrs.field(factory=dict)
    used: Counter[str] = attrs.field(factory=Counter)
    """Resource → how much of it these runs need."""

    def has_room(self) -> bool:
        """Whether it may be given one more."""
        return self.engine.ready and len(self.runs) < self.engine.capacity

    def has(self, needs: Needs) -> bool:
        """Whether it has the executors and labels that a run needs."""
        offers = self.engine.offers
        if offers is None or needs is NOTHING:
            return True
        return needs.executors <= offers.executors and all(
            offers.labels.get(name) == value for name, value in needs.labels
        )

    def fits(self, needs: Needs) -> bool:
        """Whether it has what a run needs, and enough of it is free."""
        offers = self.engine.offers
        if offers is None or needs is NOTHING:
            return True
        return self.has(needs) and all(
            offers.resources.get(name, 0.0) - self.used[name] >= amount
            for name, amount in needs.resources
        )

    def lacking(self, needs: Needs) -> Needs:
        """Give what of a run's needs it never has, or never enough of."""
        offers = self.engine.offers
        if offers is None:
            return NOTHING
        return Needs(
            executors=needs.executors - offers.executors,
            labels=frozenset(one for one in needs.labels if offers.labels.get(one[0]) != one[1]),
            resources=frozenset(
                one for one in needs.resources if offers.resources.get(one[0], 0.0) < one[1]
            ),
        )

    def obstacle(self, needs: Needs) -> str:
        """Say why it is not given a run now."""
        if (lacking := self.lacking(needs)) != NOTHING:
            return f"{self.engine.name} lacks {described(lacking)}"
        if not self.engine.ready:
            return f"{self.engine.name} takes no runs now"
        if len(self.runs) >= self.engine.capacity:
            return f"{self.engine.name} has as many runs as it may ({self.engine.capacity})"
        wanted = described(Needs(resources=needs.resources))
        return f"{self.engine.name} has too little left beside its runs of {wanted}"

    def take(self, run_id: RunId, needs: Needs) -> None:
        """Note that it has a run."""
        self.runs[run_id] = needs
        self.used.update(dict(needs.resources))

    def give_back(self, run_id: RunId) -> None:
        """Note that it has a run no more."""
        needs = self.runs.pop(run_id, NOTHING)
        self.used.subtract(dict(needs.resources))

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
        self._away: dict[EngineLink, Place] = {}
        """Engines that have runs, and are given none: they were not taken in yet, or removed."""

        self._candidates: dict[Needs, Candidates] = {}
        """What runs may need → the engines that have it, and room."""

    def add(self, engine: EngineLink) -> None:
        """Take an engine in, with the runs that it has. Its name must be new."""
        self._by_name[engine.name] = (
            self._away.pop(engine) if engine in self._away else Place(engine)
        )
        for balancer in self._balancers.values():
            balancer.joined(engine.name)
        self.update(engine)

    def remove(self, engine: EngineLink) -> None:
        """Give an engine no more runs. Nothing happens if it is not there."""
        place = self._place(engine)
        if place is None:
            return
        del self._by_name[engine.name]
        if place.runs:
            self._away[engine] = place
        for balancer in self._balancers.values():
            balancer.left(engine.name)
        for candidates in self._candidates.values():
            candidates.discard(engine.name)

    def update(self, engine: EngineLink) -> None:
        """Look again whether an engine may be given runs."""
        place = self._place(engine)
        if place is not None:
            self._update(place)

    def have_room(self, needs: Needs = NOTHING) -> bool:
        """Whether an engine that has what is needed may be given one more run."""
        return len(self._fitting(needs)) > 0

    def free(self) -> int:
        """Give how many more runs the engines may be given."""
        places = (place for place in self._by_name.values() if place.engine.ready)
        return sum(max(place.engine.capacity - len(place.runs), 0) for place in places)

    def running(self) -> int:
        """Give how many runs the engines have."""
        places = (*self._by_name.values(), *self._away.values())
        return sum(len(place.runs) for place in places)

    def assume(self, engine: EngineLink, run_id: RunId, needs: Needs) -> None:
        """Note that an engine has a run. It may not have been taken in yet."""
        place = self._place(engine)
        if place is None:
            self._away.setdefault(engine, Place(engine)).take(run_id, needs)
        else:
            self.take(place, run_id, needs)

    def take(self, place: Place, run_id: RunId, needs: Needs = NOTHING) -> None:
        """Note that an engine has a run."""
        place.take(run_id, needs)
        self._update(place)

    def give_back(self, engine: EngineLink, run_id: RunId) -> None:
        """Note that an engine has a run no more; it may be gone itself."""
        if (place := self._place(engine)) is not None:
            place.give_back(run_id)
            self._update(place)
        elif (place := self._away.get(engine)) is not None:
            place.give_back(run_id)
            if not place.runs:
                del self._away[engine]

    def choose(self, key: str, balancer: str | None, needs: Needs = NOTHING) -> Place:
        """Choose an engine for one more run. Called only when :meth:`have_room`.

        Args:
            key: what runs that belong together have in common.
            balancer: the name of the one that chooses; None for the default.
            needs: what the run needs.

        Raises:
            LookupError: it chose what is no candidate.
            Exception: it failed.
        """
        candidates = self._fitting(needs)
        if len(candidates) == 1 and len(self._by_name) == 1:
            return self._by_name[candidates[0].engine_id]  # there is nothing to choose
        chosen = self._balancer(balancer).choose(key, candidates)
        if candidates.get(chosen) is None:
            raise LookupError(f"it chose {chosen!r}, which is no candidate")
        return self._by_name[chosen]

    def least_busy(self, needs: Needs = NOTHING) -> Place | None:
        """Give the engine with the fewest runs, whether it has room or not; None without any.

        If some have the executors and labels that are needed, it is one of these.
        """
        ready = [place for place in self._by_name.values() if place.engine.ready]
        able = [place for place in ready if place.has(needs)]
        return min(able or ready, key=lambda place: len(place.runs), default=None)

    def obstacles(self, needs: Needs) -> str:
        """Say why no engine is given a run, the one first that lacks least."""
        if not self._by_name:
            return "none is attached"
        places = sorted(self._by_name.values(), key=lambda place: amount(place.lacking(needs)))
        more = f"; and {len(places) - NAMED} more" if len(places) > NAMED else ""
        return "; ".join(place.obstacle(needs) for place in places[:NAMED]) + more

    def _place(self, engine: EngineLink) -> Place | None:
        """Give the place of an engine, but not that of another one of its name."""
        place = self._by_name.get(engine.name)
        return place if place is not None and place.engine is engine else None

    def _fitting(self, needs: Needs) -> Candidates:
        candidates = self._candidates.get(needs)
        if candidates is None:
            if len(self._candidates) >= KEPT:
                self._candidates.clear()
            candidates = self._candidates[needs] = Candidates(
                place.candidate()
                for place in self._by_name.values()
                if place.has_room() and place.fits(needs)
            )
        return candidates

    def _update(self, place: Place) -> None:
        has_room = place.has_room()
        for needs, candidates in self._candidates.items():
            if has_room and place.fits(needs):
                candidates.put(place.candidate())
            else:
                candidates.discard(place.engine.name)

    def _balancer(self, name: str | None) -> Balancer:
        """Give a balancer, the same each time, that knows all engines."""
        if name not in self._balancers:
            balancer = self._balancers[name] = self._make_balancer(name)
            for engine in self._by_name:
                balancer.joined(engine)
        return self._balancers[name]
