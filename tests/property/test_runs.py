"""Whatever the graph, the outcomes and the order of ends: what must hold for every run."""

import random

import attrs
from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain import decide
from dagrun.domain.events import Type
from dagrun.domain.jsonvalue import encode
from dagrun.domain.retry import next_delay, time_left
from dagrun.domain.workflow import RetryPolicy, TriggerRule
from dagrun.testing.checker import check
from dagrun.testing.drive import Driver, make_plan, picture, replayed
from dagrun.testing.graphs import graphs, handlers, plans


def outcome(seed, node_id, item, attempt):
    """Whether an attempt succeeds: the same for every order of ends."""
    return random.Random(f"{seed}/{node_id}/{item}/{attempt}").random() < 0.6


def finish(driver, seed, order):
    """End attempts in some order until the run has ended."""
    choice = random.Random(order)
    for _ in range(1000):
        if driver.state.ended:
            return driver
        driver.wake()
        if driver.going:
            end_one(driver, seed, choice)
    raise AssertionError("the run does not end")


def end_one(driver, seed, choice):
    work = choice.choice(driver.going)
    node_id = work.node.step.node.id
    if outcome(seed, node_id, work.index, work.attempt):
        driver.succeed(node_id, {"id": node_id}, work.index)
    else:
        driver.fail(node_id, work.index, draw=choice.random())


def by_child(seed, node_id, item, attempt):
    """Whether an attempt hands over to a child run."""
    return random.Random(f"child/{seed}/{node_id}/{item}/{attempt}").random() < 0.6


def finish_with_children(driver, seed, order, *, most=1000):
    """The same as :func:`finish`, but some attempts hand over to children."""
    choice = random.Random(order)
    for _ in range(most):
        if driver.state.ended:
            return driver
        if not driver.going and driver.waiting and not driver.state.retrying:
            assert decide.parked(driver.state)
        assert not (driver.going and decide.parked(driver.state))
        driver.wake()
        if driver.going or driver.waiting:
            end_or_hand_over(driver, seed, choice)
    assert most < 1000, "the run does not end"
    return driver


def end_or_hand_over(driver, seed, choice):
    work = choice.choice([*driver.going, *driver.waiting])
    what = (seed, work.node.step.node.id, work.index, work.attempt)
    if work in driver.waiting:
        assert not driver.child_ended(work, "succeeded", run_id="another")
        if outcome(*what):
            assert driver.child_ended(work, "succeeded", outputs=encode({"id": what[1]}))
        else:
            assert driver.child_ended(work, "failed", error={"type": "boom", "message": "no"})
    elif by_child(*what) and work.node.step.handles is None:
        driver.wait(what[1], f"{what[1]}-{work.index}-{work.attempt}", work.index)
    elif outcome(*what):
        driver.succeed(what[1], {"id": what[1]}, work.index)
    else:
        driver.fail(what[1], work.index, draw=choice.random())


def ends(driver):
    """What a run came to, without times and without what depends on which item was first."""
    state = driver.state
    return (
        state.status,
        [(node.status, node.reason, node.outputs and bytes(node.outputs)) for node in state.nodes],
        state.error and state.error["type"],
        [(handler.step.node.id, handler.status) for handler in state.due],
    )


@given(plans(7), st.integers(), st.integers(), st.integers())
def test_any_order_of_ends_gives_the_same_result(plan, seed, one, other):
    first = finish(Driver(plan).begin(), seed, one)
    second = finish(Driver(plan).begin(), seed, other)
    assert ends(first) == ends(second)


@given(plans(7), st.integers(), st.integers())
def test_a_replayed_journal_gives_the_live_state(plan, seed, order):
    driver = finish(Driver(plan).begin(), seed, order)
    assert picture(replayed(driver)) == picture(driver.state)
    assert check(plan.workflow, driver.journal) == []


@given(plans(7), st.integers(), st.integers(), st.integers(0, 30))
def test_a_run_cut_off_anywhere_comes_to_the_same_end(plan, seed, order, cut):
    whole = finish(Driver(plan).begin(), seed, order)
    prefix = whole.journal[: max(2, min(cut, len(whole.journal) - 1))]
    second = finish(Driver(plan, events=prefix).begin(), seed, order + 1)
    assert ends(second) == ends(whole)
    assert picture(replayed(second)) == picture(second.state)
    assert check(plan.workflow, second.journal) == []
    completed = [e for e in prefix if e.type in (Type.NODE_SUCCEEDED, Type.NODE_FAILED)]
    again = [e for e in second.journal[len(prefix) :] if e.type is Type.NODE_RUNNING]
    assert not {(e.node_id, e.item) for e in completed} & {(e.node_id, e.item) for e in again}


