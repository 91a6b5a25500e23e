"""``dagrun runs start|list|show|cancel|pause|resume|explain``, with a server."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from dagrun.cli import output
from dagrun.cli.board import CUT_OFF, Board
from dagrun.cli.changes import What, say_change
from dagrun.cli.inputs import inputs_of
from dagrun.cli.remote import with_server
from dagrun.cli.runs import MOST, record_json, record_line, say_run, wanted_status
from dagrun.domain.result import to_json
from dagrun.domain.status import RunStatus
from dagrun.errors import ConfigError
from dagrun.ports.management import (
    Change,
    Explanation,
    Management,
    Page,
    RunSummary,
    RunView,
)
from dagrun.settings.client import ClientSettings


def start_run(
    client: ClientSettings,
    workflow_id: str,
    *,
    version: str | None,
    pairs: Sequence[str],
    inputs_file: Path | None,
    priority: int | None,
    idempotency_key: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Start a run, and wait for its end if that is wanted. Give the exit code.

    Raises:
        NotFound: there is no such workflow or version.
        InputError: the inputs do not fit.
    """

    async def act(server: Management) -> RunSummary | RunView:
        chosen, workflow = await server.workflows.get(workflow_id, version)
        inputs = inputs_of(workflow, pairs, inputs_file)
        run = await server.runs.start(
            workflow_id,
            inputs,
            version=version if version is None else chosen.version,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        if not wait:
            return run
        output.note(f"dagrun: run {run.run_id} is started")
        await server.runs.wait(run.run_id)
        return await server.runs.get(run.run_id)

    done = with_server(client, act)
    if isinstance(done, RunSummary):
        if as_json:
            output.say_json(record_json(done, cut_off=done.resumable))
        else:
            output.say(done.run_id)
        return output.DONE
    if as_json:
        output.say_json(_view_json(done))
    elif done.result.error is not None:
        output.note(f"dagrun: {done.result.error['message']}")
    elif done.result.outputs:
        output.say_value(done.result.outputs)
    return output.DONE if done.result.status is RunStatus.SUCCEEDED else output.FAILED


def list_runs(
    client: ClientSettings,
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
    if wanted == CUT_OFF:
        raise ConfigError(
            f"--status: a server does not list runs that are {CUT_OFF}; see --data-dir"
        )

    async def act(server: Management) -> Page[RunSummary]:
        return await server.runs.list(
            workflow_id=workflow, status=wanted, limit=limit, cursor=cursor
        )

    page = with_server(client, act)
    if as_json:
        items = [record_json(one, cut_off=one.resumable) for one in page.items]
        output.say_json({"items": items, "next": page.next})
        return output.DONE
    for one in page.items:
        output.say(record_line(one, cut_off=one.resumable))
    if page.next:
        output.flush()  # what is listed comes first on a terminal
        output.note(f"dagrun: more with --cursor {page.next}")
    return output.DONE


def show_run(client: ClientSettings, run_id: str, *, as_json: bool) -> int:
    """Show how a run went. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(server: Management) -> tuple[RunView, Board | None]:
        view = await server.runs.get(run_id)
        if as_json:
            return view, None
        board = Board(await server.runs.workflow_of(run_id))
        async with server.runs.journal(run_id, follow=False) as batches:
            async for events in batches:
                board.see(events)
        board.cut_off = view.resumable
        return view, board

    view, board = with_server(client, act)
    if board is None:
        output.say_json(_view_json(view))
    else:
        say_run(board, view.result, view.inputs)
    return output.DONE


def change_run(client: ClientSettings, run_id: str, what: What, *, as_json: bool) -> int:
    """Ask for something to be done with a run. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(server: Management) -> Change:
        ask: Mapping[What, Callable[[str], Awaitable[Change]]] = {
            "cancel": server.runs.cancel,
            "pause": server.runs.pause,
            "resume": server.runs.resume,
        }
        return await ask[what](run_id)

    return say_change(what, with_server(client, act), as_json=as_json)


def explain_run(client: ClientSettings, run_id: str, *, as_json: bool) -> int:
    """Say why a run stands where it stands. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(server: Management) -> Explanation:
        return await server.runs.explain(run_id)

    told = with_server(client, act)
    if as_json:
        reasons = list(told.reasons)
        output.say_json({"run_id": told.run_id, "status": told.status, "reasons": reasons})
    else:
        for reason in told.reasons:
            output.say(reason)
    return output.DONE


def _view_json(view: RunView) -> dict[str, object]:
    return {**to_json(view.result), "inputs": view.inputs, "resumable": view.resumable}
