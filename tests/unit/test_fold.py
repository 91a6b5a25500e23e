"""How a run goes from event to event."""

from datetime import timedelta

import pytest

from dagrun.domain import decide, scope
from dagrun.domain.events import Event, Type
from dagrun.domain.fold import IllegalEvent, apply
from dagrun.domain.jsonvalue import decode
from dagrun.domain.plan import Handling
from dagrun.domain.result import run_result, to_json
from dagrun.domain.state import RunState
from dagrun.domain.workflow import OnEngineLoss, RetryPolicy
from dagrun.testing.drive import START, Driver, make_node, make_plan, picture, replayed

STRICT = Handling(strict=True, limited=False)


def drive(*nodes, inputs=None, handling=None, **fields):
    plan = make_plan(*nodes, **({"handling": handling} if handling else {}), **fields)
    return Driver(plan, inputs).begin()


def test_nodes_without_dependencies_start_at_once():
    assert drive(make_node("a"), make_node("b"), make_node("c", "a")).started == ["a", "b"]


def test_a_node_starts_when_its_last_dependency_has_succeeded():
    run = drive(make_node("a"), make_node("b"), make_node("c", "a", "b"))
    assert run.succeed("a").started == ["b"]
    assert run.succeed("b").started == ["c"]
    run.succeed("c")
    assert run.state.status == "succeeded"


def test_a_failure_skips_what_depends_on_it_and_fails_the_run():
    run = drive(make_node("a"), make_node("b", "a"), make_node("c", "b"))
    run.fail("a")
    assert run.statuses() == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert run.state.status == "failed"
    assert run.state.error == {"type": "node_failed", "message": "node a: boom: it failed"}
    assert run.state.nodes[1].reason == "dependency a failed"
    assert run.state.nodes[2].reason == "dependency b was skipped"


def test_an_allowed_failure_counts_as_success_with_null_outputs():
    run = drive(
        make_node("a", allow_failure=True),
        make_node("b", "a", when="nodes.a == json.null"),
        outputs={"a": "${nodes.a}"},
    )
    run.fail("a")
    assert run.started == ["b"]
    run.succeed("b")
    assert run.state.status == "succeeded"
    assert bytes(run.state.outputs) == b'{"a":null}'


@pytest.mark.parametrize(
    ("rule", "failed", "skipped", "succeeded"),
    [
        ("all_succeeded", False, False, True),
        ("all_done", True, True, True),
        ("none_failed", False, True, True),
        ("one_failed", True, False, False),
    ],
)
def test_a_trigger_rule_decides_from_how_the_dependency_ended(rule, failed, skipped, succeeded):
    def starts(when, end):
        run = drive(make_node("a", when=when), make_node("b", "a", trigger_rule=_rule(rule)))
        end(run)
        return run.started == ["b"]

    assert starts("true", lambda run: run.fail("a")) is failed
    assert starts("false", lambda run: run.take()) is skipped
    assert starts("true", lambda run: run.succeed("a")) is succeeded


def _rule(word):
    from dagrun.domain.workflow import TriggerRule

    return TriggerRule(word)


def test_one_failed_starts_while_other_dependencies_are_running():
    run = drive(
        make_node("a"), make_node("b"), make_node("c", "a", "b", trigger_rule=_rule("one_failed"))
    )
    run.fail("b")
    assert run.started == ["a", "c"]
    run.succeed("c").succeed("a")
    assert run.state.status == "failed"
    assert replayed(run).status == "failed"


def test_a_false_condition_skips_and_is_journaled_before_the_skip():
    run = drive(make_node("a"), make_node("b", "a", when="nodes.a.n > 1"))
    run.succeed("a", {"n": 1})
    assert [str(event.type) for event in run.journal[-3:]] == [
        "node.ready",
        "node.skipped",
        "run.succeeded",
    ]
    assert run.journal[-3].data == {"when": False}
    assert run.state.nodes[1].reason == "when: nodes.a.n > 1"


