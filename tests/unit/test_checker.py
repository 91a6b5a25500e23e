"""The history checker finds each kind of violation, and nothing in a good history."""

import attrs
import pytest

from dagrun.domain.events import Type
from dagrun.domain.workflow import ExecutorSpec, Handler, RetryPolicy, TriggerRule
from dagrun.testing.checker import check
from dagrun.testing.drive import Driver, make_node, make_plan
from dagrun.testing.effects import check_effects
from dagrun.testing.journals import ERROR, event

A_B = make_plan(make_node("a", retry=RetryPolicy(max_attempts=2)), make_node("b", "a"))


def build(plan, *steps):
    """Make a journal from pairs of a type and fields; the seqs are counted here."""
    start = (Type.RUN_QUEUED, {}), (Type.RUN_RUNNING, {})
    events = [event(n, kind, **f) for n, (kind, f) in enumerate((*start, *steps), start=1)]
    return check(plan.workflow, events)


def node(kind, node_id="a", **fields):
    attempt = 1 if kind in (Type.NODE_RUNNING, Type.NODE_SUCCEEDED) else None
    return kind, {"node_id": node_id, "attempt": attempt, **fields}


RUN, END, FAIL, SKIP = Type.NODE_RUNNING, Type.NODE_SUCCEEDED, Type.NODE_FAILED, Type.NODE_SKIPPED
AGAIN = (Type.NODE_RETRYING, {"node_id": "a", "attempt": 1})
CANCEL = (Type.RUN_CANCELLING, {})
DONE = (Type.RUN_SUCCEEDED, {})

VIOLATIONS = {
    "comes before its dependencies have ended": [node(RUN, "b")],
    "is against its trigger rule": [node(RUN), node(FAIL), node(RUN, "b")],
    "follows its end": [node(RUN), node(END), node(END)],
    "is another attempt without a journaled failure": [
        node(RUN), (Type.NODE_READY, {"node_id": "a"}), node(RUN, attempt=2),
    ],
    "starts while attempt 1 is running": [node(RUN), node(RUN)],
    "is attempt 3, and should be 2": [node(RUN), AGAIN, node(RUN, attempt=3)],
    "goes beyond 2 attempts": [node(RUN), AGAIN, node(RUN, attempt=2), AGAIN],
    "was not running": [node(END)],
    "ends attempt 2, while 1 is running": [node(RUN), node(END, attempt=2)],
    "follows the end of the run": [
        node(RUN), node(END), node(RUN, "b"), node(END, "b"), DONE, (Type.RUN_RUNNING, {}),
    ],
    "comes before the end of b": [node(RUN), node(END), DONE],
    "comes while a is running": [node(RUN), CANCEL, (Type.RUN_CANCELLED, {})],
    "hides a failed node": [node(RUN), node(FAIL), node(SKIP, "b"), DONE],
    "starts while the run is at run.cancelling": [CANCEL, node(RUN)],
    "starts while the run is at run.paused": [(Type.RUN_PAUSED, {}), node(RUN)],
    "run.running follows a cancellation": [CANCEL, (Type.RUN_RUNNING, {})],
    "run.succeeded follows a cancellation": [CANCEL, DONE],
    "follows no cancellation": [(Type.RUN_CANCELLED, {})],
    "is cancelled, and nobody asked for it": [node(RUN), node(Type.NODE_CANCELLED)],
    "comes again": [(Type.RUN_QUEUED, {})],
    "goes back from epoch 2 to 1": [(Type.RUN_RUNNING, {"epoch": 2}), (Type.RUN_RUNNING, {})],
    "begins epoch 2": [node(RUN, epoch=2)],
    "names no node of the workflow": [node(RUN, "none")],
    "is skipped before its dependencies have ended": [node(SKIP, "b")],
    "is skipped though its dependencies allow it": [node(SKIP)],
    "is skipped after it was started": [node(RUN), node(SKIP)],
}  # fmt: skip


