# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every balancer must do, as tests to inherit, and engines to choose among."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import attrs
import pytest

from dagrun.ports.balancer import Balancer, Candidate, Candidates
from dagrun.testing.limits import within

KEYS = ("", "data-pipeline", "a b/c\0", "ü€😀", "\ud800", "k" * 100_000)


def engines(count: int, *, capacity: int = 10, active: int = 0) -> list[Candidate]:
    """Make engines of one size and load, called ``engine-0``, ``engine-1`` and so on."""
    return [
        Candidate(engine_id=f"engine-{number}", capacity=capacity, active=active)
        for number in range(count)
    ]


def introduce(balancer: Balancer, candidates: Iterable[Candidate]) -> Candidates:
    """Tell a balancer of engines, and give them as its candidates."""
    found = Candidates(candidates)
    for candidate in found:
        balancer.joined(candidate.engine_id)
    return found


def give(candidates: Candidates, engine_id: str) -> None:
    """Let an engine have one run more. It is no candidate any more when it is full."""
    now = candidates.get(engine_id)
    assert now is not None, f"{engine_id!r} is no candidate"
    if now.active + 1 == now.capacity:
        candidates.discard(engine_id)
    else:
        candidates.put(attrs.evolve(now, active=now.active + 1))


class BalancerSuite(ABC):
    """Inherit it, and say how a balancer is made."""

    @pytest.fixture(autouse=True)
    def _limited(self) -> Iterator[None]:
        with within():
            yield

    @abstractmethod
    def make_balancer(self) -> Balancer:
        """Make a balancer that knows no engine."""

    def test_it_chooses_one_of_the_candidates_for_any_key(self) -> None:
        balancer = self.make_balancer()
        candidates = introduce(balancer, engines(5))
        for key in KEYS:
            assert candidates.get(balancer.choose(key, candidates)) is not None

    def test_the_only_candidate_is_chosen_however_many_engines_there_are(self) -> None:
        balancer = self.make_balancer()
        introduce(balancer, engines(200))
        for engine in engines(200):
            assert balancer.choose("key", Candidates([engine])) == engine.engine_id

    def test_every_slot_is_given_before_there_is_no_candidate_left(self) -> None:
        balancer = self.make_balancer()
        sizes = [attrs.evolve(engine, capacity=n + 1) for n, engine in enumerate(engines(7))]
        candidates = introduce(balancer, sizes)
        for number in range(sum(engine.capacity for engine in sizes)):
            give(candidates, balancer.choose(f"key-{number}", candidates))
        assert len(candidates) == 0

    def test_the_candidates_may_change_from_call_to_call(self) -> None:
        balancer = self.make_balancer()
        known = list(introduce(balancer, engines(9)))
        for start in range(9):
            for stop in range(start + 1, 10):
                candidates = Candidates(known[start:stop])
                assert candidates.get(balancer.choose("key", candidates)) is not None

    def test_choosing_changes_no_candidate(self) -> None:
        balancer = self.make_balancer()
        candidates = introduce(balancer, engines(5, active=3))
        for key in KEYS:
            balancer.choose(key, candidates)
        assert list(candidates) == engines(5, active=3)
        assert (candidates.active, candidates.capacity) == (15, 50)

    def test_engines_come_and_go_and_come_back(self) -> None:
        balancer = self.make_balancer()
        candidates = introduce(balancer, engines(3))
        gone, *_ = list(candidates)
        balancer.left(gone.engine_id)
        candidates.discard(gone.engine_id)
        chosen = {balancer.choose(f"key-{number}", candidates) for number in range(30)}
        assert gone.engine_id not in chosen
        balancer.joined(gone.engine_id)
        assert balancer.choose("key", Candidates([gone])) == gone.engine_id

    def test_news_that_are_none_do_no_harm(self) -> None:
        balancer = self.make_balancer()
        balancer.left("never seen")
        candidates = introduce(balancer, engines(2))
        introduce(balancer, engines(2))
        balancer.left("engine-0")
        balancer.left("engine-0")
        candidates.discard("engine-0")
        assert balancer.choose("key", candidates) == "engine-1"

    def test_any_text_may_be_the_id_of_an_engine(self) -> None:
        balancer = self.make_balancer()
        ids = ["", "a b/c\0", "ü€😀", "\ud800", "x" * 10_000]
        candidates = introduce(
            balancer, [Candidate(engine_id=name, capacity=1, active=0) for name in ids]
        )
        given: list[str] = []
        while len(candidates):
            given.append(balancer.choose(f"key-{len(given)}", candidates))
            give(candidates, given[-1])
        assert sorted(given) == sorted(ids)

    def test_it_finds_a_candidate_of_which_it_was_not_told(self) -> None:
        """It should not happen, but a wrong order of news must not end the orchestrator."""
        candidates = Candidates(engines(100))
        assert candidates.get(self.make_balancer().choose("key", candidates)) is not None
