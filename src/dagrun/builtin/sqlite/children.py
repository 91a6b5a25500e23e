"""Runs that other runs started: which of them are stored, and what one run hears of the other."""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

import attrs

from dagrun.builtin.intake import child_ended, turns
from dagrun.builtin.sqlite.assignments import unassign
from dagrun.builtin.sqlite.messages import (
    CANCEL_WAITS,
    Letter,
    cancel_descendants,
    discard,
    put,
)
from dagrun.builtin.sqlite.read import CHILD_AT, parent_of
from dagrun.builtin.sqlite.rows import ids
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.ports.store import MessageKind, NewRun, Posted, Rejection

_EARLIER: Final = f"select run_id from runs where {CHILD_AT}"
_GOES_ON: Final = f"""
    select 1 from runs where run_id = ? and epoch = ? and finished_at is null
      and status <> 'cancelling' and not {CANCEL_WAITS}
"""
_STARTED: Final = """
    update runs set parent_run_id = :run_id, parent_epoch = :epoch, parent_node_id = :node_id,
      parent_item = :item, parent_attempt = :attempt, depth = :depth, parent_waits = :wait
    where run_id = :child
"""
_PARENTS: Final = """
    select child.run_id, child.parent_run_id, child.parent_epoch, child.parent_node_id,
      child.parent_item, child.parent_attempt, child.depth, child.parent_waits
    from runs child join runs parent on parent.run_id = child.parent_run_id
    where child.run_id in (select value from json_each(?))
      and child.parent_waits and parent.finished_at is null
"""


def child_problem(connection: sqlite3.Connection, run: NewRun) -> RunId | Rejection | None:
    """Give the child that is there already, or say why a new one is not stored."""
    parent = run.parent
    if parent is None:
        return None
    item = -1 if parent.item is None else parent.item
    place = (parent.run_id, parent.node_id, item, parent.attempt)
    row = connection.execute(_EARLIER, place).fetchone()
    if row is not None:
        return RunId(row[0])
    row = connection.execute(_GOES_ON, (parent.run_id, parent.epoch)).fetchone()
    return Rejection.ORPHAN if row is None else None


def store_parents(connection: sqlite3.Connection, runs: Sequence[NewRun]) -> None:
    """Write down what started those of some new runs that were started by others."""
    for run in runs:
        if run.parent is not None:
            connection.execute(_STARTED, attrs.asdict(run.parent) | {"child": run.run_id})


def spread(
    connection: sqlite3.Connection, events: Sequence[Event], involved: Collection[RunId]
) -> Sequence[Posted]:
    """Tell runs of what became of others by events that were stored, and give what was posted.

    Args:
        connection: the transaction in which the events were stored.
        events: what was stored.
        involved: runs that may have messages, an engine, or a parent that waits for them.
    """
    ended, cancelled = turns(events)
    letters: list[Letter] = []
    if concerned := [end for end in ended if end.run_id in involved]:
        runs = ids([end.run_id for end in concerned])
        discard(connection, runs)
        unassign(connection, runs)
        letters += _tell_parents(connection, concerned, runs)
    if cancelled:
        letters += cancel_descendants(connection, cancelled)
    return put(connection, letters)


def _tell_parents(
    connection: sqlite3.Connection, ended: Sequence[Event], runs: str
) -> list[Letter]:
    rows = connection.execute(_PARENTS, (runs,))
    parents = {run_id: parent_of(row) for run_id, *row in rows}
    return [
        Letter(parent.run_id, MessageKind.CHILD_ENDED, child_ended(end, parent))
        for end in ended
        if (parent := parents.get(end.run_id))
    ]