@pytest.mark.parametrize("problem", VIOLATIONS)
def test_the_checker_says_what_is_illegal(problem):
    assert problem in "\n".join(build(A_B, *VIOLATIONS[problem]))


HANDLED = make_plan(
    make_node("a"),
    handlers=dict.fromkeys(["success", "exit"], Handler(executor=ExecutorSpec(type="none"))),
)
OVER = [node(RUN), node(END)]
OWN, LAST = "handler:success", "handler:exit"


def ending(status="succeeded", **fields):
    return Type.RUN_ENDING, {"data": {"status": status}, **fields}


HANDLER_VIOLATIONS = {
    "run.succeeded comes without handlers": [*OVER, DONE],
    "comes before the end of a": [node(RUN), ending()],
    "comes while a is running": [node(RUN), CANCEL, ending("failed")],
    "hides a failed node": [node(RUN), node(FAIL), ending()],
    "follows no cancellation": [*OVER, ending("cancelled")],
    "comes while the run is paused": [*OVER, (Type.RUN_PAUSED, {}), ending()],
    "decides twice": [*OVER, ending(), ending()],
    "decides nothing": [*OVER, (Type.RUN_ENDING, {"data": {"engine": "e"}})],
    "follows the decision about the end": [*OVER, ending(), CANCEL],
    "is not what was decided (succeeded)": [*OVER, ending(), (Type.RUN_FAILED, {})],
    "comes before the end of handler:exit": [
        *OVER, ending(), node(RUN, OWN), node(END, OWN), DONE,
    ],
    "of handler:exit comes when it is not its turn": [*OVER, ending(), node(RUN, LAST)],
    "of handler:success comes when it is not its turn": [node(RUN), node(RUN, OWN)],
    "starts while it is running": [*OVER, ending(), node(RUN, OWN), node(RUN, OWN)],
    "is attempt 2, and a handler has one": [*OVER, ending(), node(RUN, OWN, attempt=2)],
    "of handler:success was not running": [*OVER, ending(), node(END, OWN)],
    "does not happen to a handler": [*OVER, ending(), node(Type.NODE_CANCELLED, OWN)],
    "follows the end of the graph": [CANCEL, ending("cancelled"), node(RUN)],
    "names no node of the workflow": [*OVER, ending(), node(RUN, "handler:failure")],
}  # fmt: skip


@pytest.mark.parametrize("problem", HANDLER_VIOLATIONS)
def test_the_checker_says_what_is_illegal_about_handlers(problem):
    assert problem in "\n".join(build(HANDLED, *HANDLER_VIOLATIONS[problem]))


def kept(kind, node_id="a", **fields):
    return kind, {"node_id": node_id, "data": {"kept_from": "q"}, **fields}


FIRST, BEGUN = (Type.RUN_QUEUED, {"data": {"rerun_of": "q"}}), (Type.RUN_RUNNING, {})
KEPT_VIOLATIONS = {
    "is kept, and no run is run again": [(Type.RUN_QUEUED, {}), kept(END)],
    "is kept after the run has begun": [FIRST, BEGUN, kept(END)],
    "is nothing to be kept": [FIRST, kept(RUN, attempt=1)],
    "succeeded of a is nothing to be kept": [FIRST, kept(END, attempt=1)],
    "keeps a failure that is not allowed": [FIRST, kept(FAIL)],
    "is kept, and a is not": [FIRST, kept(END, "b")],
    "comes before its dependencies have ended": [FIRST, kept(END, "b")],
    "is skipped though its dependencies allow it": [FIRST, kept(SKIP)],
    "running of a follows its end (node.succeeded)": [FIRST, kept(END), BEGUN, node(RUN)],
    "was not running": [FIRST, BEGUN, node(END)],
}


@pytest.mark.parametrize("problem", KEPT_VIOLATIONS)
def test_the_checker_says_what_is_illegal_about_what_is_kept(problem):
    steps = enumerate(KEPT_VIOLATIONS[problem], start=1)
    journal = [event(number, kind, **fields) for number, (kind, fields) in steps]
    assert problem in "\n".join(check(A_B.workflow, journal))


