# ruff: noqa: S101 — these are parts of tests
"""Short ways to write journals, and what belongs to them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import encode
from dagrun.ports.store import CommitResult, Definition, NewRun, Registration, Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=1)
NASTY: Mapping[str, Any] = {
    "nul": "a\0b",
    "texts": ["ü€😀", "\u2028", '"\\', "", "--;'"],
    "numbers": [2**70, -0.5, 1e300, True, None],
    "nested": {"": [[], {}]},
}
ATTEMPT: Mapping[str, Any] = {"node_id": "a", "attempt": 1}
ERROR = {"type": "boom", "message": "it \0 broke 😀"}


def definition(body: bytes = b'{"id":"w"}') -> Definition:
    """Make a definition with the right hash."""
    return Definition(hash=sha256(body).hexdigest(), body=body)


def new_run(run_id: str = "r", **fields: Any) -> NewRun:
    """Make a run to be accepted."""
    values = {
        "workflow_id": "w",
        "version": "1.0.0",
        "definition_hash": definition().hash,
        "inputs": encode(NASTY),
        "owner": "owner",
        "created_at": NOON,
    }
    return NewRun(run_id=RunId(run_id), **{**values, **fields})


def event(seq: int, kind: Type, run_id: str = "r", **fields: Any) -> Event:
    """Make an event of the first epoch, one second after the one before it."""
    time = fields.pop("time", NOON + timedelta(seconds=seq))
    return Event(RunId(run_id), seq, fields.pop("epoch", 1), kind, time, **fields)


def journal(run_id: str = "r", outputs: Any = NASTY) -> list[Event]:
    """Make the journal of a run that failed once and then succeeded."""
    raw = encode(outputs)
    return [
        event(1, Type.RUN_QUEUED, run_id),
        event(2, Type.RUN_RUNNING, run_id, data={"engine": "e"}),
        event(3, Type.NODE_RUNNING, run_id, **ATTEMPT),
        event(4, Type.NODE_RETRYING, run_id, **ATTEMPT, data={"error": ERROR, "delay": 0.25}),
        event(5, Type.NODE_RUNNING, run_id, node_id="a", attempt=2),
        event(6, Type.NODE_SUCCEEDED, run_id, node_id="a", attempt=2, data={"outputs": raw}),
        event(7, Type.RUN_SUCCEEDED, run_id, data={"outputs": raw}),
    ]


async def add_run(store: Store, run_id: str = "r", *, upto: int = 7, **fields: Any) -> None:
    """Store a run, and the first events of :func:`journal`."""
    given = journal(run_id)[:upto]
    result = await store.commit(
        given, new_runs=[new_run(run_id, **fields)], definitions=[definition()]
    )
    assert result == CommitResult()


def registration(workflow_id: str, version: str, **fields: Any) -> Registration:
    """Make a registration of :func:`definition`."""
    values = {"definition_hash": definition().hash, "registered_at": NOON}
    return Registration(workflow_id=workflow_id, version=version, **{**values, **fields})
