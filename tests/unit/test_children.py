"""Child runs, as a run's journal tells of them."""

import pytest

from dagrun.domain import decide
from dagrun.domain.children import circle, versions_called
from dagrun.domain.events import Event, Type
from dagrun.domain.explain import explain_run
from dagrun.domain.fold import IllegalEvent, apply
from dagrun.domain.fold_run import suspects
from dagrun.domain.jsonvalue import MAX_OUTPUT, Raw, decode, encode
from dagrun.domain.projection import project
from dagrun.domain.result import run_result
from dagrun.domain.versions import resolve
from dagrun.domain.workflow import Handler, RetryPolicy, Workflow
from dagrun.testing.checker import check
from dagrun.testing.drive import Driver, make_node, make_plan, picture, replayed

TWICE = RetryPolicy(max_attempts=2, first_delay=5, jitter=0)


def drive(*nodes, **fields):
    return Driver(make_plan(*nodes, **fields)).begin()


def test_a_waiting_node_takes_no_place_and_has_the_outputs_of_its_child():
    run = drive(make_node("a"), make_node("b", "a")).wait("a", "c1")
    assert run.statuses() == {"a": "waiting", "b": "pending"}
    assert run.state.running == 0
    assert run.child_ended(run.waiting[0], "succeeded", outputs=encode({"n": 1}))
    assert decode(run.state.node("a").outputs) == {"n": 1}
    assert run.started == ["b"]


def test_the_journal_names_the_child_and_its_version_before_anything_follows():
    run = drive(make_node("a"), make_node("b")).wait("a", "c1")
    (waiting,) = [event for event in run.journal if event.type is Type.NODE_WAITING]
    assert waiting.data == {"child": "c1", "version": "1.0.0"}
    assert waiting.attempt == 1
    assert project(run.journal).nodes["r", "a", None].status == "waiting"


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_id": "another"},
        {"attempt": 2},
        {"item": 0},
        {"node_id": "b"},
        {"node_id": "nobody"},
        {"node_id": "handler:exit"},
    ],
)
def test_a_message_about_something_else_changes_nothing(wrong):
    run = drive(make_node("a"), make_node("b")).wait("a", "c1")
    before = picture(run.state)
    assert not run.child_ended(run.waiting[0], "succeeded", **wrong)
    assert picture(run.state) == before


def test_a_message_that_comes_twice_counts_once():
    run = drive(make_node("a"), make_node("b", "a")).wait("a", "c1")
    work = run.waiting[0]
    assert run.child_ended(work, "succeeded")
    assert not run.child_ended(work, "failed")
    run.succeed("b")
    assert run.state.status == "succeeded"
    assert not run.child_ended(work, "failed")


def test_the_end_of_a_child_that_is_heard_of_before_its_start_belongs_to_the_attempt():
    run = drive(make_node("a", retry=TWICE))
    data = {"node_id": "a", "item": None, "attempt": 1, "run_id": "c1", "status": "succeeded"}
    assert not decide.child_ended(run.state, data, run.tick(), draw=0)
    assert decide.will_wait(run.state, data) is run.going[0]
    assert decide.will_wait(run.state, {**data, "attempt": 2}) is None
    run.wait("a", "c1")
    assert decide.will_wait(run.state, data) is None
    assert decide.child_ended(run.state, data, run.tick(), draw=0)


def test_a_child_that_fails_is_tried_again_with_another_child():
    run = drive(make_node("a", retry=TWICE)).wait("a", "c1")
    work = run.waiting[0]
    assert run.child_ended(work, "failed", error={"type": "node_failed", "message": "node x: no"})
    assert work.status == "retrying"
    assert work.error == {"type": "child_failed", "message": "run c1: node x: no"}
    run.wake()
    assert work.child is None
    assert not run.child_ended(work, "succeeded", run_id="c1", attempt=1)
    run.wait("a", "c2")
    assert run.child_ended(work, "cancelled")
    assert run.state.error["message"] == "node a: child_cancelled: run c2 was cancelled"


def test_outputs_that_are_too_large_for_a_node_fail_it_for_good():
    run = drive(make_node("a", retry=TWICE)).wait("a", "c1")
    outputs = Raw(b'{"n": "' + b"x" * MAX_OUTPUT + b'"}')
    assert run.child_ended(run.waiting[0], "succeeded", outputs=outputs)
    assert run.state.node("a").error["type"] == "output"
    assert run.state.status == "failed"


