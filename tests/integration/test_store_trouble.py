"""A program goes on when its disk is full for a while, or somebody else holds its database."""

import sqlite3
from contextlib import contextmanager

import pytest
import trio

from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain.workflow import Node, Workflow
from dagrun.errors import StoreBusy, StoreFull
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import DATABASE, Submission, open_local
from dagrun.settings import Settings
from dagrun.testing.managed import managed


@contextmanager
def held(path):
    """Hold the database as another process would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("begin immediate")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@contextmanager
def full(store):
    """Let the file of an open store not grow any more."""
    connection = store._database._connection
    (pages,) = connection.execute("pragma page_count").fetchone()
    connection.execute(f"pragma max_page_count = {pages}")
    try:
        yield
    finally:
        connection.execute("pragma max_page_count = 1073741823")


def two(go):
    # What it gives is so large that a full file cannot take it in what is left of a page.
    give = """printf '{"text": "%0100000d"}' 0 > $DAGRUN_OUTPUT"""
    wait = f"while ! test -e {go}; do sleep 0.02; done; {give}"
    return Workflow(
        "two",
        "1.0.0",
        nodes=[
            Node("a", executor={"type": "shell", "command": wait}),
            Node("b", executor={"type": "lua", "code": "return {}"}, dependencies=["a"]),
        ],
    )


def opened(tmp_path, store):
    settings = Settings(data_dir=tmp_path / "data", parallel=2)
    return open_local(load_plugins().registry, settings, store=store)


@pytest.mark.parametrize(("trouble", "error"), [(held, StoreBusy), (full, StoreFull)])
async def test_submissions_are_refused_and_what_runs_goes_on_when_it_is_over(
    tmp_path, trouble, error
):
    path, go = tmp_path / "data" / DATABASE, tmp_path / "go"
    store = SqliteStore(path=path, busy_timeout=0.1)
    large = {"text": "x" * 100_000}  # as above
    async with opened(tmp_path, store) as local:
        running = await local.submit(Submission(workflow=two(go), inputs={}))
        with trio.fail_after(20):
            while not running.state or not running.state.running:  # noqa: ASYNC110 — nobody tells of it
                await trio.sleep(0.01)
        with trouble(path if trouble is held else store):
            with pytest.raises(error):
                await local.submit(Submission(workflow=two(go), inputs=large))
            assert [run.run_id for run in (await store.runs())[0]] == [running.run_id]
            go.touch()
            await trio.sleep(0.3)
            assert not running.gone
        again = await local.submit(Submission(workflow=two(go), inputs=large))
        await running.wait()
        await again.wait()
        assert [running.state.status, again.state.status] == ["succeeded"] * 2
        assert len((await store.runs())[0]) == 2


async def test_an_orchestrator_tells_people_and_subscribers_of_a_full_disk(tmp_path, caplog):
    store = SqliteStore(path=tmp_path / DATABASE)
    large = Submission(workflow=two(tmp_path / "go"), inputs={"text": "x" * 100_000})
    hub = Hub()
    async with (
        managed(tmp_path, lambda: MemoryTransport(hub=hub), store=store, engine=False) as it,
        it.leading.monitor.subscribe(types=["store"]) as events,
    ):
        with full(store):
            for _ in range(2):
                with pytest.raises(StoreFull):
                    await it.leading.submit(large)
        await it.leading.submit(large)
        told = [await anext(events) for _ in range(2)]
    assert [(one.type, one.severity) for one in told] == [
        ("store.blocked", "critical"),
        ("store.unblocked", "info"),
    ]
    assert str(tmp_path) in told[0].data["message"]
    assert [one.levelname for one in caplog.records if one.name == "dagrun.roles.orchestrator"] == [
        "ERROR",
        "WARNING",
    ]
