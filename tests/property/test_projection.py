"""Rows of runs and nodes follow from the journal, however it was cut into batches."""

import random
from datetime import timedelta

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain import decide
from dagrun.domain.ids import RunId
from dagrun.domain.result import node_result
from dagrun.domain.state import NodeState
from dagrun.testing.checker import check
from dagrun.testing.drive import Driver, replayed
from dagrun.testing.graphs import plans
from dagrun.testing.journals import new_run


def drive(plan, seed):
    """Make a legal journal with failures, pauses, losses of the engine, and cancellations."""
    choice = random.Random(seed)
    driver = Driver(plan).begin()
    for _ in range(choice.randrange(40)):
        if driver.state.ended:
            break
        driver = step(driver, plan, choice)
    return driver


def step(driver, plan, choice):
    what = choice.random()
    if what < 0.05:
        return Driver(plan, events=driver.journal).begin()
    if what < 0.08:
        driver.ask(decide.cancel)
    elif what < 0.15:
        driver.ask(decide.resume if driver.state.status == "paused" else decide.pause)
    elif what < 0.3:
        driver.wake()
    elif driver.going:
        end_one(driver, choice)
    return driver


def end_one(driver, choice):
    work = choice.choice(driver.going)
    node_id, what = work.node.step.node.id, choice.random()
    if driver.state.status == "cancelling" and what < 0.5:
        driver.stop(node_id, work.index)
    elif what < 0.6:
        driver.succeed(node_id, {"number": what}, work.index)
    else:
        driver.fail(node_id, work.index, draw=what)


def batches(events, seed):
    choice, rest = random.Random(seed), list(events)
    while rest:
        count = choice.randint(1, max(1, len(rest)))
        yield rest[:count]
        del rest[:count]


async def rows(store, run_id, given, cuts):
    """Store a journal, claiming the run wherever its epoch grows, and give its rows."""
    await store.commit([], new_runs=[new_run(run_id)])
    epoch = 1
    for batch in cuts:
        for part in by_epoch(batch):
            if part[0].epoch > epoch:
                await store.claim(RunId(run_id), owner="owner", expected_epoch=epoch)
                epoch = part[0].epoch
            mine = [attrs.evolve(event, run_id=RunId(run_id)) for event in part]
            assert not (await store.commit(mine)).refused
    return picture(await store.run(RunId(run_id)), await store.nodes(RunId(run_id)))


def by_epoch(batch):
    for epoch in sorted({event.epoch for event in batch}):
        yield [event for event in batch if event.epoch == epoch]


def picture(run, found):
    return (
        attrs.evolve(run, run_id="r", outputs=text(run.outputs), inputs=b""),
        [attrs.evolve(node, run_id="r", outputs=text(node.outputs)) for node in found],
    )


def text(raw):
    return None if raw is None else bytes(raw)


@given(plans(5), st.integers(), st.integers())
def test_any_split_into_batches_gives_the_same_rows(plan, seed, cut):
    events = drive(plan, seed).journal

    async def compare():
        whole = await rows(MemoryStore(), "r", events, [events])
        assert await rows(MemoryStore(), "r", events, batches(events, cut)) == whole

    trio.run(compare)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


def test_sqlite_has_the_same_rows_as_memory(folder):
    @settings(deadline=timedelta(seconds=5))
    @given(plans(5), st.integers(), st.integers())
    def compare(plan, seed, cut):
        journals.append((drive(plan, seed).journal, cut))

    journals = []
    compare()

    async def store_all():
        async with SqliteStore(path=folder / "dagrun.db") as sqlite:
            for number, (events, cut) in enumerate(journals):
                run_id = f"r{number}"
                twin = await rows(MemoryStore(), run_id, events, [events])
                assert await rows(sqlite, run_id, events, batches(events, cut)) == twin

    trio.run(store_all)


@given(plans(5), st.integers())
def test_rows_agree_with_the_state_that_the_journal_folds_to(plan, seed):
    driver = drive(plan, seed)
    state = replayed(driver)

    async def compare():
        run, found = await rows(MemoryStore(), "r", driver.journal, [driver.journal])
        assert (run.status, run.epoch, run.last_seq) == (state.status, state.epoch, state.seq)
        assert (run.error, run.started_at) == (state.error, state.started_at)
        assert (run.finished_at, run.outputs) == (state.finished_at, text(state.outputs))
        for row in found:
            node = state.node(row.node_id)
            work = node if row.item is None else node.items[row.item]
            assert_same(row, work)

    trio.run(compare)


def assert_same(row, work):
    attempts = node_result(work).attempts if isinstance(work, NodeState) else work.attempt
    assert (row.status, row.attempts, row.error, row.started_at, row.finished_at) == (
        work.status,
        attempts,
        work.error,
        work.started_at,
        work.finished_at,
    )


@given(plans(5), st.integers())
def test_the_checker_finds_nothing_in_a_legal_journal(plan, seed):
    assert check(plan.workflow, drive(plan, seed).journal) == []