def test_items_wait_each_for_a_child_of_its_own_within_max_parallel():
    run = drive(make_node("a", for_each=(1, 2, 3), max_parallel=2))
    run.wait("a", "c0", item=0).wait("a", "c1", item=1)
    assert run.statuses() == {"a": "running"}
    assert decide.parked(run.state)
    assert explain_run(run.state)[1].endswith(
        "2 wait for the end of runs: c0 c1, at most 2 at once (max_parallel)"
    )
    assert [item.status for item in run_result(run.state).nodes[0].items] == ["waiting"] * 2 + [
        "pending"
    ]
    assert run.child_ended(run.waiting[1], "succeeded", outputs=encode({"n": 1}))
    assert run.started == ["a[2]"]
    assert not decide.parked(run.state)


def test_a_waiting_node_goes_on_waiting_for_the_same_child_under_the_next_epoch():
    first = drive(make_node("a"), make_node("b")).wait("a", "c1")
    run = Driver(first.state.plan, events=first.journal).begin(lost=True)
    assert run.started == ["b"]
    assert run.state.losses == {"b": 1}
    assert explain_run(run.state)[1] == "a: waits for the end of run c1"
    assert run.child_ended(run.waiting[0], "succeeded")
    run.succeed("b")
    assert run.state.status == "succeeded"
    assert check(run.state.plan.workflow, run.journal) == []


@pytest.mark.parametrize("kind", [Type.NODE_RUNNING, Type.NODE_WAITING])
def test_a_waiting_node_does_not_start_again(kind):
    run = drive(make_node("a")).wait("a", "c1")
    state = run.state
    event = Event(state.run_id, state.seq + 1, 1, kind, run.now, "a", None, 1, {"child": "c2"})
    with pytest.raises(IllegalEvent):
        apply(state, event)


def test_a_run_with_something_to_do_is_not_parked():
    run = drive(make_node("a"), make_node("b", retry=TWICE), make_node("c", "b"))
    assert not decide.parked(run.state)
    run.wait("a", "c1")
    assert not decide.parked(run.state)
    run.fail("b")
    assert not decide.parked(run.state)  # the delay is something to do
    run.wake().succeed("b")
    assert not decide.parked(run.state)
    run.succeed("c")
    assert decide.parked(run.state)
    run.ask(decide.pause)
    assert not decide.parked(run.state)  # it is given back as paused


def test_a_cancelled_run_waits_for_its_children_and_records_what_they_come_to():
    nodes = [make_node(name, retry=TWICE) for name in "abcd"]
    run = drive(*nodes, handlers={"cancelled": Handler(executor={"type": "none"})})
    for name in "abc":
        run.wait(name, f"child-{name}")
    run.fail("d")
    assert run.ask(decide.cancel)
    assert run.state.status == "cancelling"
    assert decide.parked(run.state)
    assert run.child_ended(run.waiting[0], "succeeded", outputs=encode({}))
    assert run.child_ended(run.waiting[0], "failed", error={"type": "x", "message": "y"})
    assert run.started == []
    assert run.child_ended(run.waiting[0], "cancelled")
    assert run.statuses() == {"a": "succeeded", "b": "failed", "c": "cancelled", "d": "cancelled"}
    assert run.started == ["handler:cancelled"]
    run.succeed("handler:cancelled")
    assert run.state.status == "cancelled"
    assert picture(replayed(run)) == picture(run.state)


def test_a_run_can_be_cancelled_as_the_first_thing_that_happens_under_an_epoch():
    first = drive(make_node("a"), make_node("b")).wait("a", "c1")
    run = Driver(first.state.plan, events=first.journal).begin(reason="requested")
    assert run.started == []
    assert run.state.status == "cancelling"
    assert run.journal[len(first.journal)].data == {"engine": "test", "reason": "requested"}
    assert run.statuses() == {"a": "waiting", "b": "cancelled"}


def test_a_run_that_was_never_started_is_cancelled_without_handlers():
    plan = make_plan(make_node("a"), handlers={"exit": Handler(executor={"type": "none"})})
    run = Driver(plan).begin(reason="requested")
    assert run.state.status == "cancelled"
    assert run.started == []


WHY = (
    "3 engines were lost one after the other with it; what had begun and not ended may be why: b, c"
)


def lose(run):
    """Let the engine of a run be lost, and give what the next one makes of it."""
    return Driver(run.state.plan, events=run.journal).begin(lost=True)


