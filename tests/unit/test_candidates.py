"""What balancers choose among."""

from dagrun.ports.balancer import Candidate, Candidates


def test_candidates_come_in_the_order_of_their_ids_with_their_sums():
    given = [Candidate(engine_id=name, capacity=n + 2, active=n) for n, name in enumerate("cab")]
    candidates = Candidates(given)
    assert [candidate.engine_id for candidate in candidates] == ["a", "b", "c"]
    assert [candidates[number].engine_id for number in range(len(candidates))] == ["a", "b", "c"]
    assert (candidates.active, candidates.capacity) == (3, 9)
    candidates.put(Candidate(engine_id="a", capacity=5, active=4))
    candidates.discard("b")
    candidates.discard("nobody")
    assert (candidates.active, candidates.capacity) == (4, 7)
    assert candidates.get("b") is None
