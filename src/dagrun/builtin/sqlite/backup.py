"""Copy a database while others write to it, and put another in its place."""

import errno
import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from dagrun.builtin.sqlite.schema import connect
from dagrun.errors import ConflictError, StoreError

BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a database: its log, and the index of that."""


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
    try:
        _reserve(target)
        try:
            _fill(source, target, timeout)
        except BaseException:
            target.unlink()
            raise
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error


def _reserve(target: Path) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _fill(source: Path, target: Path, timeout: float) -> None:
    file, name = tempfile.mkstemp(prefix=target.name + ".", suffix=".partial", dir=target.parent)
    os.close(file)
    partial = Path(name)
    try:
        _copy(source, partial, timeout)
        partial.replace(target)
        _sync_names(target.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _sync_names(folder: Path) -> None:
    """Bring what was renamed to the disk under its new name, where a file system can do that."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # one may write into a folder that one must not list
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _copy(source: Path, partial: Path, timeout: float) -> None:
    """Copy with ``vacuum into``: one statement that reads in one transaction of its own."""
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


def replace(old: Path, fresh: Path, kept: Path) -> None:
    """Put one database into the place of another, which is kept under a name of its own.

    At every moment the old one is there with its log, under its name or the one it is kept under.

    Raises:
        ConflictError: a process reads or writes the old one.
        OSError: a file cannot be renamed.
    """
    if old.exists():
        _fold_log(old)
        remove_beside(kept)
        for suffix in ("", *BESIDE):
            _keep(beside(old, suffix), beside(kept, suffix))
        # A log that is left belongs to a file that SQLite cannot read; the new one must not get it.
        remove_beside(old)
    fresh.replace(old)
    _sync_names(old.parent)


def _keep(old: Path, kept: Path) -> None:
    if not old.exists():
        return
    try:
        os.link(old, kept)
    except FileExistsError:
        raise
    except OSError:  # the file system has no second names
        old.rename(kept)


def remove_beside(database: Path) -> None:
    """Remove the log of a database that is of no use without it."""
    for suffix in BESIDE:
        beside(database, suffix).unlink(missing_ok=True)


def beside(database: Path, suffix: str) -> Path:
    """Give the path of what SQLite keeps beside a database."""
    return database.with_name(database.name + suffix)


def _fold_log(database: Path) -> None:
    """Write what is in the log into the database itself, if that can be read at all."""
    busy = False
    with suppress(sqlite3.Error), closing(connect(database)) as connection:
        busy, *_ = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    if busy:
        raise ConflictError(f"{database} is read or written by another process; end it first")
