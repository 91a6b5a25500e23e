"""The built-in balancers do what the port says, and take turns."""

from collections import Counter

from dagrun.builtin.balancers import ConsistentHash, LeastLoaded, RoundRobin
from dagrun.plugin.loading import load_plugins
from dagrun.ports.balancer import Candidate, Candidates
from dagrun.testing.balancers import BalancerSuite, engines, introduce


class TestConsistentHash(BalancerSuite):
    def make_balancer(self):
        return ConsistentHash()


class TestConsistentHashWithOnePoint(BalancerSuite):
    def make_balancer(self):
        return ConsistentHash(virtual_nodes=1)


class TestRoundRobin(BalancerSuite):
    def make_balancer(self):
        return RoundRobin()


class TestLeastLoaded(BalancerSuite):
    def make_balancer(self):
        return LeastLoaded()


def test_the_balancers_are_on_their_shelf_with_two_names_for_the_least_loaded():
    shelf = load_plugins().registry.balancers
    assert {"consistent-hash", "round-robin"} <= {entry.name for entry in shelf}
    assert shelf.get("least-loaded") is shelf.get("least-connections")


def test_round_robin_lets_all_candidates_take_turns():
    balancer = RoundRobin()
    candidates = introduce(balancer, engines(3))
    chosen = [balancer.choose("key", candidates) for _ in range(6)]
    assert chosen == ["engine-0", "engine-1", "engine-2"] * 2


def test_round_robin_is_fair_to_an_engine_that_only_some_runs_may_go_to():
    balancer = RoundRobin()
    everywhere = introduce(balancer, engines(3))
    not_all = Candidates(engines(2))
    counts = Counter(
        balancer.choose("key", everywhere if number % 2 else not_all) for number in range(600)
    )
    assert counts == {"engine-0": 225, "engine-1": 225, "engine-2": 150}


def test_round_robin_gives_an_engine_that_was_away_no_more_than_its_turn():
    balancer = RoundRobin()
    candidates = introduce(balancer, engines(3))
    rest = Candidates(engines(2))
    for _ in range(100):
        balancer.choose("key", rest)
    chosen = [balancer.choose("key", candidates) for _ in range(6)]
    assert Counter(chosen) == {"engine-0": 2, "engine-1": 2, "engine-2": 2}


def test_round_robin_forgets_an_engine_that_left():
    balancer = RoundRobin()
    introduce(balancer, engines(3))
    for engine in engines(3):
        balancer.left(engine.engine_id)
    assert not balancer._waiting


def test_least_loaded_looks_at_the_share_of_the_capacity():
    candidates = Candidates(
        [
            Candidate(engine_id="large", capacity=100, active=30),
            Candidate(engine_id="small", capacity=2, active=1),
        ]
    )
    assert LeastLoaded().choose("key", candidates) == "large"


def test_least_loaded_lets_equal_engines_take_turns():
    candidates = Candidates([*engines(3), Candidate(engine_id="busy", capacity=10, active=1)])
    balancer = LeastLoaded()
    chosen = [balancer.choose("key", candidates) for _ in range(6)]
    assert chosen == ["engine-0", "engine-1", "engine-2"] * 2


def test_least_loaded_follows_what_changes():
    candidates = Candidates(engines(2))
    balancer = LeastLoaded()
    assert balancer.choose("key", candidates) == "engine-0"
    candidates.put(Candidate(engine_id="engine-1", capacity=10, active=1))
    assert balancer.choose("key", candidates) == "engine-0"
    candidates.put(Candidate(engine_id="engine-0", capacity=10, active=2))
    assert balancer.choose("key", candidates) == "engine-1"
    candidates.discard("engine-1")
    assert balancer.choose("key", candidates) == "engine-0"
    candidates.put(Candidate(engine_id="new", capacity=10, active=0))
    assert balancer.choose("key", candidates) == "new"
