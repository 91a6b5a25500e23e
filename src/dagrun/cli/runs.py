"""``dagrun runs list|show|logs``: look into the data directory, beside whoever uses it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from dagrun.builtin.ownership import owner_pid
from dagrun.cli import output
from dagrun.cli.board import CUT_OFF, Board
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.progress import headline, plain_line
from dagrun.cli.running import check_run, has_database, with_store
from dagrun.domain.durations import format_duration
from dagrun.domain.explain import how_to_go_on
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.plan import compile_plan
from dagrun.domain.result import RunResult, rfc3339, run_result, to_json
from dagrun.domain.scope import run_inputs
from dagrun.domain.state import RunState
from dagrun.domain.status import RUN_ENDED, RunStatus, stands
from dagrun.errors import ConfigError
from dagrun.ports.management import RunSummary
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.local import LOGS
from dagrun.roles.run_logs import check_tried, node_of
from dagrun.roles.stored_runs import restore, stored_workflow
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import handling
from dagrun.settings import Settings

MOST = 1000
"""Runs on one page."""

_Page: TypeAlias = tuple[Sequence[RunRecord], str | None]

NEVER = datetime.max.replace(tzinfo=UTC)


def list_runs(
    settings: Settings,
    *,
    workflow: str | None,
    status: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> int:
    """List runs, newest first. Give the exit code.

    Raises:
        ConfigError: an option is wrong.
    """
    wanted = wanted_status(status)
    if not 1 <= limit <= MOST:
        raise ConfigError(f"--limit: a number from 1 to {MOST} is needed, not {limit}")
    for flag, value in (("--workflow", workflow), ("--cursor", cursor)):
        if value is not None and not is_id(value):
            raise ConfigError(f"{flag}: {value!r} is no id")

    async def read(store: Store) -> _Page:
        if wanted == CUT_OFF:
            return await _cut_off(settings, store, workflow, limit, cursor)
        return await store.runs(workflow_id=workflow, status=wanted, limit=limit, cursor=cursor)

    records: Sequence[RunRecord] = []
    following = None
    if has_database(settings):
        records, following = with_store(settings, load_with_warnings().registry, read)
    else:
        output.note(f"dagrun: no run was ever started in {settings.data_dir}")
    if as_json:
        items = [record_json(r, cut_off=_is_cut_off(settings, r)) for r in records]
        output.say_json({"items": items, "next": following})
        return output.DONE
    for record in records:
        output.say(record_line(record, cut_off=_is_cut_off(settings, record)))
    if not records and workflow is not None and has_database(settings):
        output.note(f"dagrun: there is no such run of {workflow}")
    if following:
        output.flush()  # what is listed comes first on a terminal
        output.note(f"dagrun: more with --cursor {following}")
    return output.DONE


def wanted_status(status: str | None) -> RunStatus | Literal["cut-off"] | None:
    """Give the state that ``--status`` means; ``cut-off`` is none of the journal's."""
    if status in (CUT_OFF, CUT_OFF.replace("-", " ")):
        return CUT_OFF
    if status is not None and status not in list(RunStatus):
        known = ", ".join((*RunStatus, CUT_OFF))
        raise ConfigError(f"--status: {status!r} is none of {known}")
    return None if status is None else RunStatus(status)


async def _cut_off(
    settings: Settings, store: Store, workflow: str | None, limit: int, cursor: str | None
) -> _Page:
    """Give a page of the runs that have not ended, and whose processes have."""
    found: list[RunRecord] = []
    for status in RunStatus:
        if status not in RUN_ENDED:
            found += await _cut_off_in(settings, store, status, workflow, limit, cursor)
    page = sorted(found, key=lambda record: record.run_id, reverse=True)
    return page[:limit], page[limit - 1].run_id if len(page) > limit else None


async def _cut_off_in(
    settings: Settings,
    store: Store,
    status: RunStatus,
    workflow: str | None,
    limit: int,
    cursor: str | None,
) -> list[RunRecord]:
    """Give those in one state, the newest first, and one more than are asked for."""
    found: list[RunRecord] = []
    while True:
        records, cursor = await store.runs(
            workflow_id=workflow, status=status, limit=MOST, cursor=cursor
        )
        found += [record for record in records if _is_cut_off(settings, record)]
        if cursor is None or len(found) > limit:
            return found


def show_run(settings: Settings, run_id: str, *, as_json: bool) -> int:
    """Show how a run went. Give the exit code."""
    check_run(settings, run_id)

    state, board = _replayed(settings, run_id)
    if as_json:
        more = {"inputs": run_inputs(state), "resumable": board.cut_off}
        output.say_json({**to_json(run_result(state)), **more})
        return output.DONE
    say_run(board, run_result(state), run_inputs(state))
    if board.cut_off:
        output.say(f"its process has ended; {how_to_go_on(run_id, state.status)}")
    if state.error is not None:
        say_where_logs_are(state, NodeLogs(settings.data_dir / LOGS))
    return output.DONE


def say_run(board: Board, result: RunResult, inputs: Mapping[str, Any]) -> None:
    """Print how a run went, node by node."""
    output.say(f"{headline(board)}  ({result.run_id})")
    if result.rerun_of is not None:
        output.say(f"run again: {result.rerun_of}")
    if inputs:
        output.say_value(inputs, head="inputs: ")
    for row in board.rows.values():
        output.say("  " + plain_line(board, row))
    if result.error is not None:
        output.say(f"error: {result.error['message']}")
    if result.outputs:
        output.say_value(result.outputs, head="outputs: ")


