"""What management speaks of, as messages and back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from dagrun.domain import serialize
from dagrun.domain.jsonvalue import NotJson, decode, encode, parse
from dagrun.domain.monitoring import MonitorEvent, Severity
from dagrun.domain.result import from_json, rfc3339, to_json
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import InputError, Problem
from dagrun.ports.engine import EngineView
from dagrun.ports.management import (
    Change,
    ChildRun,
    LogPiece,
    RunSummary,
    RunView,
    Wanted,
    WorkflowView,
)
from dagrun_grpc.limits import MAX_MESSAGE, PART
from dagrun_grpc.wire.dagrun import v1

INPUTS: Final = "inputs"
RESUMABLE: Final = "resumable"
SHOWN: Final = 1000  # characters of a name or a description in lists, which are to fit in a message


def json_bytes(value: Any, path: str = "") -> bytes:
    """Write a value of a user, which is the field ``path``; nothing for None.

    Raises:
        InputError: JSON cannot hold it.
    """
    if value is None:
        return b""
    try:
        return bytes(encode(value, limit=MAX_MESSAGE))
    except NotJson as error:
        raise InputError([Problem(message=f"it is refused: {error}", path=path)]) from error


def json_value(text: bytes, path: str) -> Any:
    """Read a value of a user that came from outside; None for nothing.

    Raises:
        InputError: it is no JSON.
    """
    if not text:
        return None
    try:
        return decode(parse(text))
    except NotJson as error:
        raise InputError([Problem(message=f"it is refused: {error}", path=path)]) from error


def json_object(text: bytes, path: str) -> Mapping[str, Any] | None:
    """Read an object of a user; None for nothing.

    Raises:
        InputError: it is no JSON, or no object.
    """
    value = json_value(text, path)
    if value is not None and not isinstance(value, dict):
        raise InputError([Problem(message="a JSON object is needed", path=path)])
    return value


def time(text: str) -> datetime:
    """Read a time.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(text).astimezone(UTC)


def _maybe_time(text: str | None) -> datetime | None:
    return None if text is None else time(text)


def _maybe_text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def workflow_out(view: WorkflowView) -> v1.Workflow:
    """Write a version of a workflow."""
    return v1.Workflow(
        workflow_id=view.workflow_id,
        version=view.version,
        current=view.current,
        name=view.name[:SHOWN],
        description=view.description[:SHOWN],
        labels=dict(view.labels),
        metadata=json_bytes(view.metadata),
        definition_hash=view.definition_hash,
        registered_at=rfc3339(view.registered_at),
    )


def workflow_in(message: v1.Workflow) -> WorkflowView:
    """Read it."""
    return WorkflowView(
        workflow_id=message.workflow_id,
        version=message.version,
        current=message.current,
        name=message.name,
        description=message.description,
        labels=message.labels,
        metadata=decode(message.metadata) if message.metadata else None,
        definition_hash=message.definition_hash,
        registered_at=time(message.registered_at),
    )


def version_in(message: v1.Workflow, definition: bytes) -> tuple[WorkflowView, Workflow]:
    """Read one with its content, which has the name and the description whole."""
    workflow = serialize.from_json(definition)
    view = workflow_in(message)
    return attrs.evolve(view, name=workflow.name, description=workflow.description), workflow


def run_out(view: RunSummary) -> v1.Run:
    """Write a run of a list."""
    error = view.error
    return v1.Run(
        run_id=view.run_id,
        workflow_id=view.workflow_id,
        version=view.version,
        status=str(view.status),
        resumable=view.resumable,
        created_at=rfc3339(view.created_at),
        started_at=_maybe_text(view.started_at),
        finished_at=_maybe_text(view.finished_at),
        error=None if error is None else v1.RunError(type=error["type"], message=error["message"]),
        rerun_of=view.rerun_of,
    )


def run_in(message: v1.Run | None) -> RunSummary:
    """Read it."""
    message = message or v1.Run()
    error = message.error
    return RunSummary(
        run_id=message.run_id,
        workflow_id=message.workflow_id,
        version=message.version,
        status=RunStatus(message.status),
        resumable=message.resumable,
        created_at=time(message.created_at),
        started_at=_maybe_time(message.started_at),
        finished_at=_maybe_time(message.finished_at),
        error=None if error is None else {"type": error.type, "message": error.message},
        rerun_of=message.rerun_of,
    )


def detail_out(view: RunView) -> bytes:
    """Write a run with all its nodes."""
    more = {INPUTS: view.inputs, RESUMABLE: view.resumable}
    fields = {**to_json(view.result), **more}  # what is of users in it was checked before
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def detail_in(text: bytes) -> RunView:
    """Read it."""
    fields = decode(text)
    return RunView(
        result=from_json(fields), inputs=fields[INPUTS], resumable=bool(fields[RESUMABLE])
    )