def test_a_good_journal_with_handlers_has_no_violations():
    driver = Driver(HANDLED).begin().succeed("a").fail(OWN)
    again = Driver(HANDLED, events=driver.journal).begin().succeed(LAST)
    assert check(HANDLED.workflow, again.journal) == []


def test_a_good_journal_has_no_violations():
    driver = Driver(A_B).begin().fail("a").wake().succeed("a")
    assert check(A_B.workflow, driver.succeed("b").journal) == []


def test_an_attempt_may_be_repeated_under_the_next_epoch_only():
    driver = Driver(A_B).begin()
    again = Driver(A_B, events=driver.journal).begin()
    assert again.journal[-1].attempt == 1
    assert check(A_B.workflow, again.journal) == []


@pytest.mark.parametrize("change", ["gap", "twice", "first", "late"])
def test_a_missing_or_repeated_event_is_found(change):
    events = Driver(A_B).begin().succeed("a").succeed("b").journal
    damaged = {
        "gap": events[:2] + events[3:],
        "twice": events[:3] + events[2:],
        "first": events[1:],
        "late": [*events[:1], attrs.evolve(events[1], seq=5)],
    }
    assert "should have seq" in "\n".join(check(A_B.workflow, damaged[change]))


def test_a_journal_begins_with_a_queued_run():
    assert "is not how a journal begins" in check(A_B.workflow, [event(1, Type.RUN_RUNNING)])[0]


@pytest.mark.parametrize(
    ("rule", "kind", "problem"),
    [
        (TriggerRule.ONE_FAILED, END, "is against its trigger rule"),
        (TriggerRule.NONE_FAILED, FAIL, "is against its trigger rule"),
        (TriggerRule.ONE_FAILED, FAIL, None),
        (TriggerRule.NONE_FAILED, END, None),
        (TriggerRule.ALL_DONE, FAIL, None),
    ],
)
def test_each_trigger_rule_is_known(rule, kind, problem):
    plan = make_plan(make_node("a"), make_node("b", "a", trigger_rule=rule))
    problems = build(plan, node(RUN), node(kind, attempt=1), node(RUN, "b"))
    assert problem in problems[0] if problem else problems == []


def test_a_node_does_not_end_while_an_item_of_it_runs():
    plan = make_plan(make_node("a", for_each=(1, 2)))
    ready = (Type.NODE_READY, {"node_id": "a"})
    problems = build(plan, ready, node(RUN, item=0), node(END, attempt=None), node(END, item=0))
    assert "ends while item 0 is running" in problems[0]
    assert "a/0 follows the end of its node" in problems[1]


ENDED = [event(6, END, node_id="a", attempt=1), event(7, FAIL, node_id="b", data={"error": ERROR})]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["r a - 1 1 start", "r a - 1 1 start"], "started twice"),
        (["r a - 1 1 start", "r a - 1 1 end", "r a - 1 1 end"], "ended twice"),
        (["r a 3 1 1 end"], "r/a/3: attempt 1 of epoch 1 ended without a start"),
        (["r a - 1 1 start", "r a - 1 2 start"], "started after its end was journaled"),
        (["r a - 1 1 start", "r a - 2 1 start"], "started after its end was journaled"),
        (["r c - 1 1 start", "r c - 1 2 start", "r c - 1 1 end"], "went on after epoch 2"),
        (["r c - 1 2 start", "r d - 1 1 start"], "started after epoch 2 had begun"),
        (["r a - 1 1 sta"], "not a line of a node"),
        (["r a"], "not a line of a node"),
    ],
)
def test_double_execution_outside_is_found(lines, problem):
    assert problem in "\n".join(check_effects(lines, ENDED))


def test_a_lost_attempt_may_be_repeated_outside():
    lines = [
        "r a - 1 1 start",
        "r a - 1 1 end",
        "r c 0 1 1 start",
        "r c 0 1 2 start",
        "s a - 1 1 start",
    ]
    assert check_effects(lines, ENDED) == []