@given(plans(7), st.integers(), st.integers())
def test_children_give_the_result_that_attempts_give_in_any_order(plan, seed, order):
    plain = finish(Driver(plan).begin(), seed, order)
    driver = finish_with_children(Driver(plan).begin(), seed, order + 1)
    assert ends(driver) == ends(plain)
    assert picture(replayed(driver)) == picture(driver.state)
    assert check(plan.workflow, driver.journal) == []
    assert driver.state.waiting == driver.state.retrying == 0


@given(plans(7), st.integers(), st.integers(), st.integers(0, 40))
def test_a_run_cut_off_anywhere_attaches_to_the_children_that_it_had(plan, seed, order, cut):
    whole = finish_with_children(Driver(plan).begin(), seed, order)
    prefix = whole.journal[: max(2, min(cut, len(whole.journal) - 1))]
    second = Driver(plan, events=prefix).begin(lost=True)
    assert [work.child for work in second.waiting] == children_left(prefix)
    finish_with_children(second, seed, order + 1)
    assert ends(second) == ends(whole)
    assert picture(replayed(second)) == picture(second.state)
    assert check(plan.workflow, second.journal) == []
    started = [e.data["child"] for e in second.journal if e.type is Type.NODE_WAITING]
    assert len(started) == len(set(started))


@given(plans(7), st.integers(), st.integers(), st.integers(0, 20))
def test_a_state_that_was_kept_goes_on_as_if_its_journal_had_happened_again(
    plan, seed, order, after
):
    kept = finish_with_children(Driver(plan).begin(), seed, order, most=after)
    if kept.state.ended:
        return
    kept.going.clear()
    fresh = Driver(plan, events=list(kept.journal))
    fresh.now = kept.now
    for driver in (kept, fresh):
        finish_with_children(driver.begin(), seed, order + 1)
    assert picture(kept.state) == picture(fresh.state)
    assert [plain(event) for event in kept.journal] == [plain(event) for event in fresh.journal]


def plain(event):
    """Give an event without its data, of which there are two copies."""
    return attrs.evolve(event, data=None)


def children_left(journal):
    """The children whose ends are not in a journal, in the order in which a state lists them."""
    last = {}
    for event in journal:
        if event.node_id is not None:
            last[event.node_id, event.item] = event
    left = [e for e in last.values() if e.type is Type.NODE_WAITING]
    left.sort(key=lambda e: (e.node_id, -1 if e.item is None else e.item))
    return [event.data["child"] for event in left]


@given(plans(7), st.integers(), st.integers(), st.integers(0, 12))
def test_a_run_that_is_cancelled_ends_when_all_its_children_have(plan, seed, order, after):
    driver = finish_with_children(Driver(plan).begin(), seed, order, most=after)
    if not driver.ask(decide.cancel):
        return
    for work in [work for work in driver.going if work.node.step.handles is None]:
        driver.stop(work.node.step.node.id, work.index)
    while driver.waiting:
        assert driver.state.status == "cancelling"
        assert decide.parked(driver.state)
        assert driver.child_ended(driver.waiting[0], "cancelled")
    while driver.going:  # handlers
        end_one(driver, seed, random.Random(order))
    assert driver.state.status == "cancelled"
    assert picture(replayed(driver)) == picture(driver.state)
    assert check(plan.workflow, driver.journal) == []


@given(plans(7), st.integers(), st.integers())
def test_no_node_runs_before_what_it_needs(plan, seed, order):
    driver = finish(Driver(plan).begin(), seed, order)
    specs = {node.id: node for node in plan.workflow.nodes}
    ended, failed = set(), set()
    for event in driver.journal:
        if event.type is Type.RUN_ENDING:
            assert ended == specs.keys()
            break
        if event.type is Type.NODE_RUNNING:
            needs = set(specs[event.node_id].dependencies)
            rescue = specs[event.node_id].trigger_rule is TriggerRule.ONE_FAILED
            assert needs <= ended or (rescue and needs & failed)
        elif event.item is None and event.type in (
            Type.NODE_SUCCEEDED,
            Type.NODE_FAILED,
            Type.NODE_SKIPPED,
        ):
            ended.add(event.node_id)
            if event.type is Type.NODE_FAILED and not specs[event.node_id].allow_failure:
                failed.add(event.node_id)


