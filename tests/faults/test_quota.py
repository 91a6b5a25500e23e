"""A quota that is used up is a full disk, though SQLite has no word for it."""

import errno
import os
import sqlite3

import pytest

from dagrun.builtin.sqlite.quota import quota_is_used_up
from dagrun.builtin.sqlite.trouble import translated
from dagrun.errors import StoreError, StoreFull


def refusing(number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    return refuse


def fails_with(code):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code

    def call():
        raise error

    return call


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize(
    ("number", "used_up"), [(errno.EDQUOT, True), (errno.EIO, False), (errno.ENOSPC, False)]
)
def test_a_file_is_tried_to_know_whether_a_quota_is_used_up(
    tmp_path, monkeypatch, call, number, used_up
):
    monkeypatch.setattr(os, call, refusing(number))
    assert quota_is_used_up(tmp_path) is used_up
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_room_no_quota_is_used_up(tmp_path):
    assert not quota_is_used_up(tmp_path)
    assert not quota_is_used_up(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN])
def test_a_commit_that_runs_into_a_quota_waits_for_room(tmp_path, monkeypatch, code):
    monkeypatch.setattr(os, "write", refusing(errno.EDQUOT))
    with pytest.raises(StoreFull, match="the quota of its user is used up"):
        translated(tmp_path / "dagrun.db", fails_with(code))


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (sqlite3.SQLITE_IOERR_WRITE, errno.EIO),
        (sqlite3.SQLITE_IOERR_FSYNC, errno.EDQUOT),
        (sqlite3.SQLITE_IOERR_READ, errno.EDQUOT),
    ],
)
def test_what_is_in_doubt_ends_the_process_whatever_the_quota(tmp_path, monkeypatch, code, number):
    monkeypatch.setattr(os, "write", refusing(number))
    with pytest.raises(StoreError) as caught:
        translated(tmp_path / "dagrun.db", fails_with(code))
    assert type(caught.value) is StoreError
