"""What a run that is run again keeps of the one before."""

import pytest

from dagrun.domain import decide
from dagrun.domain.events import Type
from dagrun.domain.fold import IllegalEvent, apply
from dagrun.domain.jsonvalue import decode
from dagrun.domain.monitoring import Severity, observed
from dagrun.domain.rerun import rerun, retry
from dagrun.domain.result import from_json, run_result, to_json
from dagrun.domain.workflow import TriggerRule
from dagrun.testing.drive import Driver, make_node, make_plan
from dagrun.testing.journals import event


def drive(*nodes, **fields):
    return Driver(make_plan(*nodes, **fields)).begin()


def retried(run):
    return Driver(run.state.plan, again=retry(run.state)).begin()


def again_from(run, node_id):
    return Driver(run.state.plan, again=rerun(run.state, from_node=node_id)).begin()


def items_of(run, node_id):
    """The events of items behind the first start."""
    return [(str(e.type), e.item) for e in run.journal if e.node_id == node_id]


def test_what_succeeded_is_kept_with_its_outputs_and_what_failed_runs_again():
    run = drive(
        make_node("a"),
        make_node("b", "a"),
        make_node("c", "b", when="nodes.b.n == 2"),
        outputs={"n": "${nodes.a.n + nodes.c.n}"},
    )
    run.succeed("a", {"n": 1}).fail("b")
    second = retried(run)
    assert second.started == ["b"]
    second.succeed("b", {"n": 2}).succeed("c", {"n": 3})
    assert second.state.status == "succeeded"
    assert decode(second.state.outputs) == {"n": 4}
    a, b, _ = run_result(second.state).nodes
    assert (a.kept_from, a.attempts, a.started_at, a.outputs) == ("r", 0, None, {"n": 1})
    assert (b.kept_from, b.attempts) == (None, 1)


def test_the_one_that_rescued_waits_once_more_for_a_failure():
    run = drive(make_node("a"), make_node("rescue", "a", trigger_rule=TriggerRule.ONE_FAILED))
    second = retried(run.fail("a").succeed("rescue"))
    assert second.started == ["a"]
    second.succeed("a")
    assert second.statuses() == {"a": "succeeded", "rescue": "skipped"}


def test_what_was_skipped_by_its_condition_stays_skipped_with_its_reason():
    run = drive(make_node("a"), make_node("b", "a", when="false"), make_node("c"))
    second = retried(run.succeed("a").fail("c"))
    assert second.started == ["c"]
    skipped = second.state.nodes[1]
    assert (skipped.status, skipped.reason, skipped.kept_from) == ("skipped", "when: false", "r")


def test_items_that_succeeded_are_kept_and_the_others_run_in_their_places():
    run = drive(make_node("a", for_each=("x", "y", "z"), max_parallel=2))
    run.succeed("a", {"n": 0}, item=0).fail("a", item=1).succeed("a", {"n": 2}, item=2)
    second = retried(run)
    assert second.started == ["a[1]"]
    second.succeed("a", {"n": 1}, item=1)
    assert decode(second.state.nodes[0].outputs) == [{"n": 0}, {"n": 1}, {"n": 2}]
    (node,) = run_result(second.state).nodes
    assert [item.attempts for item in node.items] == [0, 1, 0]


def test_items_run_anew_below_a_node_that_runs_again():
    run = drive(make_node("a", allow_failure=True), make_node("b", "a", for_each=(1, 2)))
    run.fail("a").succeed("b", item=0).fail("b", item=1)
    second = retried(run)
    assert second.started == ["a"]
    assert second.succeed("a").started == ["b[0]", "b[1]"]


def test_a_node_with_items_is_kept_with_those_that_it_tolerates():
    run = drive(make_node("a", for_each=(1, 2), tolerate=1), make_node("b"))
    run.succeed("a", {"n": 1}, item=0).fail("a", item=1).fail("b")
    second = retried(run)
    assert second.started == ["b"]
    assert bytes(second.state.nodes[0].outputs) == b'[{"n":1},null]'
    assert [item.status for item in run_result(second.state).nodes[0].items] == [
        "succeeded",
        "failed",
    ]


def test_a_rerun_keeps_a_failure_that_is_allowed_and_a_retry_does_not():
    run = drive(make_node("a", allow_failure=True), make_node("b", "a"), make_node("c"))
    run.fail("a").succeed("b").succeed("c")
    second = again_from(run, "c")
    assert second.started == ["c"]
    assert second.state.nodes[0].error == {"type": "boom", "message": "it failed"}
    (told,) = [e for e in second.journal if e.type is Type.NODE_FAILED]
    seen = observed(told, position=1, workflow_id="w", engine_id=None)
    assert (seen.severity, seen.data["kept_from"]) == (Severity.INFO, "r")
    assert retried(run).started == ["a"]


def test_a_rerun_runs_what_failed_elsewhere_once_more_and_keeps_its_items():
    run = drive(make_node("a"), make_node("b", for_each=(1, 2)))
    run.succeed("a").succeed("b", item=0).fail("b", item=1)
    assert sorted(again_from(run, "a").started) == ["a", "b[1]"]
    assert again_from(run, "b").started == ["b[0]", "b[1]"]


def test_there_is_no_rerun_from_a_node_that_the_workflow_does_not_have():
    with pytest.raises(KeyError):
        rerun(drive(make_node("a")).succeed("a").state, from_node="b")


def test_a_run_of_which_all_is_kept_ends_without_a_start():
    run = drive(make_node("a"), outputs={"x": "${nodes.a + 1}"}).succeed("a")
    assert run.state.status == "failed"
    second = retried(run)
    assert (second.started, second.state.status) == ([], "failed")


def test_a_run_that_was_cancelled_in_the_queue_keeps_nothing():
    run = Driver(make_plan(make_node("a"), make_node("b", "a")))
    run.ask(decide.cancel)
    assert retried(run).started == ["a"]


def test_nothing_is_kept_once_the_run_has_begun_or_without_a_run_to_keep_it_from():
    run = drive(make_node("a"), make_node("b")).succeed("a").fail("b")
    second = retried(run)
    data = {"kept_from": "r", "outputs": b"{}"}
    end = event(second.state.seq + 1, Type.NODE_SUCCEEDED, "r+", node_id="b", epoch=2, data=data)
    with pytest.raises(IllegalEvent, match="has begun already"):
        apply(second.state, end)
    fresh = Driver(run.state.plan)
    with pytest.raises(IllegalEvent, match="no run is run again"):
        apply(fresh.state, event(2, Type.NODE_SUCCEEDED, node_id="a", data=data))


def test_what_is_printed_of_a_run_names_the_one_before_and_what_was_kept():
    second = retried(drive(make_node("a"), make_node("b")).succeed("a").fail("b"))
    result = run_result(second.state)
    printed = to_json(result)
    assert printed["rerun_of"] == "r"
    assert [node.get("kept_from") for node in printed["nodes"]] == ["r", None]
    assert "kept_from" not in printed["nodes"][1]
    assert from_json(printed) == result
