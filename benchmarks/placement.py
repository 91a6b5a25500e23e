"""Choose engines and order the queue, without anything around it, and take the time."""

import random
import statistics
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from dagrun.builtin.balancers import ConsistentHash, LeastLoaded, RoundRobin
from dagrun.domain.ids import RunId
from dagrun.domain.queue import Entry, Queue
from dagrun.ports.balancer import Balancer, Candidate, Candidates

CAPACITY = 10
BALANCERS = {
    "consistent-hash": ConsistentHash,
    "round-robin": RoundRobin,
    "least-loaded": LeastLoaded,
}
QUEUED = 100_000
SHAPES: dict[str, Callable[[int], dict[str, Any]]] = {
    "10 workflows": lambda number: {"workflow_id": f"workflow-{number % 10}"},
    "as many workflows": lambda number: {"workflow_id": f"workflow-{number}"},
    "as many keys": lambda number: {"workflow_id": "workflow", "key": f"key-{number}"},
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


def queue_seconds(shape: str, steps: int = 5000) -> float:
    """Give the mean seconds that a run costs from ``push`` to ``ended`` while many wait.

    Each step takes one run out, and ends and pushes another one.
    """
    queue, going = _queue(shape), deque[RunId]()
    start = time.perf_counter()
    for number in range(QUEUED, QUEUED + steps):
        chosen = queue.next(lambda _: True)
        going.append(chosen.run_id)
        if len(going) > 100:
            queue.ended(going.popleft())
        queue.push(_entry(number, shape))
    return (time.perf_counter() - start) / steps


def queue_bytes(shape: str) -> float:
    """Give the bytes that a waiting run takes, its entry and its ids included."""
    tracemalloc.start()
    queue = _queue(shape)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / len(queue)


def _queue(shape: str) -> Queue:
    queue = Queue()
    for number in range(QUEUED):
        queue.push(_entry(number, shape))
    return queue


def _entry(number: int, shape: str) -> Entry:
    return Entry(run_id=RunId(f"{number:026}"), **SHAPES[shape](number))