def child_out(view: ChildRun) -> v1.SubWorkflow:
    """Write a child run."""
    return v1.SubWorkflow(
        run=run_out(view.run),
        parent_run_id=view.parent_run_id,
        node_id=view.node_id,
        item=view.item,
        attempt=view.attempt,
        depth=view.depth,
    )


def child_in(message: v1.SubWorkflow | None) -> ChildRun:
    """Read it."""
    message = message or v1.SubWorkflow()
    return ChildRun(
        run=run_in(message.run),
        parent_run_id=message.parent_run_id,
        node_id=message.node_id,
        item=message.item,
        attempt=message.attempt,
        depth=message.depth,
    )


def change_out(view: Change) -> v1.RunChange:
    """Write what came of a request to change a run."""
    return v1.RunChange(run_id=view.run_id, changed=view.changed, status=str(view.status))


def change_in(message: v1.RunChange | None) -> Change:
    """Read it."""
    message = message or v1.RunChange()
    return Change(run_id=message.run_id, changed=message.changed, status=RunStatus(message.status))


def log_out(piece: LogPiece) -> v1.StreamLogsResponse:
    """Write a piece of a log."""
    return v1.StreamLogsResponse(
        node_id=piece.node_id, item=piece.item, attempt=piece.attempt, text=_sound(piece.text)
    )


def log_in(message: v1.StreamLogsResponse) -> LogPiece:
    """Read it."""
    return LogPiece(
        node_id=message.node_id, item=message.item, attempt=message.attempt, text=message.text
    )


def event_out(event: MonitorEvent) -> v1.MonitorEvent:
    """Write an event."""
    return v1.MonitorEvent(
        id=event.id,
        type=event.type,
        severity=str(event.severity),
        time=rfc3339(event.time),
        run_id=event.run_id,
        workflow_id=event.workflow_id,
        node_id=event.node_id,
        item=event.item,
        engine_id=event.engine_id,
        attempt=event.attempt,
        data=json_bytes(dict(event.data)) if event.data else b"",
    )


def event_in(message: v1.MonitorEvent | None) -> MonitorEvent:
    """Read it."""
    message = message or v1.MonitorEvent()
    return MonitorEvent(
        id=message.id,
        type=message.type,
        severity=Severity(message.severity),
        time=time(message.time),
        run_id=message.run_id,
        workflow_id=message.workflow_id,
        node_id=message.node_id,
        item=message.item,
        engine_id=message.engine_id,
        attempt=message.attempt,
        data=decode(message.data) if message.data else {},
    )


def wanted_out(wanted: Wanted) -> v1.EventFilter:
    """Write which events are wanted."""
    return v1.EventFilter(
        min_severity=str(wanted.min_severity),
        types=list(wanted.types),
        run_id=wanted.run_id or "",
        workflow_id=wanted.workflow_id or "",
    )


def wanted_in(message: v1.EventFilter | None) -> Wanted:
    """Read it.

    Raises:
        InputError: the severity is none.
    """
    message = message or v1.EventFilter()
    return Wanted(
        min_severity=word(Severity, message.min_severity or Severity.INFO, "filter.min_severity"),
        types=tuple(message.types),
        run_id=message.run_id or None,
        workflow_id=message.workflow_id or None,
    )


def engine_out(view: EngineView) -> v1.Engine:
    """Write an engine."""
    return v1.Engine(
        id=view.id,
        address=view.address,
        status=view.status,
        capacity=view.capacity,
        active_runs=view.active_runs,
        labels=dict(view.labels),
    )


def engine_in(message: v1.Engine | None) -> EngineView:
    """Read it."""
    message = message or v1.Engine()
    return EngineView(
        id=message.id,
        address=message.address,
        status=message.status,
        capacity=message.capacity,
        active_runs=message.active_runs,
        labels=message.labels,
    )


def word(kind: Any, text: str, path: str) -> Any:
    """Read one of some words.

    Raises:
        InputError: it is another one.
    """
    try:
        return kind(text)
    except ValueError as error:
        message = f"{text[:60]!r} is none of {', '.join(kind)}"
        raise InputError([Problem(message=message, path=path)]) from error


def pieces(text: bytes) -> Iterator[bytes]:
    """Cut a text; there is at least one piece."""
    for start in range(0, len(text) or 1, PART):
        yield text[start : start + PART]


def parts(text: bytes) -> Sequence[v1.Part]:
    """Cut a text into pieces that say which one is the last."""
    cut = list(pieces(text))
    return [v1.Part(data=piece, last=number == len(cut)) for number, piece in enumerate(cut, 1)]


def _sound(text: str) -> str:
    return text.encode(errors="replace").decode()
