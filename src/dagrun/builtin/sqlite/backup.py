"""Copy a database while others write to it."""

import os
import sqlite3
from pathlib import Path

from dagrun.builtin.sqlite.schema import connect
from dagrun.errors import StoreError


def backup(source: Path, target: Path, timeout: float) -> None:
    """Write a whole copy of what is durable now, and only then give it its name.

    Args:
        source: the database.
        target: the file to write, on a disk of any kind. It must not exist.
        timeout: seconds to wait for another process's transaction.

    Raises:
        StoreError: the file exists, or cannot be written.
        sqlite3.Error: anything that SQLite says of the source.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        _reserve(target)
        try:
            _copy(source, partial, timeout)
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            target.unlink()
            raise
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error


def _reserve(target: Path) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _copy(source: Path, partial: Path, timeout: float) -> None:
    """Copy with ``vacuum into``: one statement that reads in one transaction of its own."""
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    connection = connect(source, timeout)
    try:
        connection.execute("vacuum into ?", (str(partial),))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise StoreError(f"{partial}: cannot be written: {error}") from error
        raise
    finally:
        connection.close()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
