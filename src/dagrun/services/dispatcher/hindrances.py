"""What keeps engines from being given a run, in words."""

from collections.abc import Iterable
from typing import Final

from dagrun.domain.entry import Needs, amount
from dagrun.ports.engine import IS_DRAINING
from dagrun.services.dispatcher.place import Place

NAMED: Final = 5
"""Engines of which it is said what is with them."""


def hindrances(places: Iterable[Place], needs: Needs) -> str:
    """Say of each engine why it is not given a run, and how one takes runs again that drains.

    Those that lack least of what the run needs come first, and of these the ones that drain.
    """
    found = sorted(
        (amount(place.lacking(needs)), why != IS_DRAINING, place.engine.name, why)
        for place in places
        if (why := place.hindrance(needs) or "is about to take runs")
    )
    told = [f"{name} {why}" for _, _, name, why in found[:NAMED]]
    if len(found) > NAMED:
        told.append(f"and {len(found) - NAMED} more")
    told += [
        f"let {name} take runs again with: dagrun engines undrain {name}"
        for _, _, name, why in found[:1]
        if why == IS_DRAINING
    ]
    return "; ".join(told) or "none is attached"
