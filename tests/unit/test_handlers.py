"""What runs after the graph, what it sees, and that the result stays as it is."""

import pytest

from dagrun.domain import decide, scope
from dagrun.domain.events import Event, Type
from dagrun.domain.fold import apply
from dagrun.domain.fold_run import IllegalEvent
from dagrun.domain.handlers import HANDLER_IDS, is_node_id
from dagrun.domain.ids import is_id
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.plan import Handling
from dagrun.domain.result import run_result, to_json
from dagrun.domain.workflow import ExecutorSpec, Handler, HandlerEvent
from dagrun.testing.drive import START, Driver, make_node, make_plan, picture, replayed

ALL = ("success", "failure", "cancelled", "exit")


def handler(options=None, **fields):
    return Handler(executor=ExecutorSpec(type="none", options=options or {}), **fields)


def handlers(*events, **fields):
    return {event: handler(**fields) for event in events}


def drive(*nodes, inputs=None, handlers=None, **fields):
    some = dict.fromkeys(ALL, handler()) if handlers is None else handlers
    return Driver(make_plan(*nodes, handlers=some, **fields), inputs).begin()


def kinds(run, start):
    return [(str(e.type), e.node_id) for e in run.journal[start:]]


def finish(run):
    while run.going:
        run.succeed(run.started[0])
    return run


def by_cancel(run):
    run.ask(decide.cancel)
    run.stop("a")


def by_timeout(run):
    run.ask(decide.cancel, reason=decide.TIMEOUT)
    run.stop("a")


@pytest.mark.parametrize(
    ("end", "own", "status"),
    [
        (lambda run: run.succeed("a"), "success", "succeeded"),
        (lambda run: run.fail("a"), "failure", "failed"),
        (by_timeout, "failure", "failed"),
        (by_cancel, "cancelled", "cancelled"),
    ],
)
def test_the_handler_of_the_outcome_runs_and_then_the_one_for_every_exit(end, own, status):
    run = drive(make_node("a"), timeout=60.0)
    end(run)
    before = len(run.journal)
    assert run.started == [f"handler:{own}"]
    assert (run.state.status, run.state.outcome.status) == ("ending", status)
    finish(run)
    assert kinds(run, before) == [
        ("node.succeeded", f"handler:{own}"),
        ("node.running", "handler:exit"),
        ("node.succeeded", "handler:exit"),
        (f"run.{status}", None),
    ]
    assert picture(replayed(run)) == picture(run.state)


def test_the_outcome_is_journaled_before_handlers_and_again_as_the_end():
    run = drive(make_node("a"), handlers=handlers("exit"), outputs={"n": "${nodes.a.n}"})
    run.succeed("a", {"n": 1}).fail("handler:exit")
    ending, end = run.journal[-4], run.journal[-1]
    assert (ending.type, ending.data) == (
        Type.RUN_ENDING,
        {"status": "succeeded", "outputs": Raw(b'{"n":1}')},
    )
    assert (end.type, end.data) == (Type.RUN_SUCCEEDED, {"outputs": Raw(b'{"n":1}')})


def test_a_handler_that_fails_does_not_change_the_result():
    run = drive(make_node("a"))
    run.succeed("a").fail("handler:success").fail("handler:exit")
    assert (run.state.status, run.state.error) == ("succeeded", None)
    run = drive(make_node("a"))
    run.fail("a").fail("handler:failure", type="own").succeed("handler:exit")
    assert run.state.status == "failed"
    assert run.state.error["message"] == "node a: boom: it failed"


def test_outputs_that_cannot_be_made_call_for_the_failure_handler():
    run = drive(make_node("a"), outputs={"x": "${nodes.a.n + 1}"})
    run.succeed("a", {"n": "text"})
    assert run.started == ["handler:failure"]
    assert run.state.outcome.error["type"] == "outputs"


@pytest.mark.parametrize("end", [lambda run: run.succeed("a"), by_cancel])
def test_a_run_that_calls_for_no_handler_has_the_journal_of_one_without_any(end):
    journals = []
    for some in ({}, handlers("failure")):
        run = drive(make_node("a"), make_node("b", "a", when="false"), handlers=some)
        end(run)
        assert run.state.ended
        journals.append([(e.type, e.node_id, e.attempt, e.data) for e in run.journal])
    assert journals[0] == journals[1]


