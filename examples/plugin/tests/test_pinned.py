from dagrun.ports.balancer import Candidates
from dagrun.testing.balancers import BalancerSuite, engines, give, introduce
from dagrun_example import pinned
from dagrun_example.pinned import Pinned


class TestPinned(BalancerSuite):
    def make_balancer(self):
        return Pinned()


def test_a_key_stays_with_its_engine_and_new_keys_are_spread():
    balancer = Pinned()
    candidates = introduce(balancer, engines(3))
    chosen = [balancer.choose(key, candidates) for key in "abcabc"]
    assert chosen == ["engine-0", "engine-1", "engine-2"] * 2


def test_a_run_goes_elsewhere_only_while_the_engine_of_its_key_is_full():
    balancer = Pinned()
    candidates = introduce(balancer, engines(2, capacity=1))
    give(candidates, balancer.choose("a", candidates))
    assert balancer.choose("a", candidates) == "engine-1"
    assert balancer.choose("a", Candidates(engines(2))) == "engine-0"


def test_the_keys_of_an_engine_that_left_stay_with_others():
    balancer = Pinned()
    candidates = introduce(balancer, engines(2))
    assert balancer.choose("a", candidates) == "engine-0"
    balancer.left("engine-0")
    candidates.discard("engine-0")
    assert balancer.choose("a", candidates) == "engine-1"
    assert balancer.choose("a", introduce(balancer, engines(2))) == "engine-1"


def test_keys_that_are_not_asked_for_are_forgotten(monkeypatch):
    monkeypatch.setattr(pinned, "MOST_KEYS", 2)
    balancer = Pinned()
    candidates = introduce(balancer, engines(5))
    chosen = [balancer.choose(key, candidates) for key in "abacab"]
    assert chosen == [f"engine-{number}" for number in (0, 1, 0, 2, 0, 3)]
