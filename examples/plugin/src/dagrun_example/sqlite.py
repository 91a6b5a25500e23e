"""The executor ``sqlite``: asks a database file, and gives the rows."""

import math
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import trio

from dagrun.domain.workflow import JSON
from dagrun.errors import NodeError
from dagrun.ports.executor import Context

AT_ONCE: Final = 4  # queries of an engine; each takes a thread
STEPS: Final = 500_000  # of SQLite, some 5 ms; then it looks whether the node is cancelled
MOST: Final = 1024 * 1024  # characters of all rows; the engine takes no more in any case

READING: Final = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
"""All that a query may do. Others, such as ``vacuum into``, write even if the database is read-only."""

ERRORS: Final = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_CANTOPEN: "database",
    sqlite3.SQLITE_NOTADB: "database",
}
"""What SQLite says → type of the node's error; ``query`` for all else."""


@attrs.frozen(kw_only=True)
class SqliteOptions:
    """What a document says under ``executor`` of a ``sqlite`` node."""

    database: str
    """The file, relative to the document."""

    query: str
    """One statement that reads. Values are not written into it, but come as parameters."""

    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    """Name → value for ``:name`` in the query."""

    max_rows: int = attrs.field(default=1000, validator=attrs.validators.ge(1))
    """Most rows. A query that gives more fails."""


class SqliteExecutor:
    """Reads rows, and can do nothing else."""

    options: ClassVar[type[SqliteOptions]] = SqliteOptions
    literal_options: ClassVar[frozenset[str]] = frozenset({"query"})

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(AT_ONCE)

    async def execute(self, context: Context) -> Mapping[str, JSON]:
        """Give ``rows``: a list of objects, column → value.

        Cancelling the call stops the query.

        Raises:
            NodeError: ``database`` for a file that is missing or no database; ``busy`` while
                somebody writes to it; ``query`` for what SQLite refuses; ``rows`` for too many
                of them, ``output`` for too large ones, and for values that JSON does not have.
        """
        options: SqliteOptions = context.options
        rows = await trio.to_thread.run_sync(_ask, options, context.base, limiter=self._threads)
        context.log.write(f"{len(rows)} rows from {options.database}\n".encode())
        return {"rows": rows}


def _ask(options: SqliteOptions, base: Path | None) -> list[dict[str, JSON]]:
    """Ask the database, in a thread: in the loop it would hold up all other nodes."""
    path = Path(base or "", options.database).absolute()
    if not path.is_file():  # opening something else, such as a pipe, might take for ever
        raise NodeError("database", f"{options.database}: there is no such file")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0)) as database:
            database.execute("pragma query_only = on")
            database.set_authorizer(_permit)
            database.set_progress_handler(_is_cancelled, STEPS)
            return _rows(database.execute(options.query, dict(options.parameters)), options)
    except (sqlite3.Error, OverflowError) as error:
        trio.from_thread.check_cancelled()  # a query that was stopped has not failed
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        raise NodeError(ERRORS.get(code, "query"), f"{options.database}: {error}") from error


def _permit(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY


def _is_cancelled() -> bool:
    """Whether SQLite is to stop."""
    try:
        trio.from_thread.check_cancelled()
    except trio.Cancelled:
        return True
    return False


def _rows(cursor: sqlite3.Cursor, options: SqliteOptions) -> list[dict[str, JSON]]:
    names = [column[0] for column in cursor.description or ()]
    if len(set(names)) < len(names):
        raise NodeError("query", f"two columns have one name: {', '.join(names)}")
    rows: list[dict[str, JSON]] = []
    size = 0
    for row in cursor:
        values = {name: _json(name, value) for name, value in zip(names, row, strict=True)}
        size += sum(len(str(value)) for value in row)
        if len(rows) == options.max_rows:
            raise NodeError("rows", f"there are more than {options.max_rows} rows")
        if size > MOST:
            raise NodeError("output", f"the rows have more than {MOST} characters")
        rows.append(values)
    return rows


def _json(name: str, value: float | str | bytes | None) -> JSON:
    """Refuse what outputs cannot hold."""
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        kind = "a blob" if isinstance(value, bytes) else str(value)
        raise NodeError("output", f"the column {name!r} holds {kind}, which JSON does not have")
    return value