def test_a_run_is_paused_when_three_engines_are_lost_with_the_same_node_running():
    run = drive(make_node("a"), make_node("b", "a")).succeed("a")
    run = lose(lose(run))
    assert run.started == ["b"]
    run = lose(run)
    assert run.started == []
    assert run.state.status == "paused"
    assert run.journal[-1].data == {"reason": "poison", "node": "b", "nodes": ["b"]}
    assert picture(replayed(run)) == picture(run.state)
    assert check(run.state.plan.workflow, run.journal) == []
    assert run.ask(decide.resume)
    assert run.started == ["b"]
    assert lose(lose(run)).started == ["b"]


def test_all_nodes_that_may_have_ended_the_engines_are_named():
    run = drive(make_node("a"), make_node("b"), make_node("c", "a")).succeed("a")
    run = lose(lose(lose(run)))
    assert run.journal[-1].data == {"reason": "poison", "node": "b", "nodes": ["b", "c"]}
    assert explain_run(run.state) == [
        "the run is paused (poison): nothing starts until it is resumed",
        WHY,
        "b: attempt 1 was cut off; what ran of it runs again when the run is resumed",
        "c: attempt 1 was cut off; what ran of it runs again when the run is resumed",
    ]


def test_the_node_that_was_running_at_most_losses_is_named_first():
    run = lose(lose(lose(drive(make_node("a"), make_node("b")))))
    run.state.losses["a"] -= 1
    assert suspects(run.state) == ["b", "a"]


def test_a_poisoned_run_that_was_queued_again_starts_anew_with_its_count():
    run = lose(lose(lose(drive(make_node("a")))))
    assert run.ask(decide.requeue)
    run = Driver(run.state.plan, events=run.journal).begin()
    assert run.started == ["a"]
    assert run.state.losses == {}


@pytest.mark.parametrize(
    "step",
    [
        lambda run: run.succeed("b"),
        lambda run: run.fail("b").wake(),
        lambda run: run.wait("b", "c1"),
    ],
)
def test_losses_count_only_as_long_as_nothing_comes_of_the_run(step):
    run = lose(lose(drive(make_node("a"), make_node("b", retry=TWICE))))
    step(run)
    assert run.state.losses == {}
    assert "a" in lose(lose(run)).started


def test_an_engine_that_left_in_order_is_no_loss():
    run = drive(make_node("a"))
    for _ in range(5):
        run = Driver(run.state.plan, events=run.journal).begin()
    assert run.started == ["a"]


def test_a_handler_that_ends_its_engines_fails_and_the_run_ends():
    run = drive(make_node("a"), handlers={"exit": Handler(executor={"type": "none"})}).succeed("a")
    run = lose(lose(lose(run)))
    assert run.state.status == "succeeded"
    assert run.state.due[0].error["type"] == "engine_lost"


def test_a_range_means_its_highest_release():
    known = ["1.2.0", "1.9.0", "1.10.0", "2.0.0-rc.1", "1.10.0+dev.1"]
    assert resolve("^1.2", known) == "1.10.0+dev.1"
    assert resolve("1.10.0", known) == "1.10.0"
    assert resolve(">=1.2,<1.10", known) == "1.9.0"
    assert resolve(">=2", known) is None
    assert resolve("^2.0.0-rc.1", known) == "2.0.0-rc.1"
    assert resolve("1.10.0+dev.2", known) is None
    assert resolve("<2", known) == "1.10.0+dev.1"
    assert resolve("1.2 - 1.9", known) == "1.9.0"
    assert resolve("nonsense", known) is None


def test_a_circle_is_found_however_long_and_only_if_it_comes_back_to_its_start():
    arrows = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": {"e"}, "e": {"d", "a"}}
    calls_of = {name: frozenset(called) for name, called in arrows.items()}
    assert circle(calls_of, "a") == ("a", "b", "d", "e", "a")
    assert circle({**calls_of, "e": frozenset("d")}, "a") is None
    assert circle({"a": frozenset("a")}, "a") == ("a", "a")


def test_what_a_workflow_calls_is_what_its_document_names():
    nodes = [
        make_node("a", executor={"type": "workflow", "id": "x"}),
        make_node("a2", executor={"type": "workflow", "id": "x", "version": "^1"}),
        make_node("a3", executor={"type": "workflow", "id": "x", "version": "${inputs.which}"}),
        make_node("b", executor={"type": "workflow", "id": "${inputs.which}"}),
        make_node("c", executor={"type": "none", "id": "y"}),
    ]
    exit_ = Handler(executor={"type": "workflow", "id": "z", "wait": False})
    called = versions_called(Workflow("w", "1.0.0", nodes=nodes, handlers={"exit": exit_}))
    assert called == {("x", None), ("x", "^1"), ("x", "*"), ("z", None)}
