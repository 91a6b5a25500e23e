import os
import shutil
import time

import pytest

from dagrun.services.node_logs import NodeLogs
from dagrun.services.node_logs.logs import QUIET


def test_a_log_is_a_file_that_the_first_byte_makes(tmp_path):
    log = NodeLogs(tmp_path).open("run", "node", 2)
    assert list(tmp_path.iterdir()) == []
    log.write(b"one\n")
    log.write(b"two\n")
    log.close()
    assert (tmp_path / "run/node/2.log").read_bytes() == b"one\ntwo\n"


def test_attempts_and_items_have_logs_of_their_own_in_order(tmp_path):
    logs = NodeLogs(tmp_path)
    for attempt, item in [(2, None), (1, 10), (1, 9), (1, None)]:
        log = logs.open("run", "node", attempt, item)
        log.write(b"%d" % attempt)
        log.close()
    assert logs.attempts("run", "node") == [(None, 1), (None, 2), (9, 1), (10, 1)]
    assert logs.read("run", "node", 2) == b"2"
    assert logs.read("run", "node", 3) == b""
    assert logs.attempts("run", "other") == []


def test_a_log_over_its_cap_is_cut_behind_a_marker(tmp_path):
    logs = NodeLogs(tmp_path, cap=1000)
    log = logs.open("run", "node", 1)
    for _ in range(10_000):
        log.write(b"x" * 999)
    data = logs.read("run", "node", 1)
    assert data == b"x" * 1000 + b"\n[dagrun: log cut, 1000 bytes are allowed]\n"


def test_a_log_of_just_its_cap_has_no_marker(tmp_path):
    logs = NodeLogs(tmp_path, cap=4)
    log = logs.open("run", "node", 1)
    log.write(b"four")
    log.close()
    assert logs.read("run", "node", 1) == b"four"


MISSING = b"\n[dagrun: a part is missing here, it could not be written]\n"


class Disk:
    """Has room for so many bytes, and no more."""

    def __init__(self, monkeypatch):
        self.room = 10**9
        self._write, self._truncate = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self._some)
        monkeypatch.setattr(os, "ftruncate", self._less)

    def _some(self, fd, data):
        if not self.room:
            raise OSError(28, "No space left on device")
        written = self._write(fd, data[: self.room])
        self.room -= written
        return written

    def _less(self, fd, size):
        self.room += os.fstat(fd).st_size - size
        self._truncate(fd, size)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_what_a_full_disk_has_no_room_for_is_marked_as_soon_as_there_is_some(tmp_path, disk):
    log = NodeLogs(tmp_path).open("run", "node", 1)
    log.write(b"before\n")
    disk.room = 3
    for _ in range(9):
        log.write(b"lost\n")
    assert not log.ended
    disk.room = 10**9
    log.write(b"after\n")
    log.write(b"more\n")
    log.close()
    assert NodeLogs(tmp_path).read("run", "node", 1) == b"before\n" + MISSING + b"after\nmore\n"


def test_a_log_that_ends_on_a_full_disk_says_at_its_end_that_something_is_missing(tmp_path, disk):
    logs = NodeLogs(tmp_path)
    for attempt, room in [(1, 60), (2, 0)]:
        log = logs.open("run", "node", attempt)
        log.write(b"before\n")
        disk.room = room
        log.write(b"lost" * 1000)
        log.write(b"lost" * 1000)
        disk.room = max(disk.room, 60 * (attempt - 1))
        log.close()
        disk.room = 10**9
        assert logs.read("run", "node", attempt) == b"before\n" + MISSING


def test_a_log_whose_file_cannot_be_made_begins_with_what_is_missing(tmp_path, monkeypatch):
    def no_more(*_):
        raise OSError(24, "Too many open files")

    logs = NodeLogs(tmp_path)
    log = logs.open("run", "node", 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_more)
        log.write(b"lost")
    log.write(b"kept")
    log.close()
    assert logs.read("run", "node", 1) == MISSING + b"kept"


def test_what_is_missing_counts_for_the_cap(tmp_path, disk):
    logs = NodeLogs(tmp_path, cap=100)
    log = logs.open("run", "node", 1)
    for _ in range(10):
        log.write(b"x" * 30)
        disk.room = 0
        log.write(b"lost")
        disk.room = 10**9
    log.close()
    data = logs.read("run", "node", 1)
    assert len(data) == 100 + len(b"\n[dagrun: log cut, 100 bytes are allowed]\n")
    assert data.endswith(b"\n[dagrun: log cut, 100 bytes are allowed]\n")


def test_one_warning_says_that_logs_cannot_be_written_until_all_went_well_for_a_minute(
    tmp_path, disk, caplog, monkeypatch
):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    logs = NodeLogs(tmp_path)
    first, second = logs.open("run", "node", 1), logs.open("run", "node", 2)
    for times in (1, 2):
        for _ in range(5):
            disk.room = 0
            first.write(b"lost")
            second.write(b"lost")
            disk.room = 10**9
            first.write(b"kept")
        assert len(caplog.records) == times
        assert "No space left on device" in caplog.text
        now += QUIET + 1
    first.close()
    second.close()


