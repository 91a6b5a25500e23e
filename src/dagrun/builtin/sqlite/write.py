"""One commit: a batch of events with what it changes, each table in one statement.

A batch travels to SQLite as one JSON text that ``json_each`` takes apart there. ``executemany``
would let go of the interpreter lock for every row, and may wait 5 ms for it each time when the
event loop is busy.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from dagrun.builtin.intake import choose
from dagrun.builtin.sqlite.admission import insert_checked
from dagrun.builtin.sqlite.assignments import assign
from dagrun.builtin.sqlite.children import spread, store_parents
from dagrun.builtin.sqlite.messages import CANCEL_WAITS, DECIDED, put_back, take_up
from dagrun.builtin.sqlite.read import Damage
from dagrun.builtin.sqlite.rows import columns, text, time
from dagrun.domain.events import SCHEMA_VERSION, Event
from dagrun.domain.ids import RunId
from dagrun.domain.projection import CLEARED, Changes, NodeChange, RunChange, project
from dagrun.ports.store import (
    Assignment,
    CommitResult,
    Definition,
    NewRun,
    Refusal,
    Rejection,
    Taken,
)

_DEFINITIONS: Final = f"insert or ignore into definitions select {columns(2)} from json_each(?)"
_RUNS: Final = f"""
    insert into runs (run_id, workflow_id, version, definition_hash, inputs, owner, priority,
      created_at, concurrency_key, admitted, idempotency_key, request_hash, rerun_of, status, epoch,
      last_seq)
    select {columns(13)}, 'queued', 1, 0 from json_each(?)
"""
_EVENTS: Final = f"""
    insert into events (run_id, seq, epoch, type, time, node_id, item, attempt, data, version)
    select {columns(10)} from json_each(?)
"""
_NODES: Final = f"""
    insert into nodes (run_id, node_id, item, status, attempts, started_at, finished_at,
      outputs_seq, error)
    select {columns(9)} from json_each(?) where true
    on conflict do update set
      status = excluded.status,
      attempts = max(attempts, excluded.attempts),
      started_at = coalesce(started_at, excluded.started_at),
      finished_at = coalesce(excluded.finished_at, finished_at),
      outputs_seq = coalesce(excluded.outputs_seq, outputs_seq),
      error = nullif(coalesce(excluded.error, error), '')
"""
_CHANGED_RUNS: Final = """
    update runs set
      status = coalesce(nullif(new.status, ''), runs.status),
      epoch = new.epoch,
      last_seq = new.last_seq,
      started_at = coalesce(runs.started_at, new.started_at),
      finished_at = coalesce(new.finished_at, runs.finished_at),
      error = coalesce(new.error, runs.error),
      outputs_seq = coalesce(new.outputs_seq, runs.outputs_seq)
    from (
      select value->>0 as run_id, value->>1 as status, value->>2 as epoch, value->>3 as last_seq,
        value->>4 as started_at, value->>5 as finished_at, value->>6 as error,
        value->>7 as outputs_seq
      from json_each(?)
    ) as new
    where runs.run_id = new.run_id
"""
_STANDINGS: Final = f"""
    select json_group_array(json_array(run_id, epoch, last_seq,
      last_message > 0 and status not in {DECIDED} and {CANCEL_WAITS},
      last_message > 0 or parent_waits or engine_id is not null))
    from runs where run_id in (select value from json_each(?))
