"""The default balancer: keys keep their engines, and no engine gets much more than its share."""

import statistics
from collections import Counter
from itertools import permutations

import attrs
import pytest

from dagrun.builtin.balancers import ConsistentHash
from dagrun.domain.ring import Ring
from dagrun.ports.balancer import Candidates
from dagrun.testing.balancers import engines, give, introduce

KEYS = [f"key-{number}" for number in range(100_000)]


def placed(balancer, candidates, keys=KEYS, *, load=False):
    """Give the engine of each key; with ``load`` each key is a run that stays."""
    found = []
    for key in keys:
        found.append(balancer.choose(key, candidates))
        if load:
            give(candidates, found[-1])
    return found


def moved(before, after):
    return sum(a != b for a, b in zip(before, after, strict=True)) / len(before)


def hashed(count=10, *, without=None, capacity=1_000_000):
    balancer = ConsistentHash()
    given = [e for e in engines(count, capacity=capacity) if e.engine_id != without]
    return balancer, introduce(balancer, given)


def test_a_hundred_thousand_keys_fill_no_engine_of_ten_beyond_five_quarters_of_the_mean():
    for load in (False, True):
        counts = Counter(placed(*hashed(), load=load))
        assert len(counts) == 10
        assert max(counts.values()) <= 1.25 * 10_000


def test_the_shares_of_a_hundred_engines_differ_by_a_few_percent():
    counts = Counter(placed(*hashed(100), KEYS[:50_000]))
    assert len(counts) == 100
    assert statistics.pstdev(counts.values()) <= 0.055 * 500  # 4.5 % of them come from the sample


def test_an_engine_that_leaves_moves_its_own_keys_only_and_they_are_about_a_tenth():
    keys = KEYS[:10_000]
    balancer, candidates = hashed()
    before = placed(balancer, candidates, keys)
    for engine in list(candidates):
        gone = engine.engine_id
        balancer.left(gone)
        candidates.discard(gone)
        after = placed(balancer, candidates, keys)
        assert all(a == b for a, b in zip(before, after, strict=True) if a != gone)
        assert 0 < moved(before, after) <= 1.2 / 10
        assert len(set(after)) == 9
        balancer.joined(gone)
        candidates.put(engine)


def test_keys_that_are_runs_with_a_bound_move_by_no_more_than_a_tenth_and_a_fifth_of_it():
    before = placed(*hashed(), KEYS[:20_000], load=True)
    after = placed(*hashed(without="engine-3"), KEYS[:20_000], load=True)
    assert moved(before, after) <= 1.2 / 10


def test_an_engine_that_comes_back_gets_the_keys_that_it_had():
    balancer, candidates = hashed()
    before = placed(balancer, candidates, KEYS[:1000])
    balancer.left("engine-3")
    balancer.joined("engine-3")
    assert placed(balancer, candidates, KEYS[:1000]) == before


def test_an_engine_that_is_full_for_a_while_moves_nobody_elses_keys():
    balancer, candidates = hashed()
    before = placed(balancer, candidates, KEYS[:1000])
    candidates.discard("engine-3")
    after = placed(balancer, candidates, KEYS[:1000])
    assert all(a == b for a, b in zip(before, after, strict=True) if a != "engine-3")


def test_few_candidates_of_many_engines_keep_their_keys_when_another_one_leaves():
    balancer, _ = hashed(1000)
    candidates = Candidates(engines(4, capacity=1000))
    before = placed(balancer, candidates, KEYS[:1000])
    assert len(set(before)) == 4
    balancer.left("engine-500")
    candidates.discard("engine-3")
    after = placed(balancer, candidates, KEYS[:1000])
    assert all(a == b for a, b in zip(before, after, strict=True) if a != "engine-3")


def test_the_choice_is_the_same_in_every_process_and_release():
    """The values are those of the first release; others would move all keys at an upgrade."""
    balancer, candidates = hashed()
    chosen = [balancer.choose(key, candidates)[-1] for key in KEYS[:20]]
    assert "".join(chosen) == "00894696685197841224"
    few = Candidates(engines(3))
    balancer, _ = hashed(1000)
    assert "".join(balancer.choose(key, few)[-1] for key in KEYS[:20]) == "22112201121200001121"


