"""What is read from the tables, and how rows become records."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import msgspec

from dagrun.domain.events import RAW_FIELDS, Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.serialize import content_hash
from dagrun.domain.status import RUN_ENDED, NodeStatus, RunStatus
from dagrun.errors import NoSuchRun, NotFound, StoreTooNew
from dagrun.ports.store import Definition, Logged, NodeRecord, Parent, RunRecord

_RUN: Final = """
    select run_id, workflow_id, version, definition_hash, status, inputs, error, owner, epoch,
      last_seq, priority, created_at, started_at, finished_at, concurrency_key, admitted,
      (select data from events e where e.run_id = runs.run_id and e.seq = runs.outputs_seq),
      engine_id, instance, rerun_of, parent_run_id, parent_epoch, parent_node_id, parent_item,
      parent_attempt, depth, parent_waits
    from runs
"""
CHILD_AT: Final = """
    parent_run_id = ? and parent_node_id = ? and coalesce(parent_item, -1) = ?
      and parent_attempt = ?
"""
"""Which child is meant, in the words of its index."""

_NODES: Final = """
    select node_id, item, status, attempts, started_at, finished_at, error,
      (select data from events e where e.run_id = nodes.run_id and e.seq = nodes.outputs_seq)
    from nodes where run_id = ? order by node_id, item
"""
_EVENTS: Final = """
    select seq, epoch, type, time, node_id, item, attempt, data
    from events where run_id = ? and seq > ? order by seq
"""
_LOG: Final = """
    select position, workflow_id,
      (select case when placed.epoch = events.epoch then placed.data end from events placed
        where placed.run_id = events.run_id and placed.seq <= events.seq
          and (placed.type = 'run.queued' or placed.data glob '{"engine":*')
        order by placed.seq desc limit 1),
      run_id, seq, events.epoch, type, time, node_id, item, attempt, data
    from events join runs using (run_id) where
"""
LOG_OF_ALL: Final = f"{_LOG} position > ? order by position limit ?"
LOG_OF_RUN: Final = f"{_LOG} run_id = ? and +position > ? order by seq limit ?"
"""In the order of ``seq``, which is that of positions, and without help of the position: else SQLite
sorts all of the run, or looks through all runs.
"""
UNFINISHED: Final = f"{_RUN} where status in (select value from json_each(?)) and +owner = ?"
"""By the index of states: an index of owners would have to be kept with each commit."""
_raw_object: Final = msgspec.json.Decoder(dict[str, Raw])


class Damage(ValueError):
    """Something that is stored is not what was written; the store says in which file."""


def read_run(connection: sqlite3.Connection, run_id: str) -> RunRecord:
    """Give one run.

    Raises:
        NotFound: there is no such run.
    """
    row = connection.execute(_RUN + " where run_id = ?", (run_id,)).fetchone()
    if row is None:
        raise NoSuchRun(run_id)
    return _run(row)


def read_runs(
    connection: sqlite3.Connection,
    workflow_id: str | None,
    status: RunStatus | None,
    top_level: bool,
    limit: int,
    cursor: str | None,
) -> tuple[Sequence[RunRecord], str | None]:
    """Give a page of runs, newest first."""
    wanted = {"workflow_id = ?": workflow_id, "status = ?": status, "run_id < ?": cursor}
    given = {condition: value for condition, value in wanted.items() if value is not None}
    conditions = [*given, *(["parent_run_id is null"] if top_level else [])]
    where = " where " + " and ".join(conditions) if conditions else ""
    query = f"{_RUN}{where} order by run_id desc limit ?"
    rows = connection.execute(query, (*given.values(), limit + 1)).fetchall()
    records = [_run(row) for row in rows[:limit]]
    return records, records[-1].run_id if len(rows) > limit else None


def read_nodes(connection: sqlite3.Connection, run_id: str) -> Sequence[NodeRecord]:
    """Give the nodes and items of a run."""
    return [_node(run_id, row) for row in connection.execute(_NODES, (run_id,))]


def read_events(connection: sqlite3.Connection, run_id: str, after: int) -> Sequence[Event]:
    """Give a run's journal behind a position."""
    return list(_events(RunId(run_id), connection.execute(_EVENTS, (run_id, after))))


def read_log(
    connection: sqlite3.Connection, run_id: str | None, after: int, limit: int
) -> Sequence[Logged]:
    """Give the events of all runs, or of one, behind a position, in their order."""
    if run_id is None:
        rows = connection.execute(LOG_OF_ALL, (after, limit))
    else:
        rows = connection.execute(LOG_OF_RUN, (run_id, after, limit))
    return [_logged(*row) for row in rows]


def read_last_position(connection: sqlite3.Connection) -> int:
    """Give the position of the newest event, also of one that was pruned; 0 without any."""
    row = connection.execute("select seq from sqlite_sequence where name = 'events'").fetchone()
    return int(row[0]) if row else 0


def read_holders(connection: sqlite3.Connection, key: str) -> Sequence[RunRecord]:
    """Give the runs that hold slots of a key, the oldest first."""
    query = f"{_RUN} where concurrency_key = ? and finished_at is null and admitted order by run_id"
    return [_run(row) for row in connection.execute(query, (key,))]


def read_rivals(connection: sqlite3.Connection, run_id: RunId, key: str) -> Sequence[RunRecord]:
    """Give the runs with a key that have a slot, or wait and are not newer; the oldest first."""
    mine = "concurrency_key = ? and finished_at is null and (admitted or run_id <= ?)"
    query = f"{_RUN} where {mine} order by run_id"
    return [_run(row) for row in connection.execute(query, (key, run_id))]


