"""``dagrun runs watch|logs`` and ``dagrun events``, with a server."""

from collections.abc import Sequence
from typing import Any

import trio

from dagrun.cli import output
from dagrun.cli.board import Board
from dagrun.cli.events import check_limit, position_in, say_event, to_json, wanted_events
from dagrun.cli.follow import Printer
from dagrun.cli.progress import open_progress
from dagrun.cli.remote import with_server
from dagrun.cli.runs import say_logs
from dagrun.domain.events import RUN_ENDS
from dagrun.domain.status import RunStatus
from dagrun.ports.management import MOST, LogPiece, Management, RunView, Wanted
from dagrun.settings.client import ClientSettings


def watch_run(client: ClientSettings, run_id: str, *, as_json: bool) -> int:
    """Show how a run goes until it has ended. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """

    async def act(server: Management) -> RunView:
        await (_print if as_json else _show)(server, run_id)
        return await server.runs.get(run_id)

    result = with_server(client, act).result
    if not as_json and result.error is not None:
        output.note(f"dagrun: {result.error['message']}")
    elif not as_json and result.outputs:
        output.say_value(result.outputs)
    return output.DONE if result.status is RunStatus.SUCCEEDED else output.FAILED


async def _print(server: Management, run_id: str) -> None:
    await server.runs.get(run_id)
    async with server.events.follow(Wanted(run_id=run_id), after="0") as events:
        async for event in events:
            output.say_json(to_json(event))
            output.flush()
            if event.type in RUN_ENDS:
                return


async def _show(server: Management, run_id: str) -> None:
    board = Board(await server.runs.workflow_of(run_id))
    progress = open_progress(board, run_id=run_id)
    async with trio.open_nursery() as nursery:
        await nursery.start(progress.run)
        async with server.runs.journal(run_id) as batches:
            async for events in batches:
                progress.see(events)
        nursery.cancel_scope.cancel()


def show_logs(
    client: ClientSettings,
    run_id: str,
    *,
    node: str | None,
    item: int | None,
    attempt: int | None,
    follow: bool,
    as_json: bool,
) -> int:
    """Print what nodes wrote, and what they write if that is wanted. Give the exit code.

    Raises:
        NotFound: there is no such run, node, item or attempt.
    """

    async def act(server: Management) -> list[LogPiece]:
        kept: list[LogPiece] = []
        printer = Printer(as_json=as_json, bare=node is not None)
        async with server.runs.logs(
            run_id, node_id=node, item=item, attempt=attempt, follow=follow
        ) as pieces:
            async for piece in pieces:
                if follow:
                    printer.show([(piece, piece.text)])
                else:
                    kept.append(piece)
        printer.end()
        return kept

    items = _joined(with_server(client, act))
    if not follow and as_json:
        output.say_json({"items": items, "next": None})
    elif not follow:
        say_logs(items)
    return output.DONE


def _joined(pieces: Sequence[LogPiece]) -> list[dict[str, Any]]:
    """Put the pieces of each log together."""
    texts: dict[tuple[str, int | None, int], list[str]] = {}
    for piece in pieces:
        texts.setdefault((piece.node_id, piece.item, piece.attempt), []).append(piece.text)
    return [
        {"node_id": node_id, "item": item, "attempt": attempt, "text": "".join(parts)}
        for (node_id, item, attempt), parts in texts.items()
    ]


def print_events(
    client: ClientSettings,
    *,
    follow: bool,
    after: str | None,
    limit: int,
    severity: str,
    types: Sequence[str],
    workflow: str | None,
    run: str | None,
    as_json: bool,
) -> int:
    """Print events, oldest first. Give the exit code.

    Raises:
        ConfigError: an option is wrong.
        NotFound: there is no such run.
    """
    chosen = wanted_events(severity, types, workflow, run)
    wanted = Wanted(
        min_severity=chosen.min_severity, types=chosen.types, run_id=run, workflow_id=workflow
    )
    check_limit(limit)
    position_in(after)

    async def act(server: Management) -> None:
        if run is not None:
            await server.runs.get(run)
        position = after
        if after is None or not follow:
            position = await _past(server, wanted, after, limit, as_json=as_json)
        if follow:
            async with server.events.follow(wanted, after=position) as events:
                async for event in events:
                    say_event(event, as_json=as_json)
                    output.flush()

    with_server(client, act)
    return output.DONE


async def _past(
    server: Management, wanted: Wanted, after: str | None, limit: int, *, as_json: bool
) -> str | None:
    """Print events of the past. Give behind what the next ones are."""
    if after is None:
        page = await server.events.list(wanted, limit=min(max(limit, 1), MOST))
        for event in page.items[len(page.items) - min(limit, len(page.items)) :]:
            say_event(event, as_json=as_json)
        output.flush()
        return page.position
    while limit > 0:
        page = await server.events.list(wanted, after=after, limit=min(limit, MOST))
        for event in page.items:
            say_event(event, as_json=as_json)
        output.flush()
        limit -= len(page.items)
        if not page.items:
            break
        after = page.position
    return after