def test_a_condition_that_gives_no_boolean_fails_its_node():
    run = drive(make_node("a", when="1 + 1"))
    assert run.state.nodes[0].error["type"] == "expression"
    assert run.state.status == "failed"


def test_items_run_at_most_max_parallel_at_a_time_and_keep_their_order():
    run = drive(
        make_node("a", for_each=("x", "y", "z"), max_parallel=2),
        outputs={"all": "${nodes.a}"},
    )
    assert run.started == ["a[0]", "a[1]"]
    run.succeed("a", {"n": 1}, 1)
    assert run.started == ["a[0]", "a[2]"]
    run.succeed("a", {"n": 2}, 2).succeed("a", {"n": 0}, 0)
    assert bytes(run.state.outputs) == b'{"all":[{"n":0},{"n":1},{"n":2}]}'
    assert picture(replayed(run)) == picture(run.state)


def test_for_each_over_nothing_succeeds_with_an_empty_array():
    run = drive(make_node("a", for_each="${inputs.list}"), inputs={"list": []})
    assert run.state.status == "succeeded"
    assert bytes(run.state.nodes[0].outputs) == b"[]"


def test_for_each_over_something_else_fails_the_node():
    run = drive(make_node("a", for_each="${inputs.list}"), inputs={"list": 3})
    assert run.state.nodes[0].error == {
        "type": "expression",
        "message": "for_each needs a list, not a number",
    }


def test_after_an_item_failed_no_more_start_and_the_node_fails_when_the_rest_has_ended():
    run = drive(make_node("a", for_each=(1, 2, 3, 4), max_parallel=2))
    run.fail("a", 1)
    assert run.started == ["a[0]"]
    assert run.state.status == "running"
    run.succeed("a", None, 0)
    assert run.state.nodes[0].error == {"type": "item_failed", "message": "item 1: it failed"}
    items = to_json(run_result(run.state))["nodes"][0]["items"]
    assert [item["status"] for item in items] == ["succeeded", "failed", "skipped", "skipped"]


def test_items_that_stand_in_line_are_dropped_when_too_many_failed():
    run = drive(make_node("a", for_each=(1, 2, 3), retry=RetryPolicy(max_attempts=2)))
    run.fail("a", 0)
    run.fail("a", 1, retryable=False)
    run.succeed("a", None, 2)
    assert run.statuses() == {"a": "failed"}
    assert picture(replayed(run)) == picture(run.state)


def test_tolerated_items_leave_null_in_their_place():
    run = drive(make_node("a", for_each=(1, 2), tolerate=1), outputs={"a": "${nodes.a}"})
    run.fail("a", 0).succeed("a", {"n": 2}, 1)
    assert bytes(run.state.outputs) == b'{"a":[null,{"n":2}]}'


def test_a_failed_attempt_is_followed_by_another_one_after_the_delay():
    run = drive(make_node("a", retry=RetryPolicy(max_attempts=2, first_delay=5, jitter=0)))
    run.fail("a")
    assert run.started == []
    assert run.journal[-1].data == {
        "error": {"type": "boom", "message": "it failed"},
        "delay": 5,
    }
    run.wake()
    assert run.state.nodes[0].attempt == 2
    run.fail("a")
    assert run.state.status == "failed"


def test_retry_when_decides_which_errors_are_worth_another_attempt():
    node = make_node("a", retry=RetryPolicy(max_attempts=3, when="error.type ~= 'lua'"))
    assert drive(node).fail("a", type="lua").state.status == "failed"
    assert drive(node).fail("a", type="exit_code").state.status == "running"


def test_a_cancelled_run_ends_when_its_last_attempt_has_been_stopped():
    run = drive(make_node("a"), make_node("b"), make_node("c", "a"))
    assert run.ask(decide.cancel)
    assert run.state.status == "cancelling"
    run.stop("a")
    assert run.state.status == "cancelling"
    run.succeed("b")
    assert run.state.status == "cancelled"
    assert run.statuses() == {"a": "cancelled", "b": "succeeded", "c": "cancelled"}
    assert not run.ask(decide.cancel)
    assert picture(replayed(run)) == picture(run.state)