"""
_EPOCH: Final = "select epoch from events where run_id = ? and seq = ?"


def write_batch(
    connection: sqlite3.Connection,
    events: Sequence[Event],
    new_runs: Sequence[NewRun],
    definitions: Sequence[Definition],
    taken: Sequence[Taken],
    assignments: Sequence[Assignment],
) -> CommitResult:
    """Write a batch inside the transaction that is open."""
    if definitions:
        rows = list(
            {definition.hash: definition.body.decode() for definition in definitions}.items()
        )
        connection.execute(_DEFINITIONS, (text(rows),))
    unsaved = _insert_runs(connection, new_runs)
    if unsaved:
        events = [event for event in events if event.run_id not in unsaved]
    messages = take_up(connection, taken)
    chosen, refused, involved = _choose(connection, events)
    put_back(connection, messages, refused)
    position = _write_events(connection, chosen) if chosen else 0
    posted = spread(connection, chosen, involved)
    return CommitResult(
        refused=refused,
        unsaved=unsaved,
        taken=chosen,
        position=position,
        posted=posted,
        unassigned=assign(connection, assignments),
    )


def _insert_runs(
    connection: sqlite3.Connection, runs: Sequence[NewRun]
) -> Mapping[RunId, RunId | Rejection]:
    def insert(*rows: NewRun) -> None:
        connection.execute(_RUNS, (text([_run_row(run) for run in rows]),))
        store_parents(connection, rows)

    simple = [run for run in runs if not _may_be_left_out(run)]
    if simple:
        insert(*simple)
    if len(simple) == len(runs):
        return {}
    return insert_checked(connection, [run for run in runs if _may_be_left_out(run)], insert)


def _may_be_left_out(run: NewRun) -> bool:
    at_once = run.slot is not None and run.slot.at_once
    return at_once or run.request is not None or run.parent is not None


def _write_events(connection: sqlite3.Connection, events: Sequence[Event]) -> int:
    """Write events with what they change. Give the position of the first one."""
    rows = text([_event_row(event) for event in events])
    last = connection.execute(_EVENTS, (rows,)).lastrowid or 0
    _write_changes(connection, project(events))
    return last - len(events) + 1


def _write_changes(connection: sqlite3.Connection, changes: Changes) -> None:
    if changes.nodes:
        rows = [_node_change(change) for change in changes.nodes.values()]
        connection.execute(_NODES, (text(rows),))
    runs = [_run_change(change) for change in changes.runs.values()]
    connection.execute(_CHANGED_RUNS, (text(runs),))


def _choose(
    connection: sqlite3.Connection, events: Sequence[Event]
) -> tuple[list[Event], Mapping[RunId, Refusal], Collection[RunId]]:
    """Drop what is there already; refuse, run by run, what does not follow.

    The third thing is the runs that ever had a message, are with an engine, or have a parent that
    waits: the end of any other one concerns nobody.
    """
    if not events:
        return [], {}, ()
    runs = text(list({event.run_id for event in events}))
    found = json.loads(connection.execute(_STANDINGS, (runs,)).fetchone()[0])
    positions = {run_id: (epoch, seq) for run_id, epoch, seq, _, _ in found}
    to_cancel = [run_id for run_id, _, _, cancel_waits, _ in found if cancel_waits]
    involved = {run_id for run_id, _, _, _, is_involved in found if is_involved}

    def stored_epoch(run_id: RunId, seq: int) -> int:
        row = connection.execute(_EPOCH, (run_id, seq)).fetchone()
        if row is None:
            raise Damage(f"event {seq} of run {run_id} is missing")
        return int(row[0])

    return *choose(events, positions, stored_epoch, to_cancel), involved


def _event_row(event: Event) -> tuple[Any, ...]:
    data = event.data
    return (
        event.run_id,
        event.seq,
        event.epoch,
        event.type,
        time(event.time),
        event.node_id,
        event.item,
        event.attempt,
        None if data is None else text(data),
        SCHEMA_VERSION,
    )


def _run_row(run: NewRun) -> tuple[Any, ...]:
    return (
        run.run_id,
        run.workflow_id,
        run.version,
        run.definition_hash,
        bytes(run.inputs).decode(),
        run.owner,
        run.priority,
        time(run.created_at),
        run.slot and run.slot.key,
        run.slot is not None and run.slot.at_once,
        run.request and run.request.key,
        run.request and run.request.hash,
        run.rerun_of,
    )


def _run_change(change: RunChange) -> tuple[Any, ...]:
    return (
        change.run_id,
        change.status,
        change.epoch,
        change.last_seq,
        time(change.started_at),
        time(change.finished_at),
        None if change.error is None else text(change.error),
        change.outputs_seq,
    )


def _node_change(change: NodeChange) -> tuple[Any, ...]:
    return (
        change.run_id,
        change.node_id,
        -1 if change.item is None else change.item,
        change.status,
        change.attempts,
        time(change.started_at),
        time(change.finished_at),
        change.outputs_seq,
        _error(change.error),
    )


def _error(error: Any) -> str | None:
    if error is CLEARED:
        return ""
    return None if error is None else text(error)