def read_children(connection: sqlite3.Connection, run_id: RunId) -> Sequence[RunRecord]:
    """Give the runs that a run started, the oldest first."""
    query = f"{_RUN} where parent_run_id = ? order by run_id"
    return [_run(row) for row in connection.execute(query, (run_id,))]


def read_child(
    connection: sqlite3.Connection, place: tuple[RunId, str, int | None, int]
) -> RunRecord | None:
    """Give the run that an attempt started: parent, node, item and attempt."""
    run_id, node_id, item, attempt = place
    key = (run_id, node_id, -1 if item is None else item, attempt)
    row = connection.execute(f"{_RUN} where {CHILD_AT}", key).fetchone()
    return None if row is None else _run(row)


def read_unfinished(connection: sqlite3.Connection, owner: str) -> Sequence[RunRecord]:
    """Give the runs of an owner that have not ended, the oldest first."""
    going_on = json.dumps([status for status in RunStatus if status not in RUN_ENDED])
    found = [_run(row) for row in connection.execute(UNFINISHED, (going_on, owner))]
    return sorted(found, key=attrgetter("run_id"))


def read_definition(connection: sqlite3.Connection, hash_: str) -> Definition:
    """Give a definition.

    Raises:
        NotFound: there is none of that hash.
        Damage: another one stands under it.
    """
    row = connection.execute("select body from definitions where hash = ?", (hash_,)).fetchone()
    if row is None:
        raise NotFound(f"there is no definition {hash_!r}")
    body = row[0].encode()
    if content_hash(body) != hash_:
        raise Damage(f"the definition {hash_} is not what was stored under this hash")
    return Definition(hash=hash_, body=body)


def _run(row: tuple[Any, ...]) -> RunRecord:
    return RunRecord(
        run_id=RunId(_text(row[0])),
        workflow_id=_text(row[1]),
        version=_text(row[2]),
        definition_hash=_text(row[3]),
        status=RunStatus(row[4]),
        inputs=Raw(row[5].encode()),
        error=_json(row[6]),
        owner=_text(row[7]),
        epoch=_number(row[8]),
        last_seq=_number(row[9]),
        priority=_number(row[10]),
        created_at=moment(row[11]),
        started_at=_time(row[12]),
        finished_at=_time(row[13]),
        slot_key=row[14],
        admitted=bool(row[15]),
        outputs=_outputs(row[16]),
        engine_id=row[17],
        instance=row[18],
        rerun_of=row[19],
        parent=None if row[20] is None else parent_of(row[20:]),
    )


def parent_of(row: Sequence[Any]) -> Parent:
    """Make a parent from the columns that say what started a run."""
    return Parent(
        run_id=RunId(_text(row[0])),
        epoch=_number(row[1]),
        node_id=_text(row[2]),
        item=None if row[3] is None else _number(row[3]),
        attempt=_number(row[4]),
        depth=_number(row[5]),
        wait=bool(row[6]),
    )


def _node(run_id: str, row: tuple[Any, ...]) -> NodeRecord:
    return NodeRecord(
        run_id=RunId(run_id),
        node_id=row[0],
        item=None if row[1] < 0 else row[1],
        status=NodeStatus(row[2]),
        attempts=row[3],
        started_at=_time(row[4]),
        finished_at=_time(row[5]),
        error=_json(row[6]),
        outputs=_outputs(row[7]),
    )


def _logged(position: int, workflow_id: str, placed: str | None, run_id: str, *row: Any) -> Logged:
    return Logged(
        position=position,
        workflow_id=_text(workflow_id),
        engine_id=(read_data(placed) or {}).get("engine"),
        event=next(_events(RunId(run_id), [row])),
    )


def _events(run_id: RunId, rows: Iterable[Sequence[Any]]) -> Iterator[Event]:
    for seq, epoch, kind, time, node_id, item, attempt, data in rows:
        yield Event(
            run_id,
            _number(seq),
            _number(epoch),
            _type(kind),
            moment(time),
            None if node_id is None else _text(node_id),
            None if item is None else _number(item),
            None if attempt is None else _number(attempt),
            read_data(data),
        )


def _type(name: str) -> Type:
    try:
        return Type(name)
    except ValueError:
        raise StoreTooNew(
            f"its journal holds an event {name!r} that this dagrun does not know; update dagrun"
        ) from None


def read_data(text: str | None) -> dict[str, Any] | None:
    """Decode an event's data, but for the fields that stay text."""
    if text is None:
        return None
    return {
        name: Raw(bytes(raw)) if name in RAW_FIELDS else msgspec.json.decode(raw)
        for name, raw in _raw_object.decode(text).items()
    }


def _outputs(text: str | None) -> Raw | None:
    data = read_data(text)
    return None if data is None else data.get("outputs")


def _json(text: str | None) -> Any:
    return msgspec.json.decode(text) if text else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Damage(f"{value!r} stands where a text belongs")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise Damage(f"{value!r} stands where a whole number belongs")
    return value


def _time(text: str | None) -> datetime | None:
    return None if text is None else moment(text)


def moment(text: str) -> datetime:
    """Read a time, which always has its zone.

    Raises:
        ValueError: it is none.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise Damage(f"the time {text!r} has no zone")
    return time