def test_the_folders_of_logs_are_made_again_when_somebody_deleted_them(tmp_path):
    root = tmp_path / "engine" / "logs"
    logs = NodeLogs(root)
    for attempt in (1, 2):
        log = logs.open("run", "node", attempt)
        log.write(b"text")
        log.close()
        assert logs.read("run", "node", attempt) == b"text"
        assert root.parent.stat().st_mode & 0o777 == 0o700
        shutil.rmtree(root.parent)


@pytest.mark.parametrize("text", ["..", "a/b", "", "a\0"])
def test_what_is_no_id_becomes_no_path(tmp_path, text):
    logs = NodeLogs(tmp_path)
    for ids in [(text, "node"), ("run", text)]:
        with pytest.raises(ValueError, match="is no id"):
            logs.open(*ids, 1)
        with pytest.raises(ValueError, match="is no id"):
            logs.read(*ids, 1)


def test_the_cap_counts_what_an_attempt_wrote_before_another_process_went_on_with_it(tmp_path):
    logs = NodeLogs(tmp_path, cap=10)
    for _ in range(3):
        log = logs.open("run", "node", 1)
        log.write(b"x" * 7)
        log.close()
    data = logs.read("run", "node", 1)
    again = b"\n[dagrun: cut off here, and made again]\n"
    cut = b"\n[dagrun: log cut, 10 bytes are allowed]\n"
    assert data.startswith(b"x" * 7 + again + b"x" * 3 + cut)
    assert data.count(b"x") == 10


def test_a_log_that_is_cut_has_one_marker_however_often_its_attempt_is_made_again(tmp_path):
    logs = NodeLogs(tmp_path, cap=10)
    seen = []
    for text in (b"y" * 7, b"y", b"y" * 9, b"y" * 9):
        log = logs.open("run", "node", 1)
        log.write(text)
        log.write(text)
        log.close()
        seen.append(logs.read("run", "node", 1))
    assert [data.count(b"log cut") for data in seen] == [1, 1, 1, 1]
    assert len(set(seen)) == 1


def test_what_is_dropped_after_an_attempt_was_made_again_is_marked(tmp_path):
    logs = NodeLogs(tmp_path, cap=10)
    for text in (b"a" * 7, b"b", b"c"):  # the mark between them is longer than the cap
        log = logs.open("run", "node", 1)
        log.write(text)
        log.close()
    assert logs.read("run", "node", 1).endswith(b"b\n[dagrun: log cut, 10 bytes are allowed]\n")


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_logs_are_for_their_user_alone_whatever_the_umask_and_the_data_directory(tmp_path):
    tmp_path.chmod(0o777)
    log = NodeLogs(tmp_path / "logs").open("run", "node", 1)
    log.write(b"text")
    log.close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"logs": 0o700, "run": 0o700, "node": 0o700, "1.log": 0o600}
    assert tmp_path.stat().st_mode & 0o777 == 0o777


