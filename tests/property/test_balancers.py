"""Whatever engines there are, and whatever becomes of them, balancers choose well."""

from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrun.builtin.balancers import ConsistentHash, LeastLoaded, RoundRobin
from dagrun.ports.balancer import Candidate, Candidates
from dagrun.testing.balancers import introduce

BALANCERS = (ConsistentHash, RoundRobin, LeastLoaded)
ids = st.text(max_size=4)


@st.composite
def engines(draw, least=1):
    capacity = draw(st.one_of(st.just(10), st.integers(1, 50)))
    chosen = draw(st.lists(ids, min_size=least, max_size=12, unique=True))
    sizes = [draw(st.one_of(st.just(capacity), st.integers(1, 50))) for _ in chosen]
    return [
        Candidate(engine_id=name, capacity=size, active=draw(st.integers(0, size - 1)))
        for name, size in zip(chosen, sizes, strict=True)
    ]


@given(engines(), st.data())
def test_it_is_a_candidate_that_is_chosen(known, data):
    balancers = [make() for make in BALANCERS]
    for balancer in balancers:
        introduce(balancer, known)
    for _ in range(3):
        some = data.draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
        candidates = Candidates(some)
        for balancer in balancers:
            assert candidates.get(balancer.choose(data.draw(ids), candidates)) in some


@given(engines(), ids, st.randoms(use_true_random=False))
def test_consistent_hash_forgets_in_which_order_engines_came_and_went(known, key, random):
    first, second = ConsistentHash(), ConsistentHash()
    introduce(first, known)
    shuffled = random.sample(known, len(known))
    passing = {engine.engine_id + "?" for engine in known} - {one.engine_id for one in known}
    for engine in shuffled:
        second.joined(engine.engine_id)
    for engine_id in sorted(passing):
        second.joined(engine_id)
    for engine_id in sorted(passing):
        second.left(engine_id)
    for engine in known:
        second.joined(engine.engine_id)
    assert first.choose(key, Candidates(known)) == second.choose(key, Candidates(shuffled))


@given(engines(), st.lists(ids, min_size=1, max_size=20))
def test_consistent_hash_gives_no_engine_more_than_its_bound(known, keys):
    balancer = ConsistentHash(virtual_nodes=3)
    candidates = introduce(balancer, known)
    for key in keys:
        chosen = candidates.get(balancer.choose(key, candidates))
        bound = 5 * (candidates.active + 1) * chosen.capacity / (4 * candidates.capacity)
        assert chosen.active < bound
        candidates.put(attrs.evolve(chosen, active=chosen.active + 1, capacity=chosen.capacity + 1))


@given(st.sets(ids, min_size=2, max_size=12), st.integers(0, 10**6), st.data())
def test_consistent_hash_moves_only_the_keys_of_the_engine_that_leaves(names, start, data):
    balancer, keys = ConsistentHash(), [str(start + number) for number in range(50)]
    candidates = introduce(
        balancer, [Candidate(engine_id=name, capacity=1000, active=0) for name in names]
    )
    before = [balancer.choose(key, candidates) for key in keys]
    gone = data.draw(st.sampled_from(sorted(names)))
    balancer.left(gone)
    candidates.discard(gone)
    after = [balancer.choose(key, candidates) for key in keys]
    assert all(a == b for a, b in zip(before, after, strict=True) if a != gone)


@given(st.integers(2, 6), st.data())
def test_round_robin_lets_nobody_wait_longer_than_all_others_need_for_a_turn(count, data):
    balancer = RoundRobin()
    known = [Candidate(engine_id=str(number), capacity=10, active=0) for number in range(count)]
    introduce(balancer, known)
    waited = Counter()
    for _ in range(20):
        others = data.draw(st.lists(st.sampled_from(known), unique=True))
        chosen = balancer.choose("key", Candidates([known[0], *others]))
        for engine in {"0", *(other.engine_id for other in others)}:
            waited[engine] += 1
        waited[chosen] = 0
        assert waited["0"] < count


@given(engines(), st.data())
def test_least_loaded_finds_the_smallest_share_after_any_changes(known, data):
    balancer, candidates = LeastLoaded(), Candidates(known)
    model = {engine.engine_id: engine for engine in known}
    for _ in range(10):
        change = data.draw(st.sampled_from(known))
        if data.draw(st.booleans()) or len(model) == 1:
            active = data.draw(st.integers(0, change.capacity - 1))
            model[change.engine_id] = attrs.evolve(change, active=active)
            candidates.put(model[change.engine_id])
        else:
            model.pop(change.engine_id, None)
            candidates.discard(change.engine_id)
        if model:
            chosen = model[balancer.choose("key", candidates)]
            assert chosen.load == min(engine.load for engine in model.values())


@pytest.mark.parametrize("make", [RoundRobin, LeastLoaded])
@given(st.integers(1, 10), st.integers(1, 30))
def test_equal_engines_differ_by_one_turn_at_most(make, count, turns):
    balancer = make()
    candidates = introduce(
        balancer, [Candidate(engine_id=str(n), capacity=10, active=0) for n in range(count)]
    )
    counts = Counter({str(n): 0 for n in range(count)})
    counts.update(balancer.choose("key", candidates) for _ in range(turns))
    assert max(counts.values()) - min(counts.values()) <= 1
