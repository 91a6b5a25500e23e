"""New runs that may be left out: they are there already, or no slot is free, or no parent waits."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from dagrun.builtin.intake import KEPT
from dagrun.builtin.sqlite.children import child_problem
from dagrun.domain.ids import RunId
from dagrun.errors import NoSuchRun
from dagrun.ports.store import NewRun, Rejection, Slot

_TAKEN: Final = """
    select count(*) from runs
    where concurrency_key = ? and finished_at is null and admitted and run_id <> ?
"""
_ASKED: Final = """
    select run_id, request_hash, created_at from runs
    where workflow_id = ? and idempotency_key = ?
"""

_FREE: Final = """
    update runs set idempotency_key = null where workflow_id = ? and idempotency_key = ?
"""


def insert_checked(
    connection: sqlite3.Connection, runs: Sequence[NewRun], insert: Callable[[NewRun], None]
) -> dict[RunId, RunId | Rejection]:
    """Insert runs one after the other, as each may stand in the way of the next.

    Gives why some were left out, see :attr:`~dagrun.ports.store.CommitResult.unsaved`.
    """
    unsaved: dict[RunId, RunId | Rejection] = {}
    for run in runs:
        problem = (
            child_problem(connection, run)
            or _same_request(connection, run)
            or _without_slot(connection, run)
        )
        if problem is None:
            insert(run)
        else:
            unsaved[run.run_id] = problem
    return unsaved


def admit(connection: sqlite3.Connection, run_id: RunId, slot: Slot) -> bool:
    """Give a run its slot, if one is free or it has one already.

    Raises:
        NotFound: there is no such run.
    """
    if not _is_free(connection, run_id, slot):
        return False
    changed = connection.execute(
        "update runs set admitted = 1, concurrency_key = ? where run_id = ?", (slot.key, run_id)
    ).rowcount
    if not changed:
        raise NoSuchRun(run_id)
    return True


def _is_free(connection: sqlite3.Connection, run_id: RunId, slot: Slot) -> bool:
    (taken,) = connection.execute(_TAKEN, (slot.key, run_id)).fetchone()
    return bool(taken < slot.limit)


def _without_slot(connection: sqlite3.Connection, run: NewRun) -> Rejection | None:
    if run.slot is None or not run.slot.at_once or _is_free(connection, run.run_id, run.slot):
        return None
    return Rejection.NO_SLOT


def read_standing(connection: sqlite3.Connection, run: NewRun) -> RunId | Rejection | None:
    """Give the run that a key stands for; see the port."""
    if run.request is None:
        return None
    row = connection.execute(_ASKED, (run.workflow_id, run.request.key)).fetchone()
    if row is None:
        return None
    earlier, hash_, created_at = row
    if created_at < (run.created_at - KEPT).isoformat(timespec="microseconds"):
        return None
    return RunId(earlier) if hash_ == run.request.hash else Rejection.OTHER_REQUEST


def _same_request(connection: sqlite3.Connection, run: NewRun) -> RunId | Rejection | None:
    standing = read_standing(connection, run)
    if standing is None and run.request is not None:
        connection.execute(_FREE, (run.workflow_id, run.request.key))  # it was used long ago
    return standing
