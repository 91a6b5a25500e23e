"""What only the SQLite store promises: its file, its schema, its times."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dagrun.builtin.sqlite import SqliteStore, assignments, children, messages, read, schema, write
from dagrun.builtin.sqlite.read import LOG_OF_ALL, LOG_OF_RUN, read_log
from dagrun.builtin.sqlite.schema import APPLICATION, LATEST
from dagrun.domain.events import Type
from dagrun.errors import StoreCorrupt, StoreError, StoreTooNew
from dagrun.testing.journals import NOON, add_run, event, journal, new_run


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "dagrun.db"


async def test_a_new_file_has_our_mark_and_schema(path):
    async with SqliteStore(path=path):
        assert ask(path, "pragma application_id") == [(APPLICATION,)]
        assert ask(path, "pragma user_version") == [(LATEST,)]
        assert ask(path, "pragma journal_mode") == [("wal",)]
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_an_empty_file_becomes_a_store(path):
    path.parent.mkdir()
    path.touch()
    async with SqliteStore(path=path) as store:
        await add_run(store)


async def test_times_sort_as_text(path):
    whole, later = NOON, NOON.replace(microsecond=1)
    async with SqliteStore(path=path) as store:
        await store.commit(
            [event(1, Type.RUN_QUEUED, time=whole), event(2, Type.RUN_RUNNING, time=later)],
            new_runs=[new_run()],
        )
        rows = ask(path, "select time from events order by time")
        assert rows == [
            ("2026-01-01T12:00:00.000000+00:00",),
            ("2026-01-01T12:00:00.000001+00:00",),
        ]


async def test_outputs_are_stored_once(path):
    async with SqliteStore(path=path) as store:
        await store.commit(journal(outputs="needle" * 5)[:6], new_runs=[new_run()])
        rows = [*ask(path, "select * from nodes"), *ask(path, "select * from runs")]
        assert "needleneedle" not in str(rows)
        assert str(ask(path, "select * from events")).count("needleneedleneedle") == 1


@pytest.mark.parametrize(
    "statement",
    [
        write._CHANGED_RUNS,
        write._STANDINGS,
        messages._TAKE,
        messages._COUNT,
        messages._DESCENDANTS,
        children._EARLIER,
        children._PARENTS,
        assignments._STANDINGS,
        assignments._ASSIGN,
        read.UNFINISHED,
    ],
)
async def test_nothing_that_is_done_often_looks_through_all_runs_or_messages(path, statement):
    async with SqliteStore(path=path):
        with closing(sqlite3.connect(path)) as connection:
            values = ["[]"] * statement.count("?")
            plan = connection.execute(f"explain query plan {statement}", values).fetchall()
    tables = {"runs", "messages", "child", "parent"}
    steps = [detail.split() for *_, detail in plan]
    assert not [step for step in steps if step[0] == "SCAN" and step[1] in tables], plan
    assert [step for step in steps if step[0] == "SEARCH" and step[1] in tables], plan


@pytest.mark.parametrize(
    ("statement", "values"), [(LOG_OF_ALL, (1000, 500)), (LOG_OF_RUN, ("r", 1000, 500))]
)
async def test_a_page_of_the_log_is_found_without_looking_through_or_sorting_the_rest(
    path, statement, values
):
    async with SqliteStore(path=path):
        with closing(sqlite3.connect(path)) as connection:
            plan = connection.execute(f"explain query plan {statement}", values).fetchall()
    steps = [detail for *_, detail in plan]
    assert {detail.split()[0] for detail in steps} <= {"SEARCH", "CORRELATED"}, steps
    assert any("events_that_place" in detail for detail in steps), steps


@pytest.mark.parametrize("run_id", [None, "big"])
async def test_a_page_of_a_large_log_takes_few_steps(path, run_id):
    async with SqliteStore(path=path) as store:
        many = [event(seq, Type.NODE_RUNNING, "big", node_id="a") for seq in range(3, 20_001)]
        await store.commit([*journal("big")[:2], *many], new_runs=[new_run("big")])
        for number in range(200):
            await add_run(store, f"r{number}")
        with closing(sqlite3.connect(path)) as connection:
            steps = 0

            def count():
                nonlocal steps
                steps += 100

            connection.set_progress_handler(count, 100)
            page = read_log(connection, run_id, 10_000, 500)
    assert [entry.position for entry in page] == list(range(10_001, 10_501))
    assert {entry.engine_id for entry in page} == {"e"}
    assert steps < 120_000


async def test_a_failing_step_leaves_the_store_usable(path):
    def hook(name):
        if name == "written" and steps:
            raise steps.pop()

    steps = [OSError("once")]
    async with SqliteStore(path=path, hook=hook) as store:
        with pytest.raises(OSError, match="once"):
            await add_run(store)
        await add_run(store)
        assert await store.events("r") == journal()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("update events set type = 'node.dreamt' where seq = 2", StoreTooNew, "'node.dreamt'"),
        ("update events set time = 'noon'", StoreCorrupt, "a row is damaged"),
        ("update events set data = '{\"outputs\": '", StoreCorrupt, "a row is damaged"),
        ("update runs set status = 'confused'", StoreCorrupt, "a row is damaged"),
        ("update runs set inputs = x'ff'", StoreCorrupt, "a row is damaged"),
    ],
)
async def test_what_cannot_be_understood_is_refused_with_the_files_name(
    path, change, error, message
):
    async with SqliteStore(path=path) as store:
        await add_run(store)
        await store.commit(journal("r", 2)[1:])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(change)
        with pytest.raises(error, match=message) as caught:
            await (store.run("r") if "runs" in change else store.events("r"))
        assert str(path) in str(caught.value)


async def test_events_that_are_counted_and_gone_are_damage_to_whoever_writes_them_again(path):
    async with SqliteStore(path=path) as store:
        await add_run(store, upto=3)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("delete from events where seq = 3")
        with pytest.raises(StoreCorrupt, match="event 3 of run r is missing") as caught:
            await store.commit(journal()[2:4])
        assert str(path) in str(caught.value)
        assert len(await store.events("r")) == 2


@pytest.mark.parametrize("change", ["drop table nodes", "alter table nodes rename item to itom"])
async def test_a_table_that_is_not_as_it_was_made_is_damage(path, change):
    async with SqliteStore(path=path) as store:
        await add_run(store)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(change)
        with pytest.raises(StoreCorrupt, match="is damaged, or no database") as caught:
            await store.nodes("r")
        assert str(path) in str(caught.value)


def removed(path):
    path.unlink()


def replaced(path):
    for file in path.parent.glob("dagrun.db*"):
        fresh = file.with_name("fresh")
        fresh.write_bytes(file.read_bytes())
        fresh.replace(file)


@pytest.mark.parametrize("lose", [removed, replaced])
async def test_nothing_is_acknowledged_when_the_file_lost_its_name(path, lose):
    async with SqliteStore(path=path) as store:
        await add_run(store, upto=2)
        lose(path)
        there = {file.name: file.stat().st_ino for file in path.parent.iterdir()}
        with pytest.raises(StoreError) as read:
            await store.run("r")
        with pytest.raises(StoreError, match="was removed or replaced") as written:
            await store.commit(journal()[2:4])
        assert {file.name: file.stat().st_ino for file in path.parent.iterdir()} == there
    for caught in (read, written):
        assert type(caught.value) is StoreError  # not one that waiting might mend
        assert str(path) in str(caught.value)


async def test_names_of_files_mean_nothing_to_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "a?mode=memory#%41 é.db"
    async with SqliteStore(path=Path(name)) as store:
        await add_run(store)
        assert (await store.run("r")).run_id == "r"
    assert (tmp_path / name).stat().st_size


def first_schema(path):
    """Write a database as the first version of dagrun did, with a run and its journal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    for statement in schema._statements(1):
        connection.execute(statement)
    connection.execute(f"pragma application_id = {APPLICATION}")
    connection.execute("pragma user_version = 1")
    connection.execute(
        "insert into runs values ('r', 'w', '1.0.0', 'h', 'succeeded', '{}', 3, null, 'o', 1, 3, 0,"
        " '2026-01-01T12:00:00.000000+00:00', null, null)"
    )
    for seq, kind in enumerate(["run.queued", "run.running", "run.succeeded"], start=1):
        time = f"2026-01-01T12:00:0{seq}.000000+00:00"
        data = '{"outputs":{"a":1}}' if seq == 3 else None
        connection.execute(
            "insert into events values ('r', ?, 1, ?, ?, null, null, null, ?, 1)",
            (seq, kind, time, data),
        )
    connection.close()


