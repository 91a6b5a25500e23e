"""Choose engines, without anything around it, and take the time."""

import random
import statistics
import time
from collections.abc import Iterator

from dagrun.builtin.balancers import ConsistentHash, LeastLoaded, RoundRobin
from dagrun.ports.balancer import Balancer, Candidate, Candidates

CAPACITY = 10
BALANCERS = {
    "consistent-hash": ConsistentHash,
    "round-robin": RoundRobin,
    "least-loaded": LeastLoaded,
}


def choose_seconds(balancer: Balancer, engines: int, *, one_key: bool = False) -> float:
    """Give the median seconds of a choice while runs come and go at random.

    Args:
        balancer: one that knows no engine.
        engines: how many there are; each has ten slots, and half of all slots are taken.
        one_key: whether all runs have the same key.
    """
    candidates = Candidates(_engine(number, 0) for number in range(engines))
    for candidate in candidates:
        balancer.joined(candidate.engine_id)
    steps = _steps(balancer, candidates, engines * CAPACITY // 2, one_key=one_key)
    for _ in range(engines * CAPACITY // 2):
        next(steps)
    return statistics.median(next(steps) for _ in range(4000))


def _steps(
    balancer: Balancer, candidates: Candidates, most: int, *, one_key: bool
) -> Iterator[float]:
    """Place runs, and end one at random for each beyond ``most``; give the seconds of choices."""
    choice, placed = random.Random(1), [0] * len(candidates)
    runs: list[str] = []
    while True:
        key = "key" if one_key else f"key-{choice.random()}"
        start = time.perf_counter()
        chosen = balancer.choose(key, candidates)
        yield time.perf_counter() - start
        runs.append(chosen)
        _change(candidates, placed, chosen, 1)
        if len(runs) > most:
            ended = choice.randrange(len(runs))
            runs[ended], runs[-1] = runs[-1], runs[ended]
            _change(candidates, placed, runs.pop(), -1)


def _change(candidates: Candidates, placed: list[int], engine_id: str, more: int) -> None:
    number = int(engine_id.removeprefix("engine-"))
    placed[number] += more
    if placed[number] == CAPACITY:
        candidates.discard(engine_id)
    else:
        candidates.put(_engine(number, placed[number]))


def _engine(number: int, active: int) -> Candidate:
    return Candidate(engine_id=f"engine-{number}", capacity=CAPACITY, active=active)