def test_a_failure_during_cancellation_is_not_retried():
    run = drive(make_node("a", retry=RetryPolicy(max_attempts=3)))
    run.ask(decide.cancel)
    run.fail("a")
    assert run.statuses() == {"a": "failed"}
    assert run.state.status == "cancelled"


def test_a_run_that_takes_too_long_fails_with_the_reason():
    run = drive(make_node("a"), timeout=90.0)
    run.ask(decide.cancel, reason=decide.TIMEOUT)
    run.stop("a")
    assert run.state.status == "failed"
    assert run.state.error == {"type": "timeout", "message": "the run took longer than 1m30s"}


def test_a_paused_run_starts_nothing_until_it_is_resumed():
    run = drive(make_node("a"), make_node("b", "a"), timeout=100.0)
    assert run.ask(decide.pause)
    run.succeed("a")
    assert run.started == []
    left = decide.time_left_to_run(run.state, run.now)
    assert decide.time_left_to_run(run.state, run.tick(1000)) == left > 90
    assert run.ask(decide.resume)
    assert run.started == ["b"]
    assert decide.time_left_to_run(run.state, run.now) > 90


def test_at_a_hand_over_a_clock_that_differs_takes_no_more_than_there_is_from_a_timeout():
    run = drive(make_node("a"), timeout=100.0)
    assert decide.time_left_to_run(run.state, run.now - timedelta(hours=1)) == 100
    assert decide.time_left_to_run(run.state, run.now + timedelta(hours=1)) == 0
    assert decide.time_left_to_run(drive(make_node("a")).state, run.now) is None


def test_a_resumed_run_repeats_what_was_running_as_the_same_attempt():
    first = drive(make_node("a"), make_node("b"), make_node("c", "a", "b"))
    first.succeed("a")
    second = Driver(first.state.plan, events=first.journal).begin()
    assert second.started == ["b"]
    assert second.state.nodes[1].attempt == 1
    assert second.state.nodes[1].epoch == second.state.epoch == 2
    second.succeed("b").succeed("c")
    assert second.state.status == "succeeded"


def test_a_resumed_run_goes_on_with_items_retries_and_conditions():
    first = drive(
        make_node("a", for_each=(1, 2, 3), max_parallel=2, retry=RetryPolicy(max_attempts=2)),
        make_node("b", "a", when="nodes.a[1].n == 1"),
    )
    first.succeed("a", {"n": 1}, 0).fail("a", 1)
    second = Driver(first.state.plan, events=first.journal).begin()
    assert second.started == ["a[2]"]
    second.wake()
    assert second.find("a", 1).attempt == 2
    second.succeed("a", None, 1).succeed("a", None, 2)
    assert second.started == ["b"]
    second.succeed("b")
    assert second.state.status == "succeeded"
    assert picture(replayed(second)) == picture(second.state)


def test_a_resumed_run_that_was_being_cancelled_ends_cancelled():
    first = drive(make_node("a"))
    first.ask(decide.cancel)
    second = Driver(first.state.plan, events=first.journal).begin()
    assert second.state.status == "cancelled"
    assert second.statuses() == {"a": "cancelled"}


def test_a_resumed_run_that_was_paused_stays_paused():
    first = drive(make_node("a"))
    first.ask(decide.pause)
    second = Driver(first.state.plan, events=first.journal).begin()
    assert second.started == []
    assert second.ask(decide.resume)
    assert second.started == ["a"]


def test_on_engine_loss_fail_does_not_repeat_the_node():
    first = drive(
        make_node("a", on_engine_loss=OnEngineLoss.FAIL, retry=RetryPolicy(max_attempts=5))
    )
    second = Driver(first.state.plan, events=first.journal).begin()
    assert second.state.nodes[0].error["type"] == "engine_lost"
    assert second.state.status == "failed"


