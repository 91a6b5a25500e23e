"""A database that has one writer and any number of readers, all in threads."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from dagrun.builtin.sqlite.read import Damage
from dagrun.builtin.sqlite.schema import connect, identity, open_database
from dagrun.builtin.sqlite.trouble import SENSELESS, damage, translated
from dagrun.errors import StoreError

T = TypeVar("T")


class Database:
    """A file, its threads and transactions.

    All methods wait for the disk and do not block the loop. They raise what the
    :class:`~dagrun.ports.store.Store` raises for a file that cannot be used.

    Args:
        path: the file.
        hook: called with a name before and after each step of a transaction that writes.
        busy_timeout: seconds to wait for another process's transaction.
    """

    def __init__(self, path: Path, *, hook: Callable[[str], None], busy_timeout: float) -> None:
        self._path = path
        self._hook = hook
        self._timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = trio.Lock()

    async def open(self) -> None:
        """Open, create or migrate it."""
        await self.in_thread(self._open)

    def _open(self) -> None:
        self._connection = open_database(self._path, self._timeout)
        self._identity = identity(self._path)

    async def close(self) -> None:
        """Close the writer's connection. It is no error if there is none."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(connection.close)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in a transaction of the one writer. It is durable on return."""
        async with self._lock:
            return await self.in_thread(lambda: self._transaction(work))

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the store is not open")
        connection.execute("begin immediate")
        try:
            self._hook("begun")
            with damage(self._path, Damage):
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
        if identity(self._path) != self._identity:
            raise StoreError(
                f"{self._path} was removed or replaced while it was in use;"
                " what is written to it from now on would be lost"
            )

    async def read(self, work: Callable[..., T], *arguments: Any) -> T:
        """Read on a connection of its own, which sees whole commits and waits for none.

        Args:
            work: what reads, given the connection and the arguments.
            arguments: the others.
        """

        def call() -> T:
            self._check_place()
            connection = connect(self._path, self._timeout)
            try:
                connection.execute("begin")
                with damage(self._path, *SENSELESS):
                    return work(connection, *arguments)
            finally:
                connection.close()

        return await self.in_thread(call)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Do something in a thread, and turn the database's errors into ours."""
        return await trio.to_thread.run_sync(partial(translated, self._path, call))