def test_a_run_that_never_started_has_no_handlers():
    run = Driver(make_plan(make_node("a"), handlers=handlers(*ALL)))
    run.ask(decide.cancel)
    assert [str(e.type) for e in run.journal] == ["run.queued", "run.cancelling", "run.cancelled"]


def test_nodes_that_never_began_are_cancelled_when_handlers_start():
    run = drive(make_node("a"), make_node("b", "a"))
    by_cancel(run)
    assert run.statuses() == {"a": "cancelled", "b": "cancelled"}


def test_a_handler_sees_how_the_run_went():
    seen = {
        "status": "${run.status}",
        "error": "${run.error.type}: ${error.message}",
        "id": "${run.id}",
        "nodes": "${nodes}",
        "good": "${nodes.good.n}",
        "bad": "${nodes.bad}",
        "asked": "${inputs.asked}",
        "level": "${env.LEVEL}",
    }
    options = {"text": "it ${run.status}"}
    run = drive(
        make_node("good"),
        make_node("bad"),
        make_node("after", "bad"),
        handlers={"failure": handler(options, inputs=seen, env={"HOW": "${run.status}"})},
        inputs={"asked": 7},
        env={"LEVEL": "info"},
    )
    run.succeed("good", {"n": 3}).fail("bad")
    work = run.find("handler:failure")
    assert scope.node_inputs(run.state, work) == {
        "status": "failed",
        "error": "node_failed: node bad: boom: it failed",
        "id": "r",
        "nodes": {"good": {"n": 3}, "bad": None, "after": None},
        "good": 3,
        "bad": None,
        "asked": 7,
        "level": "info",
    }
    assert scope.node_options(run.state, work) == {"text": "it failed"}
    assert scope.node_env(run.state, work) == {"LEVEL": "info", "HOW": "failed"}
    assert scope.direct_outputs(run.state, work).keys() == {"good", "bad", "after"}
    assert scope.run_facts(run.state)["error"]["type"] == "node_failed"


def test_without_inputs_a_handler_sees_those_of_the_run_and_no_error_of_a_success():
    run = drive(make_node("a"), handlers=handlers("success"), inputs={"x": 1})
    run.succeed("a")
    assert scope.node_inputs(run.state, run.find("handler:success")) == {"x": 1}
    assert scope.run_facts(run.state)["error"] is None


def test_the_documents_env_is_the_same_for_nodes_and_handlers():
    run = drive(make_node("a", when="false"), handlers=handlers("exit"), env={"S": "${run.status}"})
    assert scope.node_env(run.state, run.find("handler:exit")) == {"S": ""}


def test_a_handler_starts_when_all_before_it_is_durable():
    plan = make_plan(make_node("a"), handlers=handlers("success", "exit"))
    run = Driver(plan).begin()
    for before, name in (("a", "handler:success"), ("handler:success", "handler:exit")):
        decide.succeed(run.state, run.find(before), Raw(b"{}"), run.tick())
        durable = run.state.seq
        work = decide.pop_startable(run.state, processes=False)
        assert work.step.node.id == name
        assert decide.start(run.state, work, run.tick()) == durable
        run.going.append(work)


def test_a_strict_handler_waits_for_its_own_start_too():
    handling = Handling(strict=True, limited=True)
    run = Driver(make_plan(make_node("a"), handlers=handlers("exit"), handling=handling)).begin()
    decide.succeed(run.state, run.find("a"), Raw(b"{}"), run.tick())
    work = decide.pop_startable(run.state, processes=True)
    assert decide.start(run.state, work, run.tick()) == run.state.seq


def test_while_handlers_run_nothing_can_be_asked_for():
    run = drive(make_node("a"), timeout=60.0)
    run.fail("a")
    before = run.state.seq
    for request in (decide.cancel, decide.pause, decide.resume):
        assert not run.ask(request)
    assert run.state.seq == before
    assert decide.time_left_to_run(run.state, run.tick(1000)) is None


