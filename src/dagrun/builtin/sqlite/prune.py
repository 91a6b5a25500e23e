"""Delete runs that ended long ago, and what only they used."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from dagrun.builtin.intake import KEPT
from dagrun.domain.ids import RunId

_OLD: Final = """
    select run_id, definition_hash from runs
    where finished_at < ? and (idempotency_key is null or created_at < ?)
    order by finished_at limit ?
"""
_THEIRS: Final = "run_id in (select value from json_each(?))"
_UNUSED: Final = """
    delete from definitions where hash in (select value from json_each(?))
      and not exists (select 1 from runs where definition_hash = hash)
      and not exists (select 1 from workflows where definition_hash = hash)
"""


def prune(
    connection: sqlite3.Connection, before: datetime, now: datetime, limit: int
) -> Sequence[RunId]:
    """Delete at most ``limit`` runs that ended before a time, the oldest first."""
    times = (_text(before), _text(now - KEPT))
    found = connection.execute(_OLD, (*times, limit)).fetchall()
    if not found:
        return []
    ids = json.dumps([run_id for run_id, _ in found])
    for table in ("events", "nodes", "runs"):
        connection.execute(f"delete from {table} where {_THEIRS}", (ids,))
    delete_unused(connection, {hash_ for _, hash_ in found})
    return [RunId(run_id) for run_id, _ in found]


def delete_unused(connection: sqlite3.Connection, hashes: Collection[str]) -> None:
    """Delete those of some definitions that no run and no registered workflow has."""
    connection.execute(_UNUSED, (json.dumps(list(hashes)),))


def _text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")