@given(plans(7), st.integers(), st.integers())
def test_no_work_has_more_attempts_than_its_policy_allows(plan, seed, order):
    driver = finish(Driver(plan).begin(), seed, order)
    most = {node.id: node.retry.max_attempts for node in plan.workflow.nodes}
    for event in driver.journal:
        assert (event.attempt or 0) <= most.get(event.node_id, 1) if event.node_id else True
        if event.type is Type.NODE_RETRYING:
            assert event.data["delay"] <= 3.0


@given(plans(7), st.integers(), st.integers(), st.integers(0, 12))
def test_a_cancelled_run_ends_cancelled_and_starts_nothing_more(plan, seed, order, after):
    driver = Driver(plan).begin()
    choice = random.Random(order)
    for _ in range(after):
        driver.wake()
        if driver.going and not driver.state.ended:
            end_one(driver, seed, choice)
    if not driver.ask(decide.cancel):
        assert driver.state.ended or driver.state.status == "ending"
        return
    asked = driver.state.seq
    while driver.going:
        end_one(driver, seed, choice)
    assert driver.state.status == "cancelled"
    started = [e.node_id for e in driver.journal if e.type is Type.NODE_RUNNING and e.seq > asked]
    wanted = ["handler:cancelled", "handler:exit"]
    assert [name for name in wanted if name in started] == started
    assert picture(replayed(driver)) == picture(driver.state)


@given(graphs(7), handlers(), st.integers(), st.integers())
def test_handlers_run_after_the_graph_and_change_nothing_of_the_result(nodes, events, seed, order):
    plain = finish(Driver(make_plan(*nodes)).begin(), seed, order)
    handled = finish(Driver(make_plan(*nodes, handlers=events)).begin(), seed, order)
    assert ends(handled)[:3] == ends(plain)[:3]
    own = {"succeeded": "success", "failed": "failure"}[plain.state.status]
    wanted = [f"handler:{event}" for event in (own, "exit") if event in events]
    graph = plain.journal[:-1]
    assert kinds(handled.journal[: len(graph)]) == kinds(graph)
    ran = [e.node_id for e in handled.journal[len(graph) :] if e.type is Type.NODE_RUNNING]
    assert ran == wanted
    if not wanted:
        assert kinds(handled.journal) == kinds(plain.journal)


def kinds(events):
    return [(e.type, e.node_id, e.item, e.attempt, e.data and dict(e.data)) for e in events]


@given(plans(7), st.integers(), st.integers(), st.integers(0, 60))
def test_a_request_changes_nothing_once_the_outcome_is_decided(plan, seed, order, when):
    whole = finish(Driver(plan).begin(), seed, order)
    decided = [e.seq for e in whole.journal if e.type is Type.RUN_ENDING]
    if not decided:
        return
    prefix = whole.journal[: min(decided[0] + when, len(whole.journal) - 1)]
    second = Driver(plan, events=prefix).begin()
    for request in (decide.cancel, decide.pause, decide.resume):
        assert not second.ask(request)
    assert ends(finish(second, seed, order)) == ends(whole)


@given(
    st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 10**6),
        first_delay=st.floats(0, 1e6),
        backoff=st.floats(1, 1e6),
        max_delay=st.floats(0, 1e6),
        jitter=st.floats(0, 1),
    ),
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
)
def test_a_wait_stays_within_its_cap(policy, attempt, draw):
    delay = next_delay(policy, attempt, draw)
    assert (delay is None) == (attempt >= policy.max_attempts)
    assert delay is None or 0 <= delay <= policy.max_delay


@given(st.floats(0, 1e6), st.floats(-1e9, 1e9))
def test_what_is_left_of_a_wait_is_clamped_whatever_the_clocks_say(delay, elapsed):
    assert 0 <= time_left(delay, elapsed) <= delay
