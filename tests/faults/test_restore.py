"""``dagrun backup --restore`` that is cut off, or that others get in the way of."""

import errno
import os
import sqlite3
from contextlib import closing, nullcontext

import pytest
import trio

from dagrun.builtin.ownership import OwnerLock
from dagrun.builtin.sqlite import SqliteStore
from dagrun.builtin.sqlite import backup as files
from dagrun.cli import backup as command
from dagrun.cli import manage
from dagrun.cli.manage import prune_runs
from dagrun.errors import ConfigError, ConflictError, StoreError
from dagrun.settings import Settings
from dagrun.testing.journals import add_run


class Cut(BaseException):
    """The process ends here."""


async def copy(folder, target):
    async with SqliteStore(path=folder / "dagrun.db") as store:
        await store.backup(target)


async def fill(folder):
    async with SqliteStore(path=folder / "dagrun.db") as store:
        await add_run(store)


@pytest.fixture
def data(tmp_path):
    """A data directory with a run that is in the log only, and a copy from before it."""
    folder = tmp_path / "data"
    trio.run(copy, folder, tmp_path / "copy")
    holder = sqlite3.connect(folder / "dagrun.db")  # keeps the log from being folded in
    holder.execute("select * from runs").fetchall()
    trio.run(fill, folder)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for path in folder.glob("dagrun.db*"):
        (crashed / path.name).write_bytes(path.read_bytes())
    holder.close()
    assert (crashed / "dagrun.db-wal").stat().st_size
    return crashed


def count(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("select count(*) from runs").fetchone()[0]


def restore(data):
    settings = Settings(data_dir=data, parallel=1)
    return command.restore(settings, data.parent / "copy", as_json=True)


def names(data):
    return {path.name for path in data.iterdir()}


def cut(monkeypatch, name, number):
    """End the process behind the n-th call of a function that changes names."""
    calls = []
    real = getattr(os, name)

    def call(*arguments, **options):
        real(*arguments, **options)
        calls.append(arguments)
        if len(calls) == number:
            raise Cut

    monkeypatch.setattr(os, name, call)


def test_the_old_database_is_kept_with_what_was_in_its_log(data):
    assert restore(data) == 0
    assert (count(data / "dagrun.db"), count(data / "dagrun.db.replaced")) == (0, 1)
    assert names(data) == {"dagrun.db", "dagrun.db.replaced", "restore.lock"}


@pytest.mark.parametrize(("name", "kept"), [("link", 1), ("replace", 0)])
def test_a_restore_that_is_cut_off_leaves_a_whole_database(data, monkeypatch, name, kept):
    cut(monkeypatch, name, 1)
    with pytest.raises(Cut):
        restore(data)
    monkeypatch.undo()
    assert count(data / "dagrun.db") == kept
    assert count(data / "dagrun.db.replaced") == 1


def test_no_run_begins_while_the_copy_is_made(data, monkeypatch):
    real = command._copy

    def watched(file, fresh):
        with pytest.raises(ConflictError, match="is being restored"), OwnerLock(data):
            pass
        real(file, fresh)

    monkeypatch.setattr(command, "_copy", watched)
    assert restore(data) == 0


def test_nothing_is_deleted_while_the_copy_is_made(data, monkeypatch):
    real = command._copy
    settings = Settings(data_dir=data, parallel=1)

    def watched(file, fresh):
        with pytest.raises(ConflictError, match="is being restored"):
            prune_runs(settings, older_than="0s", as_json=True)
        real(file, fresh)

    monkeypatch.setattr(command, "_copy", watched)
    assert restore(data) == 0
    assert count(data / "dagrun.db.replaced") == 1


def test_no_copy_is_brought_back_while_runs_are_deleted(data, monkeypatch):
    async def watched(*_, **__):
        with pytest.raises(ConflictError, match="is used by another process"):
            restore(data)
        return 0

    monkeypatch.setattr(manage, "prune", watched)
    assert prune_runs(Settings(data_dir=data, parallel=1), older_than="0s", as_json=True) == 0
    assert count(data / "dagrun.db") == 1


def test_a_data_directory_that_cannot_be_written_to_is_not_pruned(data):
    (data / "restore.lock").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        prune_runs(Settings(data_dir=data, parallel=1), older_than="0s", as_json=True)
    assert count(data / "dagrun.db") == 1


def test_a_database_that_cannot_be_opened_is_kept_with_its_log(data, monkeypatch):
    def refuse(_path):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(files, "connect", refuse)
    log = (data / "dagrun.db-wal").read_bytes()
    assert restore(data) == 0
    assert (data / "dagrun.db.replaced-wal").read_bytes() == log
    assert (count(data / "dagrun.db"), count(data / "dagrun.db.replaced")) == (0, 1)


def test_a_database_that_is_garbage_can_be_replaced(data):
    for path in data.glob("dagrun.db*"):
        path.write_bytes(b"garbage" * 1000)
    assert restore(data) == 0
    assert count(data / "dagrun.db") == 0
    assert (data / "dagrun.db.replaced").read_bytes() == b"garbage" * 1000


def test_a_database_that_somebody_reads_is_not_replaced(data, monkeypatch):
    monkeypatch.setattr(files, "connect", lambda path: sqlite3.connect(path, timeout=0))
    with closing(sqlite3.connect(data / "dagrun.db", isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from runs").fetchall()
        with pytest.raises(ConflictError, match="read or written by another process"):
            restore(data)
    assert count(data / "dagrun.db") == 1


def test_a_file_system_without_second_names_will_do(data, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert restore(data) == 0
    assert (count(data / "dagrun.db"), count(data / "dagrun.db.replaced")) == (0, 1)


def test_a_copy_that_is_missing_leaves_everything(data):
    (data.parent / "copy").unlink()
    with pytest.raises(ConfigError, match="copy: cannot be brought back: No such file"):
        restore(data)
    assert count(data / "dagrun.db") == 1


def synced(monkeypatch, folder, name, *, fails=None):
    """Give a list of whether a file was there each time that its folder was brought to the disk."""
    found = []
    real = os.fsync

    def fsync(fd):
        if os.path.samestat(os.fstat(fd), folder.stat()):
            found.append((folder / name).stat().st_size > 0)
            if fails is not None:
                raise OSError(fails, os.strerror(fails))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_a_copy_and_a_restored_database_are_on_the_disk_under_their_names(
    data, tmp_path, monkeypatch
):
    (tmp_path / "to").mkdir()
    found = synced(monkeypatch, tmp_path / "to", "backup.db")
    trio.run(copy, data, tmp_path / "to" / "backup.db")
    restored = synced(monkeypatch, data, "dagrun.db.replaced")
    assert restore(data) == 0
    assert (found, restored) == ([True], [True])


@pytest.mark.parametrize(("code", "written"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_copy_fails_only_if_the_file_system_could_have_kept_its_name(
    data, tmp_path, monkeypatch, code, written
):
    (tmp_path / "to").mkdir()
    synced(monkeypatch, tmp_path / "to", "backup.db", fails=code)
    with nullcontext() if written else pytest.raises(StoreError, match="cannot be written"):
        trio.run(copy, data, tmp_path / "to" / "backup.db")
    assert (tmp_path / "to" / "backup.db").exists() == written


def test_a_backup_leaves_other_files_of_the_folder_alone(data, tmp_path):
    mine = tmp_path / "new.partial"
    mine.write_text("mine")
    trio.run(copy, data, tmp_path / "new")
    assert mine.read_text() == "mine"
    assert count(tmp_path / "new") == 1
    assert {path.name for path in tmp_path.glob("new*")} == {"new", "new.partial"}