def test_a_paused_run_starts_no_handler_until_it_is_resumed():
    run = drive(make_node("a"))
    run.ask(decide.pause)
    run.succeed("a")
    assert (run.state.status, run.started) == ("paused", [])
    resumed = Driver(run.state.plan, events=run.journal).begin()
    assert (resumed.state.status, resumed.started) == ("paused", [])
    resumed.ask(decide.resume)
    assert resumed.started == ["handler:success"]


def test_a_paused_run_that_is_cancelled_starts_its_handlers():
    run = drive(make_node("a"))
    run.ask(decide.pause)
    run.succeed("a")
    run.ask(decide.cancel)
    assert run.started == ["handler:cancelled"]


def test_a_handler_that_was_cut_off_runs_again_as_the_same_attempt_and_no_other_does():
    run = drive(make_node("a"))
    run.fail("a").succeed("handler:failure")
    second = Driver(run.state.plan, events=run.journal).begin()
    assert second.started == ["handler:exit"]
    work = second.find("handler:exit")
    assert (work.attempt, work.epoch) == (1, 2)
    assert second.journal[len(run.journal)].type is Type.RUN_ENDING
    assert second.journal[len(run.journal)].data == {"engine": "test"}
    second.succeed("handler:exit")
    assert (second.state.status, second.state.error["type"]) == ("failed", "node_failed")
    assert picture(replayed(second)) == picture(second.state)


@pytest.mark.parametrize("upto", [1, 2, 3, 4])
def test_a_run_that_was_cut_off_between_any_events_of_its_end_ends_the_same(upto):
    run = drive(make_node("a"), handlers=handlers("exit"))
    run.fail("a").succeed("handler:exit")
    assert len(run.journal) == 8
    second = finish(Driver(run.state.plan, events=run.journal[: 3 + upto]).begin())
    assert (second.state.status, second.state.error) == ("failed", run.state.error)
    starts = [e for e in second.journal if e.node_id == "handler:exit" and e.type == "node.running"]
    assert len(starts) == (2 if upto == 3 else 1)


def test_a_run_that_was_cut_off_while_it_was_cancelled_goes_on_with_its_handlers():
    run = drive(make_node("a"))
    run.ask(decide.cancel)
    second = Driver(run.state.plan, events=run.journal).begin()
    assert second.statuses() == {"a": "cancelled"}
    assert second.started == ["handler:cancelled"]
    assert finish(second).state.status == "cancelled"


def test_what_an_older_dagrun_journaled_without_handlers_can_be_read():
    plain = drive(make_node("a"), handlers={}).fail("a")
    state = Driver(make_plan(make_node("a"), handlers=handlers(*ALL)), events=plain.journal).state
    assert state.status == "failed"
    assert run_result(state).handlers == ()


def test_a_handler_may_take_five_minutes_unless_it_says_otherwise():
    plan = make_plan(make_node("a"), handlers={"exit": handler(), "success": handler(timeout=9)})
    assert {step.handles: step.node.timeout for step in plan.handlers} == {
        HandlerEvent.EXIT: 300.0,
        HandlerEvent.SUCCESS: 9.0,
    }


def test_the_outputs_of_handlers_do_not_count_against_those_of_the_run(monkeypatch):
    monkeypatch.setattr(decide.attempts, "MAX_RUN_OUTPUTS", 10)
    run = drive(make_node("a"), handlers=handlers("exit"))
    run.succeed("a", {"n": 1}).succeed("handler:exit", {"text": "x" * 100})
    assert run.state.due[0].status == "succeeded"
    run = drive(make_node("a"), make_node("b", "a"), handlers={})
    run.succeed("a", {"n": 1}).succeed("b", {"n": 2})
    assert run.state.node("b").error["message"] == "the outputs of the run would pass 10 bytes"


