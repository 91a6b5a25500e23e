"""Open a database file, and bring it to the present schema."""

import os
import sqlite3
import stat
import time
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

from dagrun.errors import StoreCorrupt, StoreError, StoreTooNew

APPLICATION: Final = 0x6461_6772  # "dagr"; tells our files from other SQLite files
LATEST: Final = 5
"""Number of the newest migration."""

BUSY_TIMEOUT: Final = 30.0  # seconds to wait for another process's transaction
SMALLEST_PAGE: Final = 512  # bytes of an SQLite file; no database is shorter
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO  # what others than the user may do


def connect(path: Path, timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """Open a connection to a file that is there. Any one thread at a time may use it.

    Without a file it fails: an empty one in the place of one that was removed would hide that, and
    others could read it.

    Args:
        path: the file.
        timeout: seconds to wait for another process's transaction.
    """
    connection = sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("pragma synchronous = full")
    except BaseException:
        connection.close()
        raise
    return connection


def identity(path: Path) -> tuple[int, int] | None:
    """Give what tells a file from another one that gets its name later; None if there is none."""
    with suppress(OSError):
        about = os.stat(path)  # noqa: PTH116 — half the time, once a commit
        return about.st_dev, about.st_ino
    return None


def open_database(path: Path, timeout: float = BUSY_TIMEOUT) -> sqlite3.Connection:
    """Open, make or migrate a database. The arguments are those of :func:`connect`.

    Raises:
        StoreCorrupt: the file is no database of dagrun.
        StoreTooNew: a newer dagrun wrote it.
        StoreError: the folder cannot be made.
        sqlite3.Error: anything else that SQLite says.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made: {error.strerror}") from error
    _make_private(path)
    connection = connect(path, timeout)
    try:
        _check_length(path)
        if _version(connection, path) < LATEST:
            _use_wal(connection, path, timeout)
            _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_private(path: Path) -> None:
    """Let only its user read a database. What SQLite makes beside it gets the same mode.

    Without opening it: closing a file lets go of all locks on it that the process has.
    """
    with suppress(OSError):  # then SQLite says what is wrong
        os.mknod(path, stat.S_IFREG | 0o600)
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        with suppress(OSError):
            if file.stat().st_mode & _OTHERS:
                file.chmod(0o600)


def _check_length(path: Path) -> None:
    """Refuse what SQLite would take for an empty file and write over."""
    if path.is_file() and 0 < path.stat().st_size < SMALLEST_PAGE:
        raise StoreCorrupt(
            f"{path} is damaged, or no database; restore it from a backup,"
            " or move it away to begin anew"
        )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version, application, tables = connection.execute(
        "select user_version, application_id, (select count(*) from sqlite_master)"
        " from pragma_user_version, pragma_application_id"
    ).fetchone()
    if tables and application != APPLICATION:
        raise StoreCorrupt(f"{path} is a database of another program; name another data directory")
    if version > LATEST:
        raise StoreTooNew(
            f"{path} was written by a newer dagrun (schema {version}, this one knows {LATEST});"
            " update dagrun, or name another data directory"
        )
    return int(version)


def _use_wal(connection: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Readers and one writer beside each other.

    Two processes that make the same file at once get in each other's way here, without SQLite
    waiting for its busy timeout.

    Raises:
        StoreError: the file system has no shared memory, as many network file systems.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            break
    if mode != "wal":
        raise StoreError(f"{path}: the file system cannot hold it; name a folder on a local disk")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("begin immediate")
    try:
        for number in range(_version(connection, path) + 1, LATEST + 1):
            for statement in _statements(number):
                connection.execute(statement)
        connection.execute(f"pragma application_id = {APPLICATION}")
        connection.execute(f"pragma user_version = {LATEST}")
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _statements(number: int) -> list[str]:
    """Give the statements of a migration. ``executescript`` would end our transaction."""
    folder = files("dagrun.builtin.sqlite") / "migrations"
    script = next(f for f in folder.iterdir() if f.name.startswith(f"{number:04}_"))
    lines = script.read_text(encoding="utf-8").splitlines()
    code = "\n".join(line.partition("--")[0] for line in lines)
    return [statement for statement in code.split(";") if statement.strip()]
