"""Runs whose programs have ended are gone on with, whatever became of some of them."""

import sqlite3
from contextlib import closing

import pytest
import trio

import dagrun
from dagrun import Node, Placement, Workflow
from dagrun.builtin.sqlite import SqliteStore
from dagrun.roles.local import Local
from dagrun.testing.gated import gated, rig


@pytest.fixture
def go(tmp_path):
    """A file that nodes wait for."""
    return tmp_path / "go"


@pytest.fixture
def waiting(go):
    command = f"while ! test -e {go}; do sleep 0.02; done"
    return Workflow("waiting", "1.0.0", nodes=[Node("a", executor=dagrun.shell(command))])


@pytest.fixture
async def cut_off(data_dir, waiting):
    """Three runs of a program that has ended."""
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(waiting)
        return [(await orchestrator.start_workflow("waiting")).run_id for _ in range(3)]


def damage(data_dir, run_id):
    with closing(sqlite3.connect(data_dir / "dagrun.db", isolation_level=None)) as connection:
        connection.execute("delete from events where run_id = ? and seq = 1", (run_id,))


async def status(orchestrator, run_id):
    return (await orchestrator.get_run(run_id)).status


async def test_a_damaged_run_is_told_and_the_others_go_on(data_dir, cut_off, go, caplog):
    damage(data_dir, cut_off[0])
    go.touch()
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        runs = await orchestrator.recover()
        assert [run.run_id for run in runs] == cut_off[1:]
        assert [(await run.result()).status for run in runs] == ["succeeded"] * 2
    assert f"run {cut_off[0]} cannot be gone on with" in caplog.text
    assert "is damaged" in caplog.text


def row(data_dir, run_id):
    with closing(sqlite3.connect(data_dir / "dagrun.db")) as connection:
        query = "select owner, epoch, last_seq from runs where run_id = ?"
        return connection.execute(query, (run_id,)).fetchone()


@pytest.mark.parametrize(
    "change",
    [
        "delete from events where run_id = ? and seq = 1",
        "delete from events where run_id = ? and seq = 2",
        "update runs set last_seq = last_seq - 1 where run_id = ?",
        "update events set epoch = 7 where run_id = ? and seq = 2",
        "update runs set inputs = '[]' where run_id = ?",
    ],
)
async def test_a_damaged_run_is_left_as_it_is_and_nobodys(data_dir, cut_off, change, caplog):
    with closing(sqlite3.connect(data_dir / "dagrun.db", isolation_level=None)) as connection:
        connection.execute(change, (cut_off[0],))
    before = row(data_dir, cut_off[0])
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        assert len(await orchestrator.recover()) == 2
        assert row(data_dir, cut_off[0]) == before
    assert f"run {cut_off[0]} cannot be gone on with" in caplog.text


@pytest.mark.parametrize("first", ["taken over", "read"])
async def test_a_run_that_is_taken_over_while_it_is_read_is_not_called_damaged(
    data_dir, cut_off, go, monkeypatch, caplog, first
):
    go.touch()
    real = SqliteStore.events
    async with (
        dagrun.open_orchestrator(data_dir=data_dir) as slow,
        dagrun.open_orchestrator(data_dir=data_dir) as fast,
    ):

        async def events(store, run_id, **options):
            monkeypatch.setattr(SqliteStore, "events", real)
            early = await real(store, run_id, **options)
            for run in await fast.recover():
                await run.result()
            return early if first == "read" else await real(store, run_id, **options)

        monkeypatch.setattr(SqliteStore, "events", events)
        assert await slow.recover() == []
        assert [await status(slow, run_id) for run_id in cut_off] == ["succeeded"] * 3
    assert caplog.text == ""


async def test_a_paused_run_stays_paused_until_it_is_resumed(data_dir, waiting, go):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(waiting)
        run_id = (await orchestrator.start_workflow("waiting")).run_id
        assert await orchestrator.pause(run_id)
    go.touch()
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        (run,) = await orchestrator.recover()
        with trio.move_on_after(0.2):
            await run.result()
        assert await status(orchestrator, run_id) == "paused"
        assert await orchestrator.resume(run_id)
        assert (await run.result()).status == "succeeded"


async def test_two_who_recover_at_once_share_the_runs(data_dir, cut_off, go):
    found = []

    async def recover(orchestrator):
        found.extend(run.run_id for run in await orchestrator.recover())

    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(recover, orchestrator)
        assert sorted(found) == cut_off
        go.touch()


async def test_an_own_run_that_ends_meanwhile_is_no_trouble(
    data_dir, cut_off, go, waiting, monkeypatch
):
    real = Local.go_on
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(waiting)
        mine = await orchestrator.start_workflow("waiting")
        seen = []

        async def go_on(local, run_id, **options):
            go.touch()
            await mine.result()
            seen.append(run_id)
            # Its ticket is gone by now; what recover() found of it is old.
            if len(seen) == 1:
                await real(local, mine.run_id, **options)
            return await real(local, run_id, **options)

        monkeypatch.setattr(Local, "go_on", go_on)
        assert {run.run_id for run in await orchestrator.recover()} == set(cut_off[1:])


async def test_what_is_told_of_a_run_is_on_disk(data_dir, waiting, go, monkeypatch):
    real, held, let_go = SqliteStore.commit, trio.Event(), trio.Event()

    async def commit(store, events, **options):
        if any(event.type == "run.succeeded" for event in events):
            held.set()
            await let_go.wait()
        return await real(store, events, **options)

    monkeypatch.setattr(SqliteStore, "commit", commit)
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(waiting)
        run = await orchestrator.start_workflow("waiting")
        go.touch()
        with trio.fail_after(20):
            await held.wait()
        assert await status(orchestrator, run.run_id) == "running"
        let_go.set()
        assert (await run.result()).status == "succeeded"
        assert await status(orchestrator, run.run_id) == "succeeded"


async def test_a_run_that_waits_is_taken_over_with_its_key_and_its_patience(tmp_path):
    database = tmp_path / "data" / "dagrun.db"
    placed = gated(placement=Placement(key="of ${inputs.name}"), start_timeout=1.0)
    async with rig(tmp_path / "data", store=SqliteStore(path=database), capacity=1) as r:
        first = await r.submit(gated(), "first")
        second = await r.submit(placed, "second")
    async with rig(tmp_path / "data", store=SqliteStore(path=database), capacity=1) as r:
        await r.local.go_on(first.run_id)
        ticket = await r.local.go_on(second.run_id)
        assert ticket.key == "of second"
        await ticket.wait()
        assert ticket.state.error["type"] == "start_timeout"
        assert r.gates.began == ["first"]
