"""Whatever the graph and the outcomes: what must hold for a run that is run again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from dagrun.domain import decide
from dagrun.domain.events import Type, is_kept
from dagrun.domain.rerun import rerun, retry
from dagrun.domain.status import NodeStatus
from dagrun.testing.checker import check
from dagrun.testing.drive import Driver, picture, replayed
from dagrun.testing.graphs import plans


def fails(seed, work):
    """Whether an attempt fails: the same for every order of ends."""
    return (
        random.Random(f"{seed}/{work.node.step.node.id}/{work.index}/{work.attempt}").random() < 0.4
    )


def finish(driver, order, failing=lambda _work: False, most=1000):
    """End attempts in some order until the run has ended, or for some steps."""
    choice = random.Random(order)
    for _ in range(most):
        if driver.state.ended:
            return driver
        driver.wake()
        if driver.going:
            end_one(driver, choice, failing)
    assert most < 1000, "the run does not end"
    return driver


def end_one(driver, choice, failing):
    work = choice.choice(driver.going)
    node_id = work.node.step.node.id
    if failing(work):
        driver.fail(node_id, work.index, draw=choice.random())
    else:
        driver.succeed(node_id, {"id": node_id, "item": work.index}, work.index)


def ended(plan, seed, order, after):
    """A run with failures that has ended, or that was cancelled after some steps."""
    driver = finish(Driver(plan).begin(), order, lambda work: fails(seed, work), most=after)
    if driver.ask(decide.cancel):
        for work in [work for work in driver.going if work.node.step.handles is None]:
            driver.stop(work.node.step.node.id, work.index)
    return finish(driver, order)


def again(driver, what, order):
    """Run once more what is not kept, without a failure."""
    second = Driver(driver.state.plan, again=what).begin()
    assert [e.type for e in second.journal if is_kept(e)] == kept_types(second)
    finish(second, order)
    assert check(driver.state.plan.workflow, second.journal) == []
    assert picture(replayed(second)) == picture(second.state)
    return second


def kept_types(driver):
    """What stands between the acceptance of a run and its begin."""
    begun = [e.type for e in driver.journal].index(Type.RUN_RUNNING)
    return [e.type for e in driver.journal[1:begun]]


def started(driver):
    return {(e.node_id, e.item) for e in driver.journal if e.type is Type.NODE_RUNNING}


def results(state):
    """What the nodes and the run came to."""
    nodes = [
        (node.status, node.reason, node.outputs and bytes(node.outputs)) for node in state.nodes
    ]
    return state.status, nodes


def below(plan, seeds):
    """Some nodes and all that depend on them, found in another way than dagrun does."""
    found = set(seeds)
    for _ in plan.steps:
        found |= {
            node.id for node in plan.workflow.nodes if not found.isdisjoint(node.dependencies)
        }
    return found


def of_nodes(state, *statuses):
    return {node.step.node.id for node in state.nodes if node.status in statuses}


AFTER = st.one_of(st.just(1000), st.integers(0, 12))


@given(plans(7), st.integers(), st.integers(), AFTER)
def test_a_retry_runs_what_is_not_kept_and_nothing_else(plan, seed, order, after):
    first = ended(plan, seed, order, min(after, 999))
    what = retry(first.state)
    second = again(first, what, order + 1)
    undone = below(plan, of_nodes(first.state, NodeStatus.FAILED, NodeStatus.CANCELLED))
    assert what.nodes == undone
    for node in second.state.nodes:
        node_id = node.step.node.id
        kept_items = {index for index, item in node.items.items() if item.kept_from}
        assert (node.kept_from is None) == (node_id in undone)
        assert not {(node_id, index) for index in kept_items} & started(second)
        if node_id in undone and node.items:
            assert kept_items == kept_of(first.state, node_id, undone)
        if node.kept_from is None and node.status is NodeStatus.SUCCEEDED and node.values is None:
            assert (node_id, None) in started(second)


def kept_of(state, node_id, undone):
    """The items of a node that runs once more that need not run once more."""
    node = state.node(node_id)
    if not undone.isdisjoint(node.step.node.dependencies):
        return set()
    return {i for i, item in node.items.items() if item.status is NodeStatus.SUCCEEDED}


@given(plans(7), st.integers(), st.integers(), AFTER)
def test_a_retry_without_failures_ends_as_a_run_in_which_nothing_has_failed(
    plan, seed, order, after
):
    first = ended(plan, seed, order, min(after, 999))
    second = again(first, retry(first.state), order + 1)
    tolerated = {
        (node.step.node.id, index)
        for node in second.state.nodes
        for index, item in node.items.items()
        if item.status is NodeStatus.FAILED
    }

    def lost(work):
        return (work.node.step.node.id, work.index) in tolerated

    whole = finish(Driver(plan).begin(), order + 2, lost)
    assert results(second.state) == results(whole.state)


@given(plans(7), st.integers(), st.integers(), AFTER, st.integers(0, 6))
def test_a_rerun_from_a_node_runs_it_whole_with_all_that_depends_on_it(
    plan, seed, order, after, number
):
    first = ended(plan, seed, order, min(after, 999))
    chosen = plan.steps[number % len(plan.steps)].node.id
    second = again(first, rerun(first.state, from_node=chosen), order + 1)
    undone = {
        node.step.node.id
        for node in first.state.nodes
        if node.failed or node.status is NodeStatus.CANCELLED
    }
    more = below(plan, undone | {chosen})
    for old, new in zip(first.state.nodes, second.state.nodes, strict=True):
        node_id = old.step.node.id
        assert (new.kept_from is None) == (node_id in more)
        if new.kept_from is not None:
            assert results_of(new) == results_of(old)
        if node_id in below(plan, {chosen}):
            assert not any(item.kept_from for item in new.items.values())


def results_of(node):
    items = [(i, item.status, item.error) for i, item in sorted(node.items.items())]
    return node.status, node.reason, node.error, node.outputs and bytes(node.outputs), items


@given(plans(7), st.integers(), st.integers(), AFTER)
def test_a_rerun_of_everything_keeps_nothing(plan, seed, order, after):
    first = ended(plan, seed, order, min(after, 999))
    second = again(first, rerun(first.state), order + 1)
    whole = finish(Driver(plan).begin(), order + 1)
    assert not any(is_kept(event) for event in second.journal)
    assert results(second.state) == results(whole.state)


@given(plans(7), st.integers(), st.integers(), st.integers(), AFTER)
def test_retries_of_retries_name_the_run_in_which_each_node_was_done(
    plan, seed, other, order, after
):
    first = ended(plan, seed, order, min(after, 999))
    second = Driver(plan, again=retry(first.state)).begin()
    finish(second, order, lambda work: fails(other, work))
    third = again(second, retry(second.state), order + 2)
    assert third.state.rerun_of == second.state.run_id
    for one, two, three in zip(*(d.state.nodes for d in (first, second, third)), strict=True):
        if three.kept_from == first.state.run_id:
            assert two.kept_from == first.state.run_id
            assert results_of(three) == results_of(one)
        elif three.kept_from is not None:
            assert (three.kept_from, two.kept_from) == (second.state.run_id, None)


@given(plans(7), st.integers(), st.integers(), AFTER, st.integers(0, 30))
def test_a_retry_that_is_cut_off_anywhere_comes_to_the_same_end(plan, seed, order, after, cut):
    first = ended(plan, seed, order, min(after, 999))
    second = again(first, retry(first.state), order + 1)
    least = len(kept_types(second)) + 1
    prefix = second.journal[: max(least, min(cut, len(second.journal) - 1))]
    resumed = Driver(plan, events=list(prefix))
    finish(resumed.begin(), order + 3)
    assert results(resumed.state) == results(second.state)
    assert check(plan.workflow, resumed.journal) == []


@given(plans(7), st.integers(), st.integers(), AFTER)
def test_a_retry_that_is_cancelled_before_it_begins_ends_cancelled(plan, seed, order, after):
    first = ended(plan, seed, order, min(after, 999))
    second = Driver(plan, again=retry(first.state))
    second.take()
    assert second.ask(decide.cancel)
    assert second.state.status == "cancelled"
    assert check(plan.workflow, second.journal) == []
    assert picture(replayed(second)) == picture(second.state)
