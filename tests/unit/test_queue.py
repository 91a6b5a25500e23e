"""Which run is next, why the others wait, and that it does not take long to say so."""

import sys
import tracemalloc

import attrs
import pytest

from dagrun.domain.ids import RunId
from dagrun.domain.queue import Entry, Needs, Queue, Why

GPU = Needs(labels=frozenset({("gpu", "yes")}))


def run(number, **fields):
    return Entry(
        run_id=RunId(f"{number:026}"), workflow_id=fields.pop("workflow_id", "w"), **fields
    )


def queued(*entries):
    queue = Queue()
    for entry in entries:
        queue.push(entry)
    return queue


def anywhere(_):
    return True


def nowhere(_):
    return False


def without_gpu(needs):
    return needs != GPU


def order(queue, can_place=anywhere, *, ending=False):
    """Give the numbers of the runs in the order in which they come."""
    found = []
    while (entry := queue.next(can_place)) is not None:
        found.append(int(entry.run_id))
        if ending:
            queue.ended(entry.run_id)
    return found


def test_higher_priority_goes_first_then_what_goes_on_then_the_oldest():
    queue = queued(run(4), run(3), run(2, priority=-1), run(1, fresh=False), run(5, priority=9))
    assert order(queue, ending=True) == [5, 1, 3, 4, 2]


def test_the_workflow_with_the_fewest_running_runs_goes_first():
    queue = queued(*(run(n) for n in range(4)), run(4, workflow_id="x"), run(5, workflow_id="y"))
    assert order(queue) == [0, 4, 5, 1, 2, 3]


def test_a_run_that_ended_or_was_parked_counts_as_running_no_longer():
    for stop in (Queue.ended, Queue.parked):
        queue = queued(run(1), run(3, workflow_id="x"))
        queue.started(run(0))
        stop(queue, run(0).run_id)
        assert order(queue) == [1, 3]


def test_a_run_that_is_queued_again_counts_as_running_no_longer_and_goes_before_fresh_ones():
    queue = queued(run(0), run(1, workflow_id="x"), run(2))
    assert queue.next(anywhere) == run(0)
    queue.push(run(0, fresh=False))
    assert order(queue) == [0, 1, 2]


def test_a_run_for_which_no_engine_has_room_delays_nobody():
    queue = queued(run(0, needs=GPU, priority=5), run(1), run(2, needs=GPU), run(3))
    assert order(queue, without_gpu) == [1, 3]
    assert order(queue) == [0, 2]


def test_a_question_that_fails_leaves_the_queue_as_it_was():
    queue = queued(run(0, needs=GPU), run(1))

    def asks(needs):
        if needs == GPU:
            return False
        raise LookupError

    with pytest.raises(LookupError):
        queue.next(asks)
    assert order(queue) == [0, 1]


def test_no_more_runs_are_admitted_than_the_key_has_slots():
    queue = queued(*(run(n, key="k", limit=2) for n in range(4)), run(4))
    assert order(queue) == [0, 1, 4]
    queue.ended(run(1).run_id)
    assert order(queue) == [2]
    assert queue.holders("k") == [run(0).run_id, run(2).run_id]
    assert queue.holders("another") == []


def test_the_best_of_those_that_wait_for_a_slot_gets_it_when_it_is_free():
    queue = queued(run(1, key="k"), run(2, key="k", priority=1), run(3, key="k", needs=GPU))
    queue.started(run(0, key="k"))
    assert order(queue) == []
    queue.ended(run(0).run_id)
    assert order(queue) == [2]


def test_a_run_that_has_a_free_slot_but_no_engine_leaves_the_slot_to_others():
    queue = queued(run(0, key="k", needs=GPU), run(1, key="k"))
    assert order(queue, without_gpu) == [1]
    assert queue.reason(run(0).run_id, anywhere) is Why.KEY


@pytest.mark.parametrize("count", [3, 30])
@pytest.mark.parametrize("before", [2, 30])
def test_of_the_runs_of_one_key_the_workflow_with_the_fewest_running_runs_goes_first(count, before):
    entries = [run(n, key="k", workflow_id=f"w{n}") for n in range(1, count + 1)]
    queue = queued(*entries[:before])
    for number, workflow_id in enumerate(["w1", "w1", "w2"], 100):
        queue.started(run(number, workflow_id=workflow_id))
    for entry in entries[before:]:
        queue.push(entry)
    assert order(queue, ending=True) == [*range(3, count + 1), 2, 1]


def test_a_run_keeps_its_slot_while_it_is_parked_and_queued_again():
    queue = queued(run(0, key="k"), run(1, key="k"))
    assert queue.next(anywhere) == run(0, key="k")
    queue.parked(run(0).run_id)
    assert order(queue) == []
    queue.push(run(0, key="k", fresh=False))
    assert order(queue) == [0]
    queue.ended(run(0).run_id)
    assert order(queue) == [1]