def test_a_strict_node_waits_for_its_own_start_and_others_for_its_end():
    run = drive(make_node("a"), make_node("b", "a"), handling=STRICT)
    state = run.state
    assert state.nodes[0].hold == run.journal[-1].seq
    run.succeed("a")
    assert state.nodes[0].hold == run.journal[-2].seq


def test_what_waits_for_a_strict_node_waits_through_skipped_ones():
    plan = make_plan(
        make_node("a"),
        make_node("b", "a", when="false"),
        make_node("c", "b", trigger_rule=_rule("all_done")),
    )
    plan.steps[0].strict = True
    run = Driver(plan).begin()
    work = run.find("a")
    decide.succeed(run.state, work, b"{}", run.tick())
    end = run.state.nodes[0].hold
    pending = decide.pop_startable(run.state, processes=False)
    assert decide.start(run.state, pending, run.tick()) == end > 0


def test_outputs_of_a_run_that_cannot_be_computed_fail_it():
    run = drive(make_node("a"), outputs={"x": "${nodes.a.n + 1}"})
    run.succeed("a", {"n": "text"})
    assert run.state.error["type"] == "outputs"


def event(seq, kind, **fields):
    return Event("r", seq, fields.pop("epoch", 1), kind, START, **fields)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (event(4, Type.NODE_RUNNING, node_id="a", attempt=1), "expected seq 3"),
        (event(3, Type.NODE_RUNNING, node_id="b", attempt=1), "dependencies do not allow"),
        (event(3, Type.NODE_RUNNING, node_id="a", attempt=2), "next attempt is 1"),
        (event(3, Type.NODE_RUNNING, node_id="x", attempt=1), "no such node"),
        (event(3, Type.NODE_RUNNING, node_id="a", item=0, attempt=1), "no such item"),
        (event(3, Type.NODE_RUNNING, node_id="a", attempt=1, epoch=2), "new epoch begins"),
        (event(3, Type.NODE_SUCCEEDED, node_id="a", attempt=1), "it is pending"),
        (event(3, Type.NODE_CANCELLED, node_id="a"), "nothing was cancelled"),
        (event(3, Type.RUN_SUCCEEDED), "2 nodes have not ended"),
        (event(3, Type.RUN_CANCELLED), "the run is running"),
        (event(3, Type.RUN_QUEUED), "the run is running"),
        (event(3, Type.RUN_PAUSED, epoch=0), "the epoch is 1 already"),
    ],
)
def test_an_event_that_cannot_follow_is_refused(bad, reason):
    state = drive_to_running()
    before = picture(state)
    with pytest.raises(IllegalEvent, match=reason):
        apply(state, bad)
    assert picture(state) == before


def test_no_retry_is_announced_beyond_the_policy():
    run = drive(make_node("a"))
    bad = event(4, Type.NODE_RETRYING, node_id="a", attempt=1, data={"error": {}, "delay": 0})
    with pytest.raises(IllegalEvent, match="1 attempts are all that it has"):
        apply(run.state, bad)


def drive_to_running():
    driver = Driver(make_plan(make_node("a"), make_node("b", "a")))
    apply(driver.state, event(2, Type.RUN_RUNNING))
    return driver.state


def test_nothing_follows_the_end_of_a_run():
    run = drive(make_node("a"))
    run.succeed("a")
    with pytest.raises(IllegalEvent, match="the run has succeeded already"):
        apply(run.state, event(run.state.seq + 1, Type.RUN_RUNNING))


def test_items_that_stood_in_line_stand_there_again_under_the_next_epoch():
    driver = Driver(make_plan(make_node("a", for_each=(1, 2, 3))))
    for epoch in (1, 2):
        decide.begin(driver.state, driver.tick(), epoch=epoch, engine="test")
    driver.take()
    assert [work.index for work in driver.going] == [0, 1, 2]


def test_a_run_whose_timeout_passed_while_nobody_held_it_starts_nothing_more():
    run = drive(make_node("a"), make_node("b", "a"), timeout=60.0)
    resumed = Driver(run.state.plan, events=run.journal)
    resumed.tick(3600)
    resumed.begin()
    assert resumed.started == []
    assert resumed.state.status == "failed"
    assert resumed.state.error["type"] == "timeout"
    assert resumed.statuses() == {"a": "cancelled", "b": "cancelled"}