def test_the_result_lists_the_handlers_that_were_called_for():
    run = drive(make_node("a"), handlers=handlers("failure", "exit", "success"))
    assert to_json(run_result(run.state))["handlers"] == []
    run.succeed("a").fail("handler:success")
    result = to_json(run_result(run.state))
    assert [node["id"] for node in result["nodes"]] == ["a"]
    first, second = result["handlers"]
    assert (first["event"], first["id"], first["status"]) == (
        "success",
        "handler:success",
        "failed",
    )
    assert first["error"] == {"type": "boom", "message": "it failed"}
    assert (second["event"], second["status"], second["attempts"]) == ("exit", "running", 1)
    assert set(second) == {
        "event", "id", "status", "attempts", "started_at", "finished_at", "outputs", "error",
    }  # fmt: skip
    assert "handlers" not in to_json(run_result(drive(make_node("a"), handlers={}).state))


def test_no_document_can_call_a_node_like_a_handler():
    assert not any(map(is_id, HANDLER_IDS))
    assert all(map(is_node_id, [*HANDLER_IDS, "a-node"]))
    assert not any(map(is_node_id, ["handler:", "handler:../x", "a:b", "", ".."]))


ERROR = {"error": {"type": "x", "message": "y"}}
ENDING = {"data": {"status": "failed", **ERROR}}


def event(seq, kind, **fields):
    return Event("r", seq, fields.pop("epoch", 1), kind, START, **fields)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (event(7, Type.RUN_SUCCEEDED), "the run comes to failed"),
        (event(7, Type.RUN_FAILED, data=ERROR), "2 nodes have not ended"),
        (event(7, Type.RUN_ENDING, **ENDING), "the run is ending already"),
        (event(7, Type.RUN_CANCELLING), "the run is ending"),
        (event(7, Type.RUN_PAUSED), "the run is ending"),
        (event(7, Type.RUN_RUNNING, epoch=2), "the run is ending"),
        (event(7, Type.NODE_RUNNING, node_id="a", attempt=2), "it has failed already"),
        (event(7, Type.NODE_RUNNING, node_id="b", attempt=1), "it has skipped already"),
        (event(7, Type.NODE_RUNNING, node_id="handler:exit", attempt=1), "not the turn"),
        (event(7, Type.NODE_RUNNING, node_id="handler:success", attempt=1), "not the turn"),
        (event(7, Type.NODE_RUNNING, node_id="handler:other", attempt=1), "no such node"),
        (event(7, Type.NODE_RUNNING, node_id="handler:failure", attempt=2), "next attempt is 1"),
        (event(7, Type.NODE_SUCCEEDED, node_id="handler:failure", attempt=1), "it is pending"),
        (event(7, Type.NODE_CANCELLED, node_id="handler:failure"), "does not happen"),
        (event(7, Type.NODE_SKIPPED, node_id="handler:failure"), "does not happen"),
    ],
)
def test_an_event_that_cannot_follow_the_decision_is_refused(bad, reason):
    plan = make_plan(make_node("a"), make_node("b", "a"), handlers=handlers(*ALL))
    state = Driver(plan).begin().state
    apply(state, event(4, Type.NODE_FAILED, node_id="a", attempt=1, data=ERROR))
    apply(state, event(5, Type.NODE_SKIPPED, node_id="b", data={"reason": "x"}))
    apply(state, event(6, Type.RUN_ENDING, **ENDING))
    before = picture(state)
    with pytest.raises(IllegalEvent, match=reason):
        apply(state, bad)
    assert picture(state) == before


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (event(4, Type.RUN_ENDING, **ENDING), "1 attempts are still running"),
        (event(4, Type.RUN_ENDING, data={"status": "cancelled"}), "the run is running"),
        (event(4, Type.NODE_RUNNING, node_id="handler:exit", attempt=1), "not the turn"),
    ],
)
def test_no_end_is_decided_while_the_graph_is_running(bad, reason):
    run = drive(make_node("a"))
    with pytest.raises(IllegalEvent, match=reason):
        apply(run.state, bad)


def test_a_handler_that_stands_in_line_or_runs_is_not_started_twice():
    run = drive(make_node("a"), handlers=handlers("exit"))
    decide.succeed(run.state, run.find("a"), Raw(b"{}"), run.tick())
    decide.advance(run.state, run.tick())
    run.take()
    decide.advance(run.state, run.tick())
    run.take()
    assert run.started == ["a", "handler:exit"]
