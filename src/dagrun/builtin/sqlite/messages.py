"""What is posted to runs, numbered for each run, until somebody takes it up."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from dagrun.builtin.intake import CANCELLED_WITH_PARENT
from dagrun.builtin.sqlite.read import read_data
from dagrun.builtin.sqlite.rows import columns, ids, text
from dagrun.domain.ids import RunId
from dagrun.errors import NoSuchRun
from dagrun.ports.store import Message, MessageKind, Posted, Taken

CANCEL_WAITS: Final = (
    "exists (select 1 from messages where messages.run_id = runs.run_id and kind = 'cancel')"
)
"""Whether a request to cancel a run was not taken up yet, as SQL."""

DECIDED: Final = "('cancelling', 'ending')"
"""States of a run in which a request to cancel it changes nothing, as SQL."""

_TAKE: Final = """
    delete from messages where (run_id, number) in (
      select value->>0, value->>2 from json_each(?)
        join runs on runs.run_id = value->>0 and runs.epoch = value->>1
    )
    returning run_id, number, kind, data
"""
_DESCENDANTS: Final = f"""
    with recursive family (run_id) as (
      select run_id from runs where parent_run_id in (select value from json_each(?))
      union
      select runs.run_id from family join runs on runs.parent_run_id = family.run_id
    )
    select run_id from family join runs using (run_id)
    where finished_at is null and status not in {DECIDED} and not {CANCEL_WAITS}
    order by run_id
"""
_INSERT: Final = f"""
    insert into messages (run_id, number, kind, data) select {columns(4)} from json_each(?)
"""
_TO_OTHERS: Final = """
    select run_id, number, kind, data from messages join runs using (run_id)
    where owner <> ? order by run_id, number
"""
_NUMBERS: Final = """
    select run_id, last_message from runs where run_id in (select value from json_each(?))
"""
_COUNT: Final = """
    update runs set last_message = new.number
    from (select value->>0 as run_id, max(value->>1) as number from json_each(?) group by 1) as new
    where runs.run_id = new.run_id
"""

Row = tuple[str, int, str, str]
"""Run, number, kind, and data as JSON."""


@attrs.frozen
class Letter:
    """A message that has no number yet."""

    run_id: RunId
    kind: MessageKind
    data: Mapping[str, Any]


def post(
    connection: sqlite3.Connection, run_id: RunId, kind: MessageKind, data: Mapping[str, Any]
) -> Sequence[Posted]:
    """Post something to a run, and a request to cancel to its descendants, too.

    Raises:
        NotFound: there is no such run.
    """
    row = connection.execute(
        f"select finished_at is not null, status in {DECIDED} or"
        f" {CANCEL_WAITS} from runs where run_id = ?",
        (run_id,),
    ).fetchone()
    if row is None:
        raise NoSuchRun(run_id)
    ended, cancelled = row
    if ended or (cancelled and kind is MessageKind.CANCEL):
        return []
    letters = [Letter(run_id, kind, data)]
    if kind is MessageKind.CANCEL:
        letters += cancel_descendants(connection, [run_id])
    return put(connection, letters)


def cancel_descendants(connection: sqlite3.Connection, runs: Sequence[RunId]) -> list[Letter]:
    """Give what is to be posted to the descendants of runs that are being cancelled."""
    found = connection.execute(_DESCENDANTS, (ids(runs),))
    return [Letter(RunId(id_), MessageKind.CANCEL, CANCELLED_WITH_PARENT) for (id_,) in found]


def put(connection: sqlite3.Connection, letters: Sequence[Letter]) -> Sequence[Posted]:
    """Number letters, and store them in the boxes of runs that are there."""
    if not letters:
        return []
    runs = ids([letter.run_id for letter in letters])
    numbers = dict(connection.execute(_NUMBERS, (runs,)).fetchall())
    posted = []
    for letter in letters:
        number = numbers[letter.run_id] = numbers[letter.run_id] + 1
        message = Message(number=number, kind=letter.kind, data=letter.data)
        posted.append(Posted(run_id=letter.run_id, message=message))
    _insert(connection, [_row(one) for one in posted])
    connection.execute(_COUNT, (text(list(numbers.items())),))
    return posted


def take_up(connection: sqlite3.Connection, taken: Sequence[Taken]) -> list[Row]:
    """Delete messages that were taken up under the epochs of their runs, and give them."""
    if not taken:
        return []
    rows = text([(one.run_id, one.epoch, one.number) for one in taken])
    return connection.execute(_TAKE, (rows,)).fetchall()


def put_back(connection: sqlite3.Connection, rows: Sequence[Row], runs: Collection[RunId]) -> None:
    """Store those messages of some runs again that were taken up for events that are refused."""
    if mine := [row for row in rows if row[0] in runs]:
        _insert(connection, mine)


def discard(connection: sqlite3.Connection, runs: str) -> None:
    """Delete all messages of runs that have ended; they are given as a JSON list."""
    connection.execute(
        "delete from messages where run_id in (select value from json_each(?))", (runs,)
    )


def read_messages(connection: sqlite3.Connection, run_id: RunId) -> Sequence[Message]:
    """Give what was posted to a run and not taken up yet, in order."""
    return [
        posted.message
        for posted in _posted(
            connection.execute(
                "select run_id, number, kind, data from messages where run_id = ? order by number",
                (run_id,),
            )
        )
    ]


def read_messages_to_others(connection: sqlite3.Connection, owner: str) -> Sequence[Posted]:
    """Give what was posted to runs of other owners and not taken up yet."""
    return list(_posted(connection.execute(_TO_OTHERS, (owner,))))


def _posted(rows: sqlite3.Cursor) -> Iterator[Posted]:
    for run_id, number, kind, data in rows:
        message = Message(number=number, kind=MessageKind(kind), data=read_data(data) or {})
        yield Posted(run_id=RunId(run_id), message=message)


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.execute(_INSERT, (text(rows),))


def _row(posted: Posted) -> Row:
    message = posted.message
    return posted.run_id, message.number, message.kind, text(message.data)
