"""Faults of the disk, the file and other processes, with real files and real processes."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
import trio

from dagrun.builtin.sqlite import SqliteStore
from dagrun.builtin.sqlite.schema import LATEST
from dagrun.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreTooNew
from dagrun.testing.checker import check
from dagrun.testing.drive import make_node, make_plan
from dagrun.testing.journals import add_run, journal, new_run

LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
print("locked", flush=True)
time.sleep(0.7)
connection.execute("rollback")
"""
OPENER = """
import pathlib, sys, trio
from dagrun.builtin.sqlite import SqliteStore
from dagrun.testing.journals import add_run

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with SqliteStore(path=pathlib.Path(sys.argv[1])) as store:
        for number in range(3):
            await add_run(store, f"r-{sys.argv[2]}-{number}")

trio.run(main)
"""
WRITER = """
import os, pathlib, signal, sys, trio
from dagrun.builtin.sqlite import SqliteStore
from dagrun.testing.drive import Driver, make_node, make_plan
from dagrun.testing.journals import definition, new_run

point, count = sys.argv[2], int(sys.argv[3])

def hook(name):
    global count
    if name == point:
        count -= 1
        if not count:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    driver = Driver(make_plan(*(make_node(f"n{n}") for n in range(3000)))).begin()
    async with SqliteStore(path=pathlib.Path(sys.argv[1]), hook=hook) as store:
        await store.commit([], new_runs=[new_run()], definitions=[definition()])
        done = 0
        for number in range(3000):
            driver.succeed(f"n{number}")
            batch = driver.journal[done:]
            await store.commit(batch[: max(1, len(batch) // 2)])
            done += max(1, len(batch) // 2)
            print(done, flush=True)

trio.run(main)
"""
PLAN = make_plan(*(make_node(f"n{n}") for n in range(3000)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dagrun.db"


@pytest.fixture
def spawn(launch):
    return lambda script, *arguments: launch("-c", script, *arguments)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk; max_page_count shows the same below")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def fill(store, size):
    """Commit runs until there is no room. Gives the ids of the acknowledged ones."""
    stored = []
    for number in range(1000):
        run_id = f"r{number:04}"
        try:
            await store.commit(journal(run_id, "x" * size), new_runs=[new_run(run_id)])
        except StoreFull:
            return stored
        stored.append(run_id)
    raise AssertionError("the disk never filled")


async def stored_runs(store):
    """Give the ids of all runs, each of which must be whole."""
    runs, _ = await store.runs(limit=10_000)
    for run in runs:
        assert run.last_seq == len(await store.events(run.run_id)) == 7
    return sorted(run.run_id for run in runs)


# no room


async def test_a_full_database_takes_nothing_and_recovers(path):
    async with SqliteStore(path=path) as store:
        store._database._connection.execute("pragma max_page_count = 60")
        stored = await fill(store, 5000)
        assert stored
        assert await stored_runs(store) == stored
        store._database._connection.execute("pragma max_page_count = 100000")
        await add_run(store, "s")
        assert await stored_runs(store) == [*stored, "s"]


async def test_a_full_disk_takes_nothing_and_recovers(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    async with SqliteStore(path=small_disk / "dagrun.db") as store:
        stored = await fill(store, 5000)
        assert stored
        assert await stored_runs(store) == stored
        ballast.unlink()
        await add_run(store, "s")
    async with SqliteStore(path=small_disk / "dagrun.db") as store:
        assert await stored_runs(store) == [*stored, "s"]


async def test_a_store_cannot_be_made_on_a_full_disk(small_disk):
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(b"x" * 2_000_000)
    with pytest.raises(StoreFull):
        async with SqliteStore(path=small_disk / "dagrun.db"):
            pass


async def test_a_reader_on_a_full_disk_is_told_that_it_is_full(small_disk):
    path = small_disk / "dagrun.db"
    async with SqliteStore(path=path) as store:
        await add_run(store)
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(b"x" * 2_000_000)
    with pytest.raises(StoreFull) as caught:
        async with SqliteStore(path=path) as store:
            await store.runs()
    assert str(path) in str(caught.value)
    (small_disk / "ballast").unlink()
    async with SqliteStore(path=path) as store:
        assert await stored_runs(store) == ["r"]


# bad files


async def refused(path, kind, *words):
    """The store refuses the file, names it, says what to do, and leaves it as it is."""
    before = path.read_bytes()
    with pytest.raises(kind) as caught:
        async with SqliteStore(path=path) as store:
            await store.events("r")
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert path.read_bytes() == before


async def make_database(path):
    async with SqliteStore(path=path) as store:
        for number in range(50):
            await add_run(store, f"r{number}")


@pytest.mark.parametrize("garbage", [b"\0" * 5000, b"not a database" * 500, b"x"])
async def test_a_file_of_garbage_is_refused(path, garbage):
    path.write_bytes(garbage)
    await refused(path, StoreCorrupt, "backup", "move it away")


async def test_a_truncated_database_is_refused(path):
    await make_database(path)
    os.truncate(path, path.stat().st_size // 2)
    await refused(path, StoreCorrupt, "backup")


async def test_a_database_of_another_program_is_refused(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table theirs (x)")
        connection.execute("pragma user_version = 77")
    await refused(path, StoreCorrupt, "another program", "another data directory")


async def test_a_newer_schema_is_refused(path):
    await make_database(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"pragma user_version = {LATEST + 1}")
    await refused(path, StoreTooNew, f"schema {LATEST + 1}", f"knows {LATEST}", "update dagrun")


async def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        async with SqliteStore(path=tmp_path / "file" / "dagrun.db"):
            pass


async def test_a_folder_in_the_place_of_the_file_is_named(path):
    path.mkdir()
    with pytest.raises(StoreError, match=r"dagrun\.db"):
        async with SqliteStore(path=path):
            pass


async def test_a_torn_end_of_the_log_costs_whole_commits_only(path, spawn):
    writer = spawn(WRITER, path, "committed", 20)
    writer.wait()
    log = path.with_name("dagrun.db-wal")
    os.truncate(log, log.stat().st_size - 100)
    async with SqliteStore(path=path) as store:
        events = await store.events("r")
        assert events
        assert (await store.run("r")).last_seq == len(events)
        assert check(PLAN.workflow, events) == []


# other processes


async def test_a_locked_database_delays_writers_but_no_reader(path, spawn):
    async with SqliteStore(path=path) as store:
        await add_run(store, upto=2)
        locker = spawn(LOCKER, path)
        assert locker.read_line() == "locked"
        begun = time.monotonic()
        read_after = []

        async def read():
            await store.events("r")
            read_after.append(time.monotonic() - begun)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.commit, journal())
            nursery.start_soon(read)
        assert time.monotonic() - begun > 0.5
        assert read_after[0] < 0.4
        assert await store.events("r") == journal()


async def test_a_database_locked_for_too_long_is_busy_and_nothing_of_the_commit_is_written(
    path, spawn
):
    async with SqliteStore(path=path, busy_timeout=0.1) as store:
        locker = spawn(LOCKER, path)
        assert locker.read_line() == "locked"
        with pytest.raises(StoreBusy, match="held by another process"):
            await add_run(store)
        locker.wait()
        assert await stored_runs(store) == []
        await add_run(store)
        assert await stored_runs(store) == ["r"]


async def test_many_processes_may_make_one_store_at_once(path, spawn):
    processes = [spawn(OPENER, path, number) for number in range(6)]
    assert {process.read_line() for process in processes} == {"ready"}
    for process in processes:
        process.say("go")
    assert [process.wait() for process in processes] == [0] * 6
    async with SqliteStore(path=path) as store:
        assert len(await stored_runs(store)) == 18


async def test_after_kill_9_every_acknowledged_commit_is_there(path, spawn):
    writer = spawn(WRITER, path, "never", 0)
    for _ in range(100):
        acknowledged = int(writer.read_line())
    writer.kill()
    rest, _ = writer.communicate()
    acknowledged = max([acknowledged, *map(int, rest.splitlines())])
    async with SqliteStore(path=path) as store:
        events = await store.events("r")
        assert len(events) >= acknowledged
        assert check(PLAN.workflow, events) == []


@pytest.mark.parametrize("point", ["begun", "written", "committed"])
async def test_a_kill_at_a_failpoint_leaves_a_prefix(path, spawn, point):
    writer = spawn(WRITER, path, point, 5)
    out, _ = writer.communicate()
    assert writer.returncode == -signal.SIGKILL
    acknowledged = int(out.splitlines()[-1])
    async with SqliteStore(path=path) as store:
        events, run = await store.events("r"), await store.run("r")
        assert run.last_seq == len(events)
        assert (len(events) > acknowledged) is (point == "committed")
        assert check(PLAN.workflow, events) == []
        journaled = {node.node_id for node in await store.nodes("r")}
        assert journaled == {event.node_id for event in events if event.node_id}
