"""Scripts made from a seed, the same ones each time."""

import random

from dagrun.testing.simulation.faults import ActionKind, Ask, Fault, FaultKind, Script

LAST_RUN = 4.0  # seconds after which no run is submitted
LAST_FAULT = 6.0  # seconds after which no fault begins
LONGEST = 8.0  # seconds that a fault lasts, at most
KINDS = (*FaultKind, *[FaultKind.KILL, FaultKind.FREEZE] * 2)
"""What faults are drawn from: of some, the moment matters most, so they come more often."""


def random_script(seed: int) -> Script:
    """Make a script of few runs and few faults."""
    draw = random.Random(seed)  # noqa: S311 — to be repeated
    return Script(
        seed=seed,
        engines=draw.randint(1, 3),
        capacity=draw.randint(1, 3),
        runs=tuple(_ask(draw) for _ in range(draw.randint(1, 4))),
        faults=tuple(_fault(draw) for _ in range(draw.randint(0, 4))),
    )


def _ask(draw: random.Random) -> Ask:
    return Ask(
        at=round(draw.uniform(0, LAST_RUN), 3),
        workflow=draw.randrange(1000),
        action=draw.choice([None, None, *ActionKind]),
        after=round(draw.uniform(0, 3), 3),
    )


def _fault(draw: random.Random) -> Fault:
    """Make a fault that is over at once, or lasts for longer than a lease may."""
    seconds = draw.choice([draw.uniform(0, 1), draw.uniform(1, LONGEST)])
    return Fault(
        at=round(draw.uniform(0, LAST_FAULT), 3),
        kind=draw.choice(KINDS),
        target=draw.randint(-1, 2),
        seconds=round(seconds, 3),
    )