def test_a_child_shares_the_slot_of_its_ancestor():
    queue = queued(run(0, key="k"), run(1, key="k"))
    assert order(queue) == [0]
    queue.push(run(2, key="k", slot=run(0).run_id, fresh=False))
    assert order(queue) == [2]
    queue.ended(run(0).run_id)
    assert order(queue) == []
    queue.ended(run(2).run_id)
    assert order(queue) == [1]


def test_a_child_whose_ancestor_has_ended_needs_a_slot_like_any_other_run():
    child = run(2, key="k", slot=run(0).run_id)
    queue = queued(run(0, key="k"))
    assert order(queue) == [0]
    queue.push(child)
    queue.started(run(1, key="k"))
    queue.ended(run(0).run_id)
    assert queue.reason(child.run_id, anywhere) is Why.KEY
    queue.ended(run(1).run_id)
    assert order(queue) == [2]


def test_the_slots_of_a_key_are_as_many_as_the_workflow_of_the_run_says():
    queue = queued(run(1, key="k", limit=2), run(2, key="k", limit=3))
    queue.started(run(0, key="k"))
    assert order(queue) == [1, 2]
    queue.push(run(3, key="k", limit=3))
    assert order(queue) == []


def test_a_run_that_is_pushed_again_has_its_new_place_only():
    queue = queued(run(0), run(1), run(1, priority=1), run(0, needs=GPU))
    assert len(queue) == 2
    assert order(queue, without_gpu) == [1]
    assert order(queue) == [0]


def test_a_run_that_is_taken_out_or_has_ended_comes_no_more():
    queue = queued(run(0), run(1, key="k"), run(2))
    assert queue.remove(run(1).run_id) == run(1, key="k")
    assert queue.remove(run(1).run_id) is None
    queue.ended(run(0).run_id)
    assert run(2).run_id in queue
    assert run(0).run_id not in queue
    assert order(queue) == [2]


def test_it_is_told_why_a_run_waits():
    queue = queued(run(0, key="k"), run(1, key="k"), run(2, needs=GPU), run(3))
    queue.next(anywhere)
    assert queue.reason(run(0).run_id, anywhere) is None
    assert queue.reason(run(1).run_id, anywhere) is Why.KEY
    assert queue.reason(run(2).run_id, without_gpu) is Why.NEEDS
    assert queue.reason(run(3).run_id, without_gpu) is Why.TURN


def test_to_say_twice_that_a_run_started_or_ended_changes_nothing():
    queue = queued(run(5, workflow_id="x", key="k"))
    for _ in range(2):
        queue.started(run(0, key="k"))
    queue.ended(run(0).run_id)
    queue.ended(run(0).run_id)
    queue.parked(run(0).run_id)
    queue.push(run(6))
    queue.started(run(7, workflow_id="x"))
    assert order(queue) == [6, 5]


SHAPES = {
    "one workflow": {},
    "a workflow each": {"workflow_id": "w{}"},
    "a key each": {"key": "k{}"},
    "one key": {"key": "k"},
    "one key, a workflow each": {"key": "k", "workflow_id": "w{}"},
    "one key with slots, a workflow each": {"key": "k", "workflow_id": "w{}", "limit": 5},
}


def shaped(number, shape):
    fields = {k: v.format(number) if isinstance(v, str) else v for k, v in SHAPES[shape].items()}
    return run(number, **fields)


def calls(operation):
    """Count the functions that are called, Python's own included."""
    count = 0

    def note(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        operation()
    finally:
        sys.setprofile(None)
    return count


def work(size, shape, can_place):
    """Count the calls that twenty runs cost, from push to end, beside so many that wait."""
    queue = queued(*(shaped(number, shape) for number in range(size)))
    queue.started(shaped(size, shape))
    new = [shaped(size + number, shape) for number in range(1, 21)]

    def turn():
        for entry in new:
            queue.push(entry)
            chosen = queue.next(can_place)
            queue.ended(chosen.run_id if chosen else entry.run_id)

    return calls(turn)


@pytest.mark.parametrize("can_place", [anywhere, nowhere])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_costs_no_more_beside_thousands_than_beside_a_hundred(shape, can_place):
    few, many = work(100, shape, can_place), work(4000, shape, can_place)
    assert few > 200
    assert many <= 1.5 * few


def test_it_is_asked_once_whether_runs_with_the_same_needs_can_be_placed():
    queue = queued(*(run(n, needs=GPU, workflow_id=f"w{n}") for n in range(100)), run(100))
    asked = []

    def ask(needs):
        asked.append(needs)
        return needs != GPU

    assert queue.next(ask) == run(100)
    assert asked == [GPU, Needs()]


def test_a_queued_run_takes_less_than_six_hundred_bytes():
    count = 10_000
    tracemalloc.start()
    try:
        queue = queued(*(run(number, workflow_id=f"w{number % 10}") for number in range(count)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(queue) == count
    assert taken / count < 600


def test_needs_are_equal_by_what_they_say():
    assert attrs.evolve(Needs(), labels=frozenset({("gpu", "yes")})) == GPU
    assert hash(GPU) == hash(Needs(labels=frozenset({("gpu", "yes")})))