def second_schema(path):
    """Write a database as the second version of dagrun did, with a run and its journal."""
    first_schema(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in schema._statements(2):
            connection.execute(statement)
        connection.execute("update runs set concurrency_key = 'w/k', admitted = 1")
        connection.execute("pragma user_version = 2")


@pytest.mark.parametrize(("make", "slot"), [(first_schema, None), (second_schema, "w/k")])
async def test_a_database_of_an_older_schema_is_migrated_with_all_that_is_in_it(
    tmp_path, make, slot
):
    path = tmp_path / "dagrun.db"
    make(path)
    async with SqliteStore(path=path) as store:
        events = await store.events("r")
        assert [(event.seq, event.type) for event in events] == [
            (1, "run.queued"),
            (2, "run.running"),
            (3, "run.succeeded"),
        ]
        assert [entry.position for entry in await store.log(after=0, limit=9)] == [1, 2, 3]
        record = await store.run("r")
        assert bytes(record.outputs) == b'{"a":1}'
        assert (record.slot_key, record.admitted) == (slot, slot is not None)
        assert (record.engine_id, record.instance, record.parent) == (None, None, None)
        assert record.rerun_of is None
        assert await store.messages("r") == []
        await add_run(store, "s", upto=2)
        assert [posted.message.number for posted in await store.post("s", "pause")] == [1]
    assert ask(path, "pragma user_version") == [(LATEST,)]


async def test_events_keep_their_order_within_a_run_when_the_clock_went_back(tmp_path):
    path = tmp_path / "dagrun.db"
    first_schema(path)
    ask(path, "update events set time = '2025-01-01T00:00:00.000000+00:00' where seq = 3")
    async with SqliteStore(path=path) as store:
        for run_id in (None, "r"):
            log = await store.log(after=0, limit=9, run_id=run_id)
            assert [(e.position, e.event.seq) for e in log] == [(1, 1), (2, 2), (3, 3)]


async def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "dagrun.db"
    first_schema(path)
    real = schema._statements
    monkeypatch.setattr(schema, "_statements", lambda number: [*real(number), "no such thing"])
    with pytest.raises(StoreError):
        async with SqliteStore(path=path):
            pass
    assert ask(path, "pragma user_version") == [(1,)]
    monkeypatch.undo()
    async with SqliteStore(path=path) as store:
        assert len(await store.events("r")) == 3