def say_where_logs_are(state: RunState, logs: NodeLogs) -> None:
    """Say how to read what a node wrote that failed, if one did."""
    failed = (
        node.step.node.id for node in state.nodes if node.error and not node.step.node.allow_failure
    )
    if (
        wrote := next((node for node in failed if logs.attempts(state.run_id, node)), None)
    ) is not None:
        output.say(f"see what {wrote} wrote with: dagrun runs logs {state.run_id} {wrote}")


def _replayed(settings: Settings, run_id: str) -> tuple[RunState, Board]:
    """Give a run as its journal tells it."""
    registry = load_with_warnings().registry

    async def read(store: Store) -> tuple[RunState, Board]:
        record = await store.run(RunId(run_id))
        workflow = await stored_workflow(store, record)
        state, events = await restore(store, record, compile_plan(workflow, handling(registry)))
        board = Board(workflow)
        board.see(events)
        board.cut_off = not state.ended and owner_pid(settings.data_dir, record.owner) is None
        return state, board

    return with_store(settings, registry, read)


def show_logs(
    settings: Settings,
    run_id: str,
    *,
    node: str | None,
    item: int | None,
    attempt: int | None,
    as_json: bool,
) -> int:
    """Print what nodes wrote, in the order of their first starts. Give the exit code."""
    check_run(settings, run_id)
    state, board = _replayed(settings, run_id)
    check_tried(state, node, item, attempt)
    logs = NodeLogs(settings.data_dir / LOGS)
    found = [
        (node_id, index, number)
        for node_id in ([node] if node else _by_start(board))
        for index, number in logs.attempts(run_id, node_id)
        if item in (None, index) and attempt in (None, number)
    ]
    items = [
        {
            "node_id": node_id,
            "item": index,
            "attempt": number,
            "text": _text(logs.read(run_id, node_id, number, index)),
        }
        for node_id, index, number in found
    ]
    if as_json:
        output.say_json({"items": items, "next": None})
    else:
        say_logs(items)
        if not any(entry["text"] for entry in items):
            output.note(f"dagrun: {_silence(state, node, item)}")
    return output.DONE


def _silence(state: RunState, node_id: str | None, item: int | None) -> str:
    """Say of what wrote nothing how it went."""
    if node_id is None:
        return f"no node of run {state.run_id} wrote anything"
    node = node_of(state, node_id)
    work = node if item is None else node.items[item]
    what = node_id if item is None else f"item {item} of {node_id}"
    if work.kept_from is not None:
        return (
            f"{what} was kept: see what it wrote with: dagrun runs logs {work.kept_from} {node_id}"
        )
    why = f": {work.error['type']}: {work.error['message']}" if work.error else ""
    return f"{what} wrote nothing; it {stands(work.status)}{why}"


def _by_start(board: Board) -> list[str]:
    """List the nodes that have started."""
    started = [row for row in board.rows.values() if row.started_at is not None]
    return [row.node_id for row in sorted(started, key=lambda row: row.started_at or NEVER)]


def _text(log: bytes) -> str:
    return log.decode(errors="replace")


def say_logs(items: Sequence[Mapping[str, Any]]) -> None:
    """Print whole logs, with a line before each if there are several."""
    for entry in items:
        if len(items) > 1:
            output.say(log_head(entry["node_id"], entry["item"], entry["attempt"]))
        output.say_log(entry["text"])
        if entry["text"] and not entry["text"].endswith("\n"):
            output.say()


def log_head(node_id: str, item: int | None, attempt: int) -> str:
    """Give the line before a log, where there are several."""
    index = "" if item is None else f"[{item}]"
    return f"==> {node_id}{index}, attempt {attempt} <=="


def _is_cut_off(settings: Settings, record: RunRecord) -> bool:
    """Whether the process of a run that has not ended is gone."""
    live = record.status not in RUN_ENDED
    return live and owner_pid(settings.data_dir, record.owner) is None


def record_json(record: RunRecord | RunSummary, *, cut_off: bool) -> dict[str, Any]:
    """Give a run as programs read it in a list."""
    return {
        "run_id": record.run_id,
        "workflow_id": record.workflow_id,
        "version": record.version,
        "status": record.status,
        "resumable": cut_off,
        "created_at": rfc3339(record.created_at),
        "started_at": record.started_at and rfc3339(record.started_at),
        "finished_at": record.finished_at and rfc3339(record.finished_at),
        "error": record.error,
        "rerun_of": record.rerun_of,
    }


def record_line(record: RunRecord | RunSummary, *, cut_off: bool) -> str:
    """Give a run as people read it in a list."""
    end = record.finished_at or datetime.now(UTC)
    took = "" if record.started_at is None or cut_off else _took(record.started_at, end)
    when = record.created_at.strftime("%Y-%m-%d %H:%M:%SZ")
    status = CUT_OFF if cut_off else str(record.status)
    parts: Iterable[str] = (
        record.run_id,
        f"{status:<10}",
        when,
        f"{took:>7}",
        f"{record.workflow_id} {record.version}",
    )
    return "  ".join(parts)


def _took(start: datetime, end: datetime) -> str:
    return format_duration(max((end - start).total_seconds(), 0.0))