def test_cut_off_items_of_a_node_that_fails_anyway_are_not_made_again():
    run = drive(make_node("a", for_each=tuple(range(6)), max_parallel=3))
    run.fail("a", 1)
    resumed = Driver(run.state.plan, events=run.journal).begin()
    assert resumed.started == []
    assert resumed.state.status == "failed"
    assert resumed.state.error["message"] == "node a: item_failed: item 1: it failed"


def test_after_giving_up_a_failed_item_is_not_tried_again():
    retry = RetryPolicy(max_attempts=5)
    run = drive(make_node("a", for_each=(1, 2), retry=retry))
    run.fail("a", 0, retryable=False)
    run.fail("a", 1)
    assert run.state.status == "failed"


def test_items_are_given_up_as_soon_as_their_outputs_are_too_large_together(monkeypatch):
    monkeypatch.setattr(decide.items, "MAX_AGGREGATE", 100)
    run = drive(make_node("a", for_each=tuple(range(50)), max_parallel=1))
    for item in range(4):
        run.succeed("a", {"x": "y" * 20}, item)
    assert run.started == []
    assert run.state.nodes[0].error["type"] == "output"
    assert "more than 100 bytes" in run.state.nodes[0].error["message"]


def test_a_retry_condition_that_fails_is_told_of():
    retry = RetryPolicy(max_attempts=3, when="error.code > 3")
    run = drive(make_node("a", retry=retry)).fail("a")
    error = run.state.nodes[0].error
    assert error["type"] == "boom"
    assert error["message"].startswith("it failed (not tried again: retry.when: error.code > 3: ")


def test_an_env_that_is_too_large_in_a_retry_condition_fails_its_node_only():
    retry = RetryPolicy(max_attempts=3, when="env.X ~= ''")
    env = {"X": "${ {inputs.s, inputs.s} }"}
    run = drive(make_node("a", retry=retry), make_node("b"), inputs={"s": "x" * 600_000}, env=env)
    run.fail("a").succeed("b")
    assert run.statuses() == {"a": "failed", "b": "succeeded"}
    assert "at most 1048576 are allowed" in run.state.nodes[0].error["message"]


def test_the_reason_of_a_pause_survives_a_hand_over():
    run = drive(make_node("a"))
    run.ask(decide.pause, reason="poison")
    resumed = Driver(run.state.plan, events=run.journal).begin()
    assert resumed.state.reason == "poison"
    assert resumed.journal[-1].data == {"engine": "test", "reason": "poison"}
    resumed.ask(decide.resume)
    assert resumed.state.reason is None


def test_items_of_a_cancelled_run_are_cancelled_whether_or_not_they_were_started():
    run = drive(make_node("a", for_each=(1, 2, 3), max_parallel=1))
    run.succeed("a", item=0)
    states = [item.status for item in run_result(run.state).nodes[0].items]
    assert states == ["succeeded", "running", "pending"]
    run.ask(decide.cancel)
    run.stop("a", 1)
    states = [item.status for item in run_result(run.state).nodes[0].items]
    assert states == ["succeeded", "cancelled", "cancelled"]


def test_outputs_are_decoded_once_for_all_items_that_look_at_them(monkeypatch):
    decoded = []

    def counting(raw):
        decoded.append(bytes(raw))
        return decode(raw)

    monkeypatch.setattr(scope, "decode", counting)
    run = drive(
        make_node("a"),
        make_node("b", "a", for_each=(1, 2, 3), inputs={"row": "${nodes.a.rows[item]}"}),
    )
    run.succeed("a", {"rows": [7, 8, 9]})
    assert [scope.node_inputs(run.state, work)["row"] for work in run.going] == [7, 8, 9]
    assert len(decoded) == 1