def test_a_link_in_the_place_of_a_log_is_neither_written_nor_read_through(tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine\n")
    (tmp_path / "logs/run/node").mkdir(parents=True)
    (tmp_path / "logs/run/node/2.log").symlink_to(victim)
    logs = NodeLogs(tmp_path / "logs")
    log = logs.open("run", "node", 2)
    log.write(b"text")
    assert log.ended
    assert victim.read_text() == "mine\n"
    assert logs.read("run", "node", 2) == b""


def test_files_of_somebody_else_beside_the_logs_are_no_attempts(tmp_path):
    logs = NodeLogs(tmp_path)
    log = logs.open("run", "node", 1)
    log.write(b"mine")
    log.close()
    (tmp_path / "run" / "node" / "notes.log").touch()
    assert logs.attempts("run", "node") == [(None, 1)]


AGAIN = b"\n[dagrun: cut off here, and made again]\n"


def put(logs, *pieces, epoch=1, offset=0, **where):
    for piece in pieces:
        logs.put("run", "node", 1, epoch=epoch, offset=offset, data=piece, **where)
        offset += len(piece)


def test_logs_of_an_engine_elsewhere_are_a_file_an_epoch(tmp_path):
    logs = NodeLogs(tmp_path, by_epoch=True)
    for epoch, item in [(3, None), (4, None), (3, 7)]:
        log = logs.open("run", "node", 1, item, epoch=epoch)
        log.write(b"%d\n" % epoch)
        log.close()
    names = {path.name for path in (tmp_path / "run" / "node").iterdir()}
    assert names == {"1@3.log", "1@4.log", "7-1@3.log"}
    assert logs.attempts("run", "node") == [(None, 1), (7, 1)]


def test_what_an_attempt_wrote_under_all_epochs_is_read_as_one_log(tmp_path):
    logs = NodeLogs(tmp_path)
    put(logs, b"ten", epoch=10)
    put(logs, b"nothing"[:0], epoch=9)
    put(logs, b"two", epoch=2)
    log = logs.open("run", "node", 1)
    log.write(b"base")
    log.close()
    whole = b"base" + AGAIN + b"two" + AGAIN + b"ten"
    assert logs.read("run", "node", 1) == whole
    assert logs.attempts("run", "node") == [(None, 1)]
    for start in range(len(whole) + 2):
        for size in (-1, 0, 1, 5, 50, 500):
            end = None if size < 0 else start + size
            assert logs.read("run", "node", 1, start=start, size=size) == whole[start:end]


def test_a_log_that_a_folder_got_after_it_was_looked_at_is_read(tmp_path):
    logs = NodeLogs(tmp_path)
    for epoch in range(1, 30):
        put(logs, b"x", epoch=epoch)
        assert logs.read("run", "node", 1).count(b"x") == epoch


def test_a_folder_is_not_looked_through_again_unless_it_has_changed(tmp_path, monkeypatch):
    logs = NodeLogs(tmp_path)
    put(logs, b"one")
    os.utime(tmp_path / "run" / "node", (1, 1))
    assert logs.read("run", "node", 1) == b"one"
    monkeypatch.setattr("pathlib.Path.glob", None)
    put(logs, b" two", offset=3)
    assert logs.read("run", "node", 1) == b"one two"
    monkeypatch.undo()
    put(logs, b"three", epoch=2)
    assert logs.read("run", "node", 1) == b"one two" + AGAIN + b"three"


def test_pieces_may_come_again(tmp_path):
    logs = NodeLogs(tmp_path)
    put(logs, b"one ", b"two ")
    put(logs, b"one ", b"two ", b"three")
    assert logs.read("run", "node", 1) == b"one two three"


def test_pieces_do_not_go_beyond_the_cap_and_its_marker(tmp_path):
    logs = NodeLogs(tmp_path, cap=1000)
    put(logs, *([b"x" * 300] * 10))
    assert logs.read("run", "node", 1).count(b"x") == 1000 + len(
        b"\n[dagrun: log cut, 1000 bytes are allowed]\n"
    )


def test_pieces_of_a_log_that_was_cut_are_kept_with_their_marker(tmp_path):
    written, kept = NodeLogs(tmp_path / "there", cap=10, by_epoch=True), NodeLogs(tmp_path, cap=10)
    (tmp_path / "there").mkdir()
    log = written.open("run", "node", 1, epoch=1)
    log.write(b"y" * 50)
    put(kept, log.read(0, 20), log.read(20, 100))
    whole = b"y" * 10 + b"\n[dagrun: log cut, 10 bytes are allowed]\n"
    assert kept.read("run", "node", 1) == whole
    assert log.size == len(whole)


def test_pieces_that_cannot_be_written_are_dropped_with_one_warning(tmp_path, monkeypatch, caplog):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    logs = NodeLogs(tmp_path)
    put(logs, b"one ")
    monkeypatch.setattr(os, "pwrite", no_room)
    put(logs, b"two ", offset=4)
    monkeypatch.undo()
    put(logs, b"three ", b"four", offset=8)  # a hole before them would be filled with zeros
    assert logs.read("run", "node", 1) == b"one "
    (warning,) = caplog.records
    assert "of node node are dropped: [Errno 28] No space left" in warning.getMessage()
    put(logs, b"one ", b"two ", b"three ")
    put(logs, b"late", offset=99)
    assert logs.read("run", "node", 1) == b"one two three "
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"run_id": ".."},
        {"run_id": "a/b"},
        {"node_id": "../node"},
        {"attempt": -1},
        {"attempt": 10**9},
        {"item": -1},
        {"epoch": -1},
        {"epoch": 10**18},
        {"offset": -1},
        {"offset": 2**63 - 1},
    ],
)
def test_a_piece_that_cannot_be_one_is_dropped(tmp_path, caplog, wrong):
    piece = {"run_id": "run", "node_id": "node", "attempt": 1, "item": None, "epoch": 1}
    NodeLogs(tmp_path / "logs").put(**{**piece, "offset": 0, "data": b"x", **wrong})
    assert list(tmp_path.rglob("*.log")) == []
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("no_umask")
def test_pieces_are_for_their_user_alone(tmp_path):
    put(NodeLogs(tmp_path / "logs"), b"x")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"logs": 0o700, "run": 0o700, "node": 0o700, "1@1.log": 0o600}


def test_pieces_are_not_written_through_a_link(tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine\n")
    (tmp_path / "run/node").mkdir(parents=True)
    (tmp_path / "run/node/1@1.log").symlink_to(victim)
    logs = NodeLogs(tmp_path)
    put(logs, b"text")
    put(logs, b"more", epoch=2)
    assert victim.read_text() == "mine\n"
    assert logs.read("run", "node", 1) == b"more"


def test_a_log_that_is_removed_takes_its_empty_folders_along(tmp_path):
    logs = NodeLogs(tmp_path / "logs", by_epoch=True)
    (tmp_path / "logs").mkdir()
    first, second = (logs.open("run", node_id, 1, epoch=1) for node_id in ("a", "b"))
    for log in (first, second):
        log.write(b"x")
        log.close()
    first.remove()
    assert [path.name for path in (tmp_path / "logs" / "run").iterdir()] == ["b"]
    second.remove()
    assert list((tmp_path / "logs").iterdir()) == []
    assert second.read(0, 10) == b""
