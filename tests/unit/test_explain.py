"""The reasons that ``runs explain`` gives."""

from functools import partial

import pytest

from dagrun.domain import decide
from dagrun.domain.explain import SHOWN, explain_run
from dagrun.domain.plan import Handling
from dagrun.domain.workflow import ExecutorSpec, Handler, HandlerEvent, RetryPolicy
from dagrun.testing.drive import START, Driver, make_node, make_plan

BOOM = "boom: it failed"


def driver(*nodes, **fields):
    return Driver(make_plan(*nodes, **fields)).begin()


def test_a_node_waits_for_those_it_depends_on():
    run = driver(make_node("a"), make_node("b", "a"), make_node("c", "a", "b"))
    assert explain_run(run.state) == [
        "the run is running: 3 of 3 nodes are to end",
        "a: attempt 1 is running",
        "b: waits for a",
        "c: waits for a, b",
    ]


def test_nothing_is_said_of_what_succeeded():
    run = driver(make_node("a"), make_node("b", "a"))
    run.succeed("a")
    run.succeed("b")
    assert explain_run(run.state) == ["the run has succeeded"]


def test_a_failure_is_told_with_its_error_and_what_was_skipped_for_it():
    run = driver(
        make_node("a"), make_node("b", "a"), make_node("c", allow_failure=True), make_node("d", "c")
    )
    run.fail("a")
    run.fail("c")
    reasons = explain_run(run.state)
    assert f"a: failed: {BOOM}" in reasons
    assert "b: skipped, as dependency a failed" in reasons
    assert f"c: failed, which is allowed: {BOOM}" in reasons


def test_a_failed_run_is_told_with_its_error():
    run = driver(make_node("a"))
    run.fail("a")
    assert explain_run(run.state)[0] == f"the run has failed: node a: {BOOM}"


def test_an_ending_run_is_told_with_its_handlers():
    handler = Handler(executor=ExecutorSpec(type="none"))
    run = driver(make_node("a"), handlers={HandlerEvent.EXIT: handler})
    run.succeed("a")
    assert explain_run(run.state) == [
        "all nodes of the run have ended; its handlers run",
        "handler:exit: attempt 1 is running",
    ]


def test_nothing_of_a_paused_run_is_starting():
    run = driver(make_node("a"), make_node("b", "a"))
    run.ask(decide.pause)
    run.succeed("a")
    assert explain_run(run.state)[1:] == ["b: waits for the run to go on"]


def test_what_was_cut_off_is_not_said_to_go_on():
    fan = make_node("fan", for_each=(1, 2, 3))
    run = driver(make_node("a"), fan, make_node("b", "a"))
    run.succeed("fan", item=0)
    assert explain_run(run.state, cut_off=True) == [
        "the run was cut off while it was running: 3 of 3 nodes had not ended",
        "a: attempt 1 was cut off",
        "fan: cut off when 1 of 3 items had ended",
        "b: waits for a",
    ]


def paused_elsewhere(*nodes, steps=lambda _: None):
    """Give a run that was paused after its engine was lost, and before another one had it."""
    run = driver(*nodes)
    steps(run)
    run.ask(partial(decide.pause, epoch=2))
    return run


def test_what_was_cut_off_of_a_paused_run_is_not_said_to_run():
    run = paused_elsewhere(
        make_node("a"),
        make_node("b", on_engine_loss="fail"),
        make_node("c", for_each=(1, 2, 3)),
        make_node("d", "a"),
        steps=lambda run: run.succeed("c", item=0),
    )
    again = "what ran of it runs again when the run is resumed"
    assert explain_run(run.state)[1:] == [
        f"a: attempt 1 was cut off; {again}",
        "b: attempt 1 was cut off; what ran of it fails when the run is resumed",
        f"c: cut off when 1 of 3 items had ended; {again}",
        "d: waits for a",
    ]
    run.ask(decide.requeue)
    run.begin()
    assert "a: attempt 1 is running" in explain_run(run.state)


def test_what_runs_on_while_a_run_is_paused_is_said_to_run():
    run = driver(make_node("a"))
    run.ask(decide.pause)
    assert explain_run(run.state)[1] == "a: attempt 1 is running"


def test_a_retry_says_when_it_comes_and_how_many_there_are():
    run = driver(make_node("a", retry=RetryPolicy(max_attempts=3, first_delay=5.0, jitter=0)))
    run.fail("a")
    assert explain_run(run.state)[1] == (
        f"a: attempt 1 failed ({BOOM}); attempt 2 of 3 comes 5.00s after it"
    )


def test_items_are_counted_and_the_first_retry_of_them_is_told():
    node = make_node(
        "a",
        for_each=(1, 2, 3, 4),
        max_parallel=2,
        retry=RetryPolicy(max_attempts=2, first_delay=1.0, jitter=0),
    )
    run = driver(node)
    run.succeed("a", {}, 0)
    run.fail("a", 1)
    assert explain_run(run.state)[1] == (
        "a: 1 of 4 items have ended, 1 is running, at most 2 at once (max_parallel), "
        f"item 1 failed ({BOOM}); attempt 2 of 2 comes 1.00s after it"
    )


def test_a_queued_a_paused_and_a_cancelled_run_say_so():
    run = Driver(make_plan(make_node("a")))
    assert explain_run(run.state)[0] == "the run is queued"
    run.begin()
    run.ask(decide.pause)
    assert explain_run(run.state)[0] == (
        "the run is paused (requested): nothing starts until it is resumed"
    )
    run.ask(decide.resume)
    run.ask(decide.cancel)
    assert explain_run(run.state) == [
        "the run is being cancelled (requested): what runs is being stopped",
        "a: attempt 1 is running",
    ]
    run.stop("a")
    assert explain_run(run.state) == ["the run was cancelled", "a: cancelled with the run"]


@pytest.mark.parametrize(
    ("limited", "why"),
    [(True, "waits for a free place (DAGRUN_PARALLEL)"), (False, "is starting")],
)
def test_a_node_in_line_waits_for_a_place_or_is_starting(limited, why):
    run = Driver(make_plan(make_node("a"), handling=Handling(strict=False, limited=limited)))
    decide.begin(run.state, START, epoch=1, engine="e")
    assert explain_run(run.state)[1] == f"a: {why}"


def test_of_many_nodes_only_some_are_told_and_the_others_counted():
    run = driver(*(make_node(f"n{number}") for number in range(SHOWN + 7)))
    reasons = explain_run(run.state)
    assert len(reasons) == SHOWN + 2
    assert reasons[-1] == "and 7 more nodes"
