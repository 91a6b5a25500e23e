"""Who executes a run: the process that owns it, and the engine to which it is assigned."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from dagrun.builtin.intake import refusal
from dagrun.builtin.sqlite.read import read_run
from dagrun.builtin.sqlite.rows import ids, text
from dagrun.domain.ids import RunId
from dagrun.errors import ConflictError, RunHasEnded
from dagrun.ports.store import Assignment, Refusal, RunRecord

_STANDINGS: Final = """
    select json_group_array(json_array(run_id, epoch, finished_at is not null,
      (select coalesce(max(number), 0) from messages where messages.run_id = runs.run_id)))
    from runs where run_id in (select value from json_each(?))
"""
_ASSIGN: Final = """
    update runs set engine_id = new.engine_id, instance = new.instance
    from (
      select value->>0 as run_id, value->>1 as engine_id, value->>2 as instance from json_each(?)
    ) as new
    where runs.run_id = new.run_id
"""
_CLAIM: Final = """
    update runs set owner = ?, epoch = epoch + 1, engine_id = null, instance = null
    where run_id = ? and epoch = ? and finished_at is null
"""


def assign(
    connection: sqlite3.Connection, assignments: Sequence[Assignment]
) -> dict[RunId, Refusal]:
    """Assign runs to engines, or to none, and give why some were refused."""
    if not assignments:
        return {}
    runs = ids([assignment.run_id for assignment in assignments])
    (found,) = connection.execute(_STANDINGS, (runs,)).fetchone()
    standings = {run_id: standing for run_id, *standing in json.loads(found)}
    chosen: dict[RunId, Assignment] = {}
    refused: dict[RunId, Refusal] = {}
    for assignment in assignments:
        epoch, ended, newest = standings.get(assignment.run_id, (None, 0, 0))
        why = refusal(assignment, epoch, ended=bool(ended), newest=newest)
        if why is None:
            chosen[assignment.run_id] = assignment
        else:
            refused[assignment.run_id] = why
    if chosen:
        rows = [(one.run_id, one.engine_id, one.instance) for one in chosen.values()]
        connection.execute(_ASSIGN, (text(rows),))
    return refused


def unassign(connection: sqlite3.Connection, runs: str) -> None:
    """Take runs that have ended, given as a JSON list, from their engines."""
    connection.execute(
        "update runs set engine_id = null, instance = null"
        " where run_id in (select value from json_each(?))",
        (runs,),
    )


def claim(
    connection: sqlite3.Connection, run_id: RunId, owner: str, expected_epoch: int
) -> RunRecord:
    """Hand a run over to another owner, if its epoch is the expected one.

    Raises:
        NotFound: there is no such run.
        RunHasEnded: there is nothing more to execute.
        ConflictError: the epoch is another one.
    """
    changed = connection.execute(_CLAIM, (owner, run_id, expected_epoch)).rowcount
    record = read_run(connection, run_id)
    if record.finished_at is not None:
        raise RunHasEnded(run_id)
    if not changed:
        raise ConflictError(f"run {run_id} was taken over by somebody else")
    return record