@pytest.mark.parametrize("kind", [Type.NODE_SKIPPED, Type.NODE_FAILED])
def test_a_node_cannot_end_without_an_attempt_while_it_waits(kind):
    run = drive(make_node("a"), make_node("b", "a"))
    data = {"error": {"type": "x", "message": "y"}, "reason": "z"}
    with pytest.raises(IllegalEvent, match="dependencies"):
        apply(run.state, event(run.state.seq + 1, kind, node_id="b", data=data))


def with_items():
    return drive(make_node("a", for_each=(1, 2), max_parallel=1))


@pytest.mark.parametrize(
    ("run", "kind", "fields", "reason"),
    [
        (with_items(), Type.NODE_SUCCEEDED, {"item": 1, "attempt": 1}, "item was never started"),
        (with_items(), Type.NODE_RUNNING, {"attempt": 1}, "has no attempts of its own"),
        (with_items(), Type.NODE_READY, {}, "it is "),
        (with_items(), Type.NODE_SUCCEEDED, {}, "not all items have succeeded"),
        (with_items(), Type.NODE_FAILED, {}, "items of it have not ended"),
        (with_items(), Type.NODE_SKIPPED, {}, "it is "),
        (drive(make_node("a")), Type.NODE_RUNNING, {"attempt": 1}, "attempt 1 is running"),
        (drive(make_node("a")), Type.NODE_FAILED, {"attempt": 2}, "attempt 1 is running"),
    ],
)
def test_an_end_that_does_not_fit_the_attempts_is_refused(run, kind, fields, reason):
    before = picture(run.state)
    data = {"error": {"type": "x", "message": "y"}}
    with pytest.raises(IllegalEvent, match=reason):
        apply(run.state, event(run.state.seq + 1, kind, node_id="a", data=data, **fields))
    assert picture(run.state) == before


def test_a_run_is_not_cancelled_twice_under_one_epoch():
    run = drive(make_node("a"))
    run.ask(decide.cancel)
    assert run.state.status == "cancelling"
    with pytest.raises(IllegalEvent, match="being cancelled already"):
        apply(run.state, event(run.state.seq + 1, Type.RUN_CANCELLING))


def test_requests_that_a_run_cannot_follow_change_nothing():
    run = drive(make_node("a"))
    before = picture(run.state)
    assert decide.requeue(run.state, run.tick()) is False
    assert decide.expire(run.state, run.tick()) is False
    assert picture(run.state) == before


def test_the_nulls_of_tolerated_items_count_for_the_size_of_the_outputs(monkeypatch):
    monkeypatch.setattr(decide.items, "MAX_AGGREGATE", 100)
    items = make_node("a", for_each=tuple(range(100)), tolerate=99)
    run = drive(items).succeed("a", {"x": 1}, 0)
    for item in range(1, 100):
        run.fail("a", item)
    assert run.state.nodes[0].error["type"] == "output"


@pytest.mark.parametrize(("most", "status"), [(22, "succeeded"), (21, "failed")])
def test_the_size_of_the_outputs_of_items_is_counted_to_the_byte(monkeypatch, most, status):
    monkeypatch.setattr(decide.items, "MAX_AGGREGATE", most)
    run = drive(make_node("a", for_each=(1, 2, 3), tolerate=1))
    run.succeed("a", {"x": 1}, 0).fail("a", 1).succeed("a", {"y": 2}, 2)
    assert len('[{"x":1},null,{"y":2}]') == 22
    assert run.state.status == status


def test_all_that_was_going_on_is_looked_at_once_behind_however_many_hand_overs(monkeypatch):
    """A run that starts a thousand others, one by one, comes back as often."""
    looks = []
    works = RunState.works

    def watched(state):
        looks.append(state.epoch)
        return works(state)

    monkeypatch.setattr(RunState, "works", watched)
    plan = make_plan(*[make_node(f"n{number}") for number in range(5)])
    run = Driver(plan).begin()
    for _ in range(30):
        run.begin()
    looks.clear()
    again = Driver(plan, events=run.journal)
    assert looks == []
    again.begin()
    assert set(looks) == {32}
    assert again.started == [f"n{number}" for number in range(5)]