def test_one_key_spreads_over_the_engines_no_further_than_its_load_asks():
    balancer, candidates = hashed(10, capacity=100)
    for total in range(1, 1000):
        give(candidates, balancer.choose("the only workflow", candidates))
        if len(candidates) == 10:
            most = -(-5 * total // (4 * 10))
            assert max(candidate.active for candidate in candidates) <= most


def test_the_bound_of_an_engine_grows_with_its_capacity():
    balancer = ConsistentHash()
    sizes = [attrs.evolve(e, capacity=100 * (n + 1)) for n, e in enumerate(engines(4))]
    candidates = introduce(balancer, sizes)
    for key in KEYS[:500]:
        give(candidates, balancer.choose(key, candidates))
    loads = [candidate.load for candidate in candidates]
    assert max(loads) <= 1.25 * 0.5 + 0.01
    assert min(loads) > 0.3


def test_a_key_whose_engine_has_its_share_goes_to_its_next_one_even_if_others_are_idle():
    balancer = ConsistentHash()
    candidates = introduce(balancer, [attrs.evolve(e, active=2) for e in engines(100)])
    candidates.put(attrs.evolve(candidates[0], active=0))
    first = placed(balancer, candidates, KEYS[:50])
    full = Candidates(
        [attrs.evolve(e, active=9 if e.engine_id in first else 2) for e in candidates]
    )
    full.put(candidates[0])
    second = placed(balancer, full, KEYS[:50])
    assert not set(first) & (set(second) - {"engine-0"})
    assert len(set(second)) > 20
    assert second == placed(balancer, full, KEYS[:50])


def test_among_many_engines_that_have_their_share_the_least_loaded_is_found_at_once(monkeypatch):
    balancer = ConsistentHash()
    busy = [attrs.evolve(engine, active=9) for engine in engines(1000)]
    busy[777] = attrs.evolve(busy[777], capacity=100_000)
    candidates = introduce(balancer, busy)
    assert balancer.choose("key", candidates) == "engine-777"
    monkeypatch.setattr(Candidates, "__iter__", None)  # nobody may look at all of them
    assert balancer.choose("another key", candidates) == "engine-777"


def test_a_consistent_hash_needs_a_virtual_node():
    with pytest.raises(ValueError, match="at least one virtual node is needed, not 0"):
        ConsistentHash(virtual_nodes=0)


def points(ring):
    return [point for arc in ring._arcs for point in zip(arc.positions, arc.owners, strict=True)]


def test_an_engine_that_joins_or_leaves_costs_its_own_points_only(monkeypatch):
    asked, own = [], Ring._own
    monkeypatch.setattr(Ring, "_own", lambda ring, name: asked.append(name) or own(ring, name))
    ring = Ring(150)
    for engine in engines(50):
        ring.add(engine.engine_id)
    before = points(ring)
    assert before == sorted(before)
    asked.clear()
    ring.add("new")
    now = points(ring)
    assert now == sorted(now)
    assert [point for point in now if point[1] != "new"] == before
    assert len(now) == len(before) + 150
    ring.remove("new")
    assert points(ring) == before
    next(ring.preferences("key"))
    assert asked == ["new", "new"]


def test_engines_whose_points_fall_together_keep_one_order(monkeypatch):
    places = {"a": (5, 5, 2**60), "b": (5, 7, 2**63), "c": (5, 5, 5)}
    monkeypatch.setattr(Ring, "_own", lambda ring, name: places[name])
    orders = []
    for names in permutations("abc"):
        ring = Ring(3)
        for name in (*names, *names):
            ring.add(name)
        ring.remove("b")
        ring.remove("b")
        orders.append(points(ring))
    assert orders == [[(5, "a"), (5, "a"), (5, "c"), (5, "c"), (5, "c"), (2**60, "a")]] * 6
