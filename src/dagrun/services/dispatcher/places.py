"""The engines, and which of them gets a run."""

from collections.abc import Callable
from typing import Final

from dagrun.domain.entry import NOTHING, Needs
from dagrun.domain.ids import RunId
from dagrun.ports.balancer import Balancer, Candidates
from dagrun.ports.engine import EngineLink
from dagrun.services.dispatcher.balancing import Balancers
from dagrun.services.dispatcher.hindrances import hindrances
from dagrun.services.dispatcher.place import Place

KEPT: Final = 10_000
"""Sets of needs for which the engines are kept that fulfil them."""


class Places:
    """All engines.

    Args:
        make_balancer: makes the balancer of a name, or the default one for None.
    """

    def __init__(self, make_balancer: Callable[[str | None], Balancer]) -> None:
        self._balancers = Balancers(make_balancer)
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
        self._balancers.joined(engine.name)
        self.update(engine)

    def remove(self, engine: EngineLink) -> None:
        """Give an engine no more runs. Nothing happens if it is not there."""
        place = self._place(engine)
        if place is None:
            return
        del self._by_name[engine.name]
        if place.runs:
            self._away[engine] = place
        self._balancers.left(engine.name)
        _leave_out(place)

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
        """
        candidates = self._fitting(needs)
        if len(candidates) == 1 and len(self._by_name) == 1:
            return self._by_name[candidates[0].engine_id]  # there is nothing to choose
        return self._by_name[self._balancers.choose(balancer, key, candidates)]

    def least_busy(self, needs: Needs = NOTHING) -> Place | None:
        """Give the engine with the fewest runs, whether it has room or not; None without any.

        It has the executors that are needed; if some have the labels, too, it is one of these. One
        that has many more runs than room for them is none.
        """
        ready = [place for place in self._by_name.values() if place.may_see_to_one_more()]
        able = [place for place in ready if place.has(needs)]
        if not able:
            usable = Needs(executors=needs.executors)
            able = [place for place in ready if place.has(usable)]
        return min(able, key=lambda place: len(place.runs), default=None)

    def hindrances(self, needs: Needs) -> str:
        """Say what keeps each engine from being given a run, the nearest first."""
        return hindrances(self._by_name.values(), needs)

    def _place(self, engine: EngineLink) -> Place | None:
        """Give the place of an engine, but not that of another one of its name."""
        place = self._by_name.get(engine.name)
        return place if place is not None and place.engine is engine else None

    def _fitting(self, needs: Needs) -> Candidates:
        candidates = self._candidates.get(needs)
        if candidates is None:
            if len(self._candidates) >= KEPT:
                self._forget_needs()
            candidates = self._candidates[needs] = Candidates()
            for place in self._by_name.values():
                if place.has(needs):
                    place.suits[needs] = candidates
                    _enter(place, needs, candidates)
        return candidates

    def _forget_needs(self) -> None:
        """Look anew which engines fulfil which needs, when there are too many."""
        self._candidates.clear()
        for place in self._by_name.values():
            place.suits.clear()

    def _update(self, place: Place) -> None:
        if place.seen is not place.engine.offers:
            _leave_out(place)
            place.suits = {n: among for n, among in self._candidates.items() if place.has(n)}
            place.seen = place.engine.offers
        for needs, candidates in place.suits.items():
            _enter(place, needs, candidates)


def _enter(place: Place, needs: Needs, candidates: Candidates) -> None:
    """Have an engine that a run suits among its candidates, as long as it has room."""
    if place.has_room() and place.has_enough(needs):
        candidates.put(place.candidate())
    else:
        candidates.discard(place.engine.name)


def _leave_out(place: Place) -> None:
    """Have an engine among the candidates for no run."""
    for candidates in place.suits.values():
        candidates.discard(place.engine.name)
    place.suits, place.seen = {}, object()
