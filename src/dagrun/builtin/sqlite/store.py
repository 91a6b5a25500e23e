"""The store ``sqlite``: one writer, any number of readers, all in threads."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import msgspec
import trio

from dagrun.builtin.intake import check_limit
from dagrun.builtin.sqlite import read
from dagrun.builtin.sqlite.admission import admit
from dagrun.builtin.sqlite.backup import backup
from dagrun.builtin.sqlite.prune import prune
from dagrun.builtin.sqlite.registrations import read_registrations, register
from dagrun.builtin.sqlite.schema import BUSY_TIMEOUT, connect, identity, open_database
from dagrun.builtin.sqlite.write import write_batch
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.status import RunStatus
from dagrun.errors import (
    ConflictError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreTooNew,
)
from dagrun.ports.store import (
    CommitResult,
    Definition,
    Logged,
    NewRun,
    NodeRecord,
    Registration,
    RunRecord,
    Slot,
)

T = TypeVar("T")

_RESTORE: Final = "restore it from a backup, or move it away to begin anew"
_CODE: Final = 0xFF  # the low byte of an extended result code is the plain one
_SENSELESS: Final = (ValueError, TypeError, AttributeError, msgspec.MsgspecError)
"""What reading a row raises that was not written like this."""


class SqliteStore:
    """Keeps journals in an SQLite file; implements :class:`~dagrun.ports.store.Store`.

    Args:
        path: the file. It and its folder are made when they are missing.
        hook: called with a name before and after each step of a commit; for tests that end the
            process there.
        busy_timeout: seconds to wait for another process's transaction, then it is
            :exc:`~dagrun.errors.StoreBusy`.
    """

    def __init__(
        self,
        *,
        path: Path,
        hook: Callable[[str], None] = lambda _: None,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        self.path = path
        self._timeout = busy_timeout
        self._hook = hook
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = trio.Lock()

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self.path)

    async def __aenter__(self) -> Self:
        """Open, create or migrate the database."""
        await self._in_thread(self._open)
        return self

    def _open(self) -> None:
        self._connection = open_database(self.path, self._timeout)
        self._identity = identity(self.path)

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(connection.close)

    # writing

    async def commit(
        self,
        events: Sequence[Event],
        *,
        new_runs: Sequence[NewRun] = (),
        definitions: Sequence[Definition] = (),
    ) -> CommitResult:
        """Write a batch in one transaction; see the port."""
        return await self._write(
            lambda connection: write_batch(connection, events, new_runs, definitions)
        )

    async def claim(self, run_id: RunId, *, owner: str, expected_epoch: int) -> RunRecord:
        """Hand a run over; see the port."""
        return await self._write(
            lambda connection: _claim(connection, run_id, owner, expected_epoch)
        )

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free; see the port."""
        return await self._write(lambda connection: admit(connection, run_id, slot))

    async def register(self, registration: Registration, definition: Definition) -> bool:
        """Store a version of a workflow; see the port."""
        return await self._write(lambda connection: register(connection, registration, definition))

    async def prune(self, *, before: datetime, now: datetime, limit: int) -> Sequence[RunId]:
        """Delete runs that ended before a time; see the port."""
        check_limit(limit)
        return await self._write(lambda connection: prune(connection, before, now, limit))

    async def backup(self, target: Path) -> None:
        """Write a whole copy to a new file; see the port."""
        await self._in_thread(lambda: backup(self.path, target, self._timeout))

    # reading

    async def log(self, *, after: int, limit: int, run_id: RunId | None = None) -> Sequence[Logged]:
        """Give the events of all runs, or of one, behind a position."""
        check_limit(limit)
        return await self._read(read.read_log, run_id, after, limit)

    async def last_position(self) -> int:
        """Give the position of the newest event."""
        return await self._read(read.read_last_position)

    async def holders(self, key: str) -> Sequence[RunRecord]:
        """Give the runs that hold slots of a key."""
        return await self._read(read.read_holders, key)

    async def rivals(self, run_id: RunId, key: str) -> Sequence[RunRecord]:
        """Give the runs with a key that have a slot, or wait and are not newer; see the port."""
        return await self._read(read.read_rivals, run_id, key)

    async def registrations(self, workflow_id: str | None = None) -> Sequence[Registration]:
        """Give the versions of a workflow, or of all."""
        return await self._read(read_registrations, workflow_id)

    async def run(self, run_id: RunId) -> RunRecord:
        """Give one run."""
        return await self._read(read.read_run, run_id)

    async def runs(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunRecord], str | None]:
        """Give a page of runs, newest first."""
        check_limit(limit)
        return await self._read(read.read_runs, workflow_id, status, limit, cursor)

    async def nodes(self, run_id: RunId) -> Sequence[NodeRecord]:
        """Give the nodes and items of a run."""
        return await self._read(read.read_nodes, run_id)

    async def events(self, run_id: RunId, *, after: int = 0) -> Sequence[Event]:
        """Give a run's journal from the event behind ``after``."""
        return await self._read(read.read_events, run_id, after)

    async def definition(self, hash: str) -> Definition:  # noqa: A002 — the port's word
        """Give a stored definition."""
        return await self._read(read.read_definition, hash)

    # threads and transactions

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._lock:
            return await self._in_thread(lambda: self._transaction(work))

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        assert connection is not None, "the store is not open"  # noqa: S101 — a caller's mistake
        connection.execute("begin immediate")
        try:
            self._hook("begun")
            with _damage(self.path, read.Damage):
                result = work(connection)
            self._hook("written")
            connection.execute("commit")
            self._check_place()  # before anybody hears that it is durable
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        self._hook("committed")
        return result

    def _check_place(self) -> None:
        """See whether the file that is open still has its name; else nobody will find it.

        Raises:
            StoreError: it was removed, or another one is in its place.
        """
        if identity(self.path) != self._identity:
            raise StoreError(
                f"{self.path} was removed or replaced while it was in use;"
                " what is written to it from now on would be lost"
            )

    async def _read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Read on a connection of its own, which sees whole commits and waits for none."""

        def call() -> T:
            self._check_place()
            connection = connect(self.path, self._timeout)
            try:
                connection.execute("begin")
                with _damage(self.path, *_SENSELESS):
                    return work(connection, *arguments)
            finally:
                connection.close()

        return await self._in_thread(call)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(partial(_translated, self.path, call))


def _translated(path: Path, call: Callable[[], T]) -> T:
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
        # A quota that is used up cannot be told from a broken disk: SQLite keeps the number that says
        # so (EDQUOT) to itself, and calls it SQLITE_IOERR_WRITE. So it is a StoreError.
        if code == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:
            raise StoreFull(f"{path}: there is no room for it on the disk") from error
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
def _damage(path: Path, *signs: type[Exception]) -> Iterator[None]:
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


def _claim(
    connection: sqlite3.Connection, run_id: RunId, owner: str, expected_epoch: int
) -> RunRecord:
    changed = connection.execute(
        "update runs set owner = ?, epoch = epoch + 1 where run_id = ? and epoch = ?",
        (owner, run_id, expected_epoch),
    ).rowcount
    record = read.read_run(connection, run_id)
    if not changed:
        raise ConflictError(f"run {run_id} was taken over by somebody else")
    return record
