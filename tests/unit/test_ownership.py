"""Who owns a run: shown with real processes, which end in every way."""

import os
import signal
import subprocess

import pytest

from dagrun.builtin.ownership import FOLDER, OwnerLock, owner_pid, sole_use
from dagrun.builtin.sqlite import SqliteStore
from dagrun.errors import ConfigError, ConflictError, StoreError, StoreFull
from dagrun.testing.journals import add_run

OWNER = """
import pathlib, sys
from dagrun.builtin.ownership import OwnerLock
with OwnerLock(pathlib.Path(sys.argv[1])) as lock:
    print(lock.owner, flush=True)
    sys.stdin.read()
"""
RESUMER = """
import pathlib, sys, trio
from dagrun.builtin.ownership import OwnerLock, owner_pid
from dagrun.builtin.sqlite import SqliteStore
from dagrun.errors import ConflictError

async def main():
    folder = pathlib.Path(sys.argv[1])
    with OwnerLock(folder) as lock:
        async with SqliteStore(path=folder / "dagrun.db") as store:
            record = await store.run("r")
            assert owner_pid(folder, record.owner) is None
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                await store.claim("r", owner=lock.owner, expected_epoch=record.epoch)
            except ConflictError:
                print("lost", flush=True)
            else:
                print("won", lock.owner, flush=True)
            sys.stdin.read()

trio.run(main)
"""


@pytest.fixture
def spawn(launch, tmp_path):
    return lambda script: launch("-c", script, tmp_path)


def test_a_live_owner_is_known_by_its_process_id(tmp_path, spawn):
    process = spawn(OWNER)
    assert owner_pid(tmp_path, process.read_line()) == process.pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_owner_is_gone_as_soon_as_its_process_is(tmp_path, spawn, how):
    process = spawn(OWNER)
    owner = process.read_line()
    process.send_signal(how)
    process.wait()
    assert owner_pid(tmp_path, owner) is None


def test_a_frozen_owner_is_alive(tmp_path, spawn):
    process = spawn(OWNER)
    owner = process.read_line()
    process.send_signal(signal.SIGSTOP)
    assert owner_pid(tmp_path, owner) == process.pid


def test_a_child_of_the_owner_does_not_keep_its_lock(tmp_path):
    with OwnerLock(tmp_path) as lock:
        child = subprocess.Popen(["/bin/sleep", "60"], close_fds=False)
    try:
        assert owner_pid(tmp_path, lock.owner) is None
    finally:
        child.kill()
        child.wait()


def test_giving_the_lock_back_removes_its_file(tmp_path):
    with OwnerLock(tmp_path) as lock:
        assert owner_pid(tmp_path, lock.owner) == os.getpid()
    assert owner_pid(tmp_path, lock.owner) is None
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_the_next_owner_removes_files_of_dead_ones_only(tmp_path, spawn):
    living, dying = spawn(OWNER), spawn(OWNER)
    names = living.read_line(), dying.read_line()
    dying.kill()
    dying.wait()
    with OwnerLock(tmp_path) as lock:
        left = {path.stem for path in (tmp_path / FOLDER).iterdir()}
        assert left == {names[0], lock.owner}
        assert owner_pid(tmp_path, names[0]) == living.pid


def test_a_file_that_its_owner_has_not_locked_yet_is_left_alone(tmp_path):
    begun = tmp_path / FOLDER / "new.lock"
    begun.parent.mkdir()
    begun.touch()
    with OwnerLock(tmp_path):
        assert begun.exists()


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a\0b", "x" * 200])
def test_an_owner_with_an_impossible_name_is_nobody(tmp_path, name):
    assert owner_pid(tmp_path, name) is None


def test_an_owner_that_cannot_be_looked_up_is_not_taken_for_dead(tmp_path):
    (tmp_path / FOLDER).touch()
    with pytest.raises(StoreError, match="looked up"):
        owner_pid(tmp_path, "someone")


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/data"), OwnerLock(tmp_path / "file" / "data"):
        pass


def test_the_data_directory_is_for_its_user_alone(tmp_path):
    with OwnerLock(tmp_path / "data"):
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*.lock")}
        assert modes == {0o600}
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_of_two_resumers_exactly_one_wins(tmp_path, spawn):
    first = spawn(OWNER)
    async with SqliteStore(path=tmp_path / "dagrun.db") as store:
        await add_run(store, upto=2, owner=first.read_line())
        first.kill()
        first.wait()
        resumers = [spawn(RESUMER), spawn(RESUMER)]
        assert [process.read_line() for process in resumers] == ["ready", "ready"]
        for process in resumers:
            process.say("go")
        answers = sorted(process.read_line() for process in resumers)
        record = await store.run("r")
        assert answers == ["lost", f"won {record.owner}"]
        assert record.epoch == 2
        assert owner_pid(tmp_path, record.owner) in {process.pid for process in resumers}


def test_an_old_lock_that_was_never_written_is_swept_and_a_new_one_is_left(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    for name in ("old", "new"):
        (folder / f"{name}.lock").touch()
    os.utime(folder / "old.lock", (0, 0))
    with OwnerLock(tmp_path):
        assert not (folder / "old.lock").exists()
        assert (folder / "new.lock").exists()


def test_a_lock_that_cannot_be_written_leaves_no_file(tmp_path, monkeypatch):
    def full(_fd, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dagrun.builtin.ownership.os.write", full)
    with pytest.raises(StoreFull, match="No space left"), OwnerLock(tmp_path):
        pass
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_data_directory_that_is_restored_takes_no_owner(tmp_path):
    with sole_use(tmp_path):
        with pytest.raises(ConflictError, match="is being restored"), OwnerLock(tmp_path):
            pass
        assert list((tmp_path / FOLDER).iterdir()) == []
    with OwnerLock(tmp_path):
        pass


def test_a_data_directory_with_owners_is_nobodys_alone(tmp_path, spawn):
    process = spawn(OWNER)
    process.read_line()
    message = f"is used by process {process.pid}; end it first"
    with pytest.raises(ConflictError, match=message), sole_use(tmp_path):
        pass
    with OwnerLock(tmp_path):  # owners do not keep each other out
        pass
