"""What SQLite says, and what damaged rows show, turned into what the operator must do."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from dagrun.builtin.sqlite.quota import quota_is_used_up
from dagrun.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreTooNew

T = TypeVar("T")

_RESTORE: Final = "restore it from a backup, or move it away to begin anew"
_CODE: Final = 0xFF  # the low byte of an extended result code is the plain one
_MAY_BE_QUOTA: Final = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN})
"""What SQLite makes of a quota that is used up: it keeps the number that says so to itself. Nothing
is in doubt behind these, as it is behind what went wrong when all was to be brought to the disk."""

SENSELESS: Final = (ValueError, TypeError, AttributeError, msgspec.MsgspecError)
"""What reading a row raises that was not written like this."""


def translated(path: Path, call: Callable[[], T]) -> T:
    """Call something that uses the database in a file, with our errors for those of SQLite."""
    with _our_errors(path):
        return call()


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says into what the operator must do."""
    try:
        yield
    except sqlite3.Error as error:
        extended = getattr(error, "sqlite_errorcode", 0)
        code = extended & _CODE
        # The second one is of readers: they share a file of 32 KiB, and make it if they are alone.
        if code == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise StoreFull(f"{path}: there is no room for it on the disk") from error
        if extended in _MAY_BE_QUOTA and quota_is_used_up(path.parent):
            raise StoreFull(f"{path}: the quota of its user is used up") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StoreBusy(f"{path} is held by another process") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or _is_nonsense(error, code):
            raise StoreCorrupt(
                f"{path} is damaged, or no database ({error}); {_RESTORE}"
            ) from error
        raise StoreError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:  # so says Python of a schema that is no text
        raise StoreCorrupt(f"{path} is damaged, or no database ({error}); {_RESTORE}") from error


def _is_nonsense(error: sqlite3.Error, code: int) -> bool:
    """Whether a table is not as it was made, or text in it is none."""
    if not hasattr(error, "sqlite_errorcode"):  # Python's own
        return "UTF-8" in str(error)
    return code == sqlite3.SQLITE_ERROR and "no such " in str(error)


@contextmanager
def damage(path: Path, *signs: type[Exception]) -> Iterator[None]:
    """Say of what cannot be understood that it is damaged.

    Args:
        path: the file to name.
        signs: what it is that is raised then.
    """
    try:
        yield
    except StoreTooNew as error:
        raise StoreTooNew(f"{path}: {error}") from error
    except signs as error:
        raise StoreCorrupt(f"{path}: a row is damaged ({error}); {_RESTORE}") from error
