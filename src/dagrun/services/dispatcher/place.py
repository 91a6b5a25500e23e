"""One engine, and what it has to give."""

from collections import defaultdict
from decimal import Decimal
from functools import lru_cache
from typing import Final

import attrs

from dagrun.domain.entry import NOTHING, Needs, amount, described
from dagrun.domain.ids import RunId
from dagrun.ports.balancer import Candidate, Candidates
from dagrun.ports.engine import EngineLink

BESIDES: Final = 100
"""Runs that only end which an engine may have beside its capacity."""


@attrs.define(eq=False)
class Place:
    """An engine and the runs that it has."""

    engine: EngineLink
    runs: dict[RunId, Needs] = attrs.field(factory=dict)
    used: dict[str, Decimal] = attrs.field(factory=lambda: defaultdict(Decimal))
    """Resource → how much of it these runs need."""

    suits: dict[Needs, Candidates] = attrs.field(factory=dict)
    """What runs may need and it has → the candidates for these, among which it is if it has room."""

    seen: object = attrs.field(factory=object)
    """What the engine offered when :attr:`suits` was found."""

    def has_room(self) -> bool:
        """Whether it may be given one more."""
        return self.engine.ready and len(self.runs) < self.engine.capacity

    def may_see_to_one_more(self) -> bool:
        """Whether it may be given a run that only ends, be it full."""
        return self.engine.ready and len(self.runs) < self.engine.capacity + BESIDES

    def has(self, needs: Needs) -> bool:
        """Whether it has the executors and labels that a run needs."""
        offers = self.engine.offers
        if offers is None or needs is NOTHING:
            return True
        return needs.executors <= offers.executors and all(
            offers.labels.get(name) == value for name, value in needs.labels
        )

    def has_enough(self, needs: Needs) -> bool:
        """Whether enough is free of the resources that a run needs."""
        return not self._scarce(needs)

    def _scarce(self, needs: Needs) -> frozenset[tuple[str, float]]:
        """Give those of the resources that a run needs of which not enough is free."""
        offers = self.engine.offers
        if offers is None:
            return frozenset()
        return frozenset(
            (name, wanted)
            for name, wanted in needs.resources
            if _exactly(offers.resources.get(name, 0.0)) - self.used[name] < _exactly(wanted)
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

    def hindrance(self, needs: Needs) -> str | None:
        """Say behind its name why it is not given a run; None if it may be."""
        if amount(lacking := self.lacking(needs)):
            return f"lacks {described(lacking)}"
        if not self.engine.ready:
            return self.engine.unready
        if not self.has_room():
            return f"has {len(self.runs)} of {self.engine.capacity} runs"
        if scarce := self._scarce(needs):
            return f"has too little free of {described(Needs(resources=scarce))}"
        return None

    def take(self, run_id: RunId, needs: Needs) -> None:
        """Note that it has a run."""
        self.runs[run_id] = needs
        for name, wanted in needs.resources:
            self.used[name] += _exactly(wanted)

    def give_back(self, run_id: RunId) -> None:
        """Note that it has a run no more."""
        needs = self.runs.pop(run_id, NOTHING)
        for name, wanted in needs.resources:
            self.used[name] -= _exactly(wanted)

    def candidate(self) -> Candidate:
        """Give what balancers know of it."""
        return Candidate(
            engine_id=self.engine.name, capacity=self.engine.capacity, active=len(self.runs)
        )


@lru_cache(maxsize=1024)
def _exactly(amount: float) -> Decimal:
    """Give an amount as it was written.

    Three times 0.4 is 1.2 then, and what was taken and given back leaves nothing behind.
    """
    return Decimal(repr(float(amount)))
