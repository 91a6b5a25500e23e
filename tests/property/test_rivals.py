"""Whoever asks, in whatever order, the newest runs stay, as many as there are slots."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain.status import RunStatus
from dagrun.services.dispatcher.rivals import giving_way


def run(number, workflow="w", *, status=RunStatus.QUEUED):
    return SimpleNamespace(run_id=f"r{number:02}", workflow_id=workflow, status=status)


@given(st.data(), st.integers(1, 4), st.integers(1, 9))
def test_in_any_order_of_asking_the_newest_runs_stay(data, limit, count):
    runs = [run(number) for number in range(count)]
    admitted = data.draw(st.sets(st.sampled_from(range(count)), max_size=limit))
    asking = data.draw(st.permutations(range(count)))
    gone = set()
    for number in asking:
        if number in gone:
            continue
        rivals = [runs[n] for n in range(count) if n not in gone and (n <= number or n in admitted)]
        way = giving_way(rivals, runs[number].run_id, limit)
        gone |= {runs.index(old) for old, _ in way}
        assert all(old.run_id < new for old, new in way)
    assert gone == set(range(count - limit))


def test_nobody_gives_way_while_there_are_slots_for_all():
    assert giving_way([run(1), run(2)], "r02", limit=2) == []


@pytest.mark.parametrize("status", [RunStatus.CANCELLING, RunStatus.ENDING])
def test_a_run_on_the_way_to_its_end_is_gone_already(status):
    rivals = [run(1), run(2, status=status), run(3)]
    assert giving_way(rivals, "r03", limit=2) == []
    assert giving_way(rivals, "r03", limit=1) == [(rivals[0], "r03")]


def test_a_newer_run_of_another_workflow_takes_the_turn_of_nobody():
    assert giving_way([run(1), run(2, "other")], "r01", limit=1) == []
    assert giving_way([run(1, "other"), run(2)], "r02", limit=1)[0][1] == "r02"
