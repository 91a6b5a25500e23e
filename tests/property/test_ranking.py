"""A ranking gives what sorting its items would give."""

from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.ranking import Ranked, Ranking


@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 5)))))
def test_whatever_moves_and_leaves_the_first_is_the_smallest(moves):
    ranking, items = Ranking(), [Ranked() for _ in range(10)]
    for number, place in moves:
        if place is None:
            ranking.discard(items[number])
        else:
            ranking.put(items[number], (place, number))
        standing = [item for item in items if item.place is not None]
        assert ranking.first() is min(standing, key=lambda item: item.place, default=None)
        assert set(ranking) == set(standing)
        assert len(ranking) == len(standing)


@given(st.integers(1, 20), st.integers(0, 200))
def test_places_that_are_outdated_are_forgotten(count, moves):
    ranking, items = Ranking(), [Ranked() for _ in range(count)]
    for number, item in enumerate(items):
        ranking.put(item, (0, number))
    for move in range(moves):
        ranking.put(items[move % count], (1, move))
        ranking.put(items[move % count], (0, count + move))
    assert len(ranking._heap) <= 2 * count + 9
    expected = sorted(item.place for item in items)
    assert list(_emptied(ranking)) == expected


def _emptied(ranking):
    while (first := ranking.first()) is not None:
        yield first.place
        ranking.discard(first)
