"""``dagrun runs list|show|explain``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import attrs

from dagrun.cli import output
from dagrun.cli.asking import answerer, ask
from dagrun.cli.board import CUT_OFF, Board
from dagrun.cli.ending import failed_nodes
from dagrun.cli.options import Asked
from dagrun.cli.progress import headline, plain_line
from dagrun.domain.durations import format_duration
from dagrun.domain.explain import how_to_go_on
from dagrun.domain.ids import is_id
from dagrun.domain.result import RunResult, rfc3339, to_json
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConfigError
from dagrun.ports.management import (
    MOST,
    Explanation,
    Management,
    Page,
    RunSummary,
    RunView,
)

LOOKED_AT: Final = 3  # nodes that failed, of which one is named that wrote something


def list_runs(
    asked: Asked,
    *,
    workflow: str | None,
    status: str | None,
    top_level: bool,
    limit: int,
    cursor: str | None,
) -> int:
    """List runs, newest first. Give the exit code.

    Raises:
        ConfigError: an option is wrong.
    """
    wanted = _wanted_status(status)
    if not 1 <= limit <= MOST:
        raise ConfigError(f"--limit: a number from 1 to {MOST} is needed, not {limit}")
    for flag, value in (("--workflow", workflow), ("--cursor", cursor)):
        if value is not None and not is_id(value):
            raise ConfigError(f"{flag}: {value!r} is no id")

    async def act(management: Management) -> Page[RunSummary]:
        return await management.runs.list(
            workflow_id=workflow,
            status=None if wanted == CUT_OFF else wanted,
            cut_off=wanted == CUT_OFF,
            top_level=top_level,
            limit=limit,
            cursor=cursor,
        )

    whom = answerer(asked)
    page = whom.ask(act)
    if asked.json:
        output.say_json({"items": [summary_json(run) for run in page.items], "next": page.next})
        return output.DONE
    for run in page.items:
        output.say(_line(run))
    if not page.items and workflow is not None:
        output.note(f"dagrun: there is no such run of {workflow}")
    elif not page.items and status is None:
        output.note(f"dagrun: there are no runs {whom.place}")
    output.note_next(page.next)
    return output.DONE


def _wanted_status(status: str | None) -> RunStatus | Literal["cut-off"] | None:
    """Give the state that ``--status`` means; ``cut-off`` is none of the journal's."""
    if status in (CUT_OFF, CUT_OFF.replace("-", " ")):
        return CUT_OFF
    if status is not None and status not in list(RunStatus):
        known = ", ".join((*RunStatus, CUT_OFF))
        raise ConfigError(f"--status: {status!r} is none of {known}")
    return None if status is None else RunStatus(status)


def show_run(asked: Asked, run_id: str) -> int:
    """Show how a run went. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(management: Management) -> tuple[RunView, Board | None, str | None]:
        view = await management.runs.get(run_id)
        if asked.json:
            return view, None, None
        board = Board(await management.runs.workflow_of(run_id))
        async with management.runs.journal(run_id, follow=False) as batches:
            async for events in batches:
                board.see(events)
        board.cut_off = view.resumable
        failed = view.result.error is not None
        wrote = await _who_wrote(management, view.result, board.workflow) if failed else None
        return view, board, wrote

    view, board, wrote = ask(asked, act)
    if board is None:
        output.say_json(view_json(view))
        return output.DONE
    _say_run(board, view.result, view.inputs)
    if board.cut_off:
        output.say(f"its process has ended; {how_to_go_on(run_id, view.result.status)}")
    _say_where_logs_are(run_id, wrote)
    return output.DONE


def explain_run(asked: Asked, run_id: str) -> int:
    """Say why a run stands where it stands. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(management: Management) -> tuple[Explanation, str | None]:
        told = await management.runs.explain(run_id)
        if asked.json:
            return told, None
        result = (await management.runs.get(run_id)).result
        workflow = await management.runs.workflow_of(run_id)
        return told, await _who_wrote(management, result, workflow)

    told, wrote = ask(asked, act)
    if asked.json:
        output.say_json(attrs.asdict(told))
        return output.DONE
    for reason in told.reasons:
        output.say(reason)
    _say_where_logs_are(run_id, wrote)
    return output.DONE


async def _who_wrote(management: Management, result: RunResult, workflow: Workflow) -> str | None:
    """Give a node that failed and wrote something, if one did."""
    for node_id in failed_nodes(result, workflow)[:LOOKED_AT]:
        if await has_written(management, result.run_id, node_id):
            return node_id
    return None


async def has_written(management: Management, run_id: str, node_id: str) -> bool:
    """Whether a node or a handler wrote anything."""
    async with management.runs.logs(run_id, node_id=node_id) as pieces:
        return await anext(pieces, None) is not None


def _say_run(board: Board, result: RunResult, inputs: Mapping[str, Any]) -> None:
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


def _say_where_logs_are(run_id: str, wrote: str | None) -> None:
    if wrote is not None:
        output.say(f"see what {wrote} wrote with: dagrun runs logs {run_id} {wrote}")


def summary_json(run: RunSummary) -> dict[str, Any]:
    """Give a run as programs read it in a list."""
    return attrs.asdict(run, value_serializer=_plain)


def _plain(_instance: object, _field: object, value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


def view_json(view: RunView) -> dict[str, Any]:
    """Give a run as programs read it by itself."""
    return {**to_json(view.result), "inputs": view.inputs, "resumable": view.resumable}


def _line(run: RunSummary) -> str:
    """Give a run as people read it in a list."""
    end = run.finished_at or datetime.now(UTC)
    took = "" if run.started_at is None or run.resumable else _took(run.started_at, end)
    when = run.created_at.strftime("%Y-%m-%d %H:%M:%SZ")
    status = CUT_OFF if run.resumable else str(run.status)
    about = f"{run.workflow_id} {run.version}"
    return "  ".join((run.run_id, f"{status:<10}", when, f"{took:>7}", about))


def _took(start: datetime, end: datetime) -> str:
    return format_duration(max((end - start).total_seconds(), 0.0))
