"""``dagrun runs watch``: how a run goes, whichever process executes it."""

import trio

from dagrun.cli import output
from dagrun.cli.asking import ask
from dagrun.cli.board import Board
from dagrun.cli.broken_off import saying_how_to_go_on
from dagrun.cli.events import say_event
from dagrun.cli.options import Asked
from dagrun.cli.progress import open_progress
from dagrun.domain.explain import how_to_go_on
from dagrun.domain.result import RunResult
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.ports.management import MOST, Management, Wanted


def watch_run(asked: Asked, run_id: str) -> int:
    """Show how a run goes until it has ended, or its process has. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """
    begun = False

    async def act(management: Management) -> RunResult:
        nonlocal begun
        await management.runs.get(run_id)  # it is there, and nothing of it is damaged
        begun = True
        await (print_run if asked.json else show_run)(management, run_id)
        return (await management.runs.get(run_id)).result

    with saying_how_to_go_on(asked, lambda: ["runs", "watch", run_id] if begun else None):
        result = ask(asked, act)
    note_cut_off(result)
    if not asked.json and result.error is not None:
        output.note(f"dagrun: {result.error['message']}")
    elif not asked.json and result.outputs:
        output.say_value(result.outputs)
    return output.DONE if result.status is RunStatus.SUCCEEDED else output.FAILED


def note_cut_off(result: RunResult) -> None:
    """Say of a run that was followed to no end of its own how to go on with it."""
    if result.status not in RUN_ENDED:
        output.note(f"dagrun: its process has ended; {how_to_go_on(result.run_id, result.status)}")


async def print_run(management: Management, run_id: str) -> None:
    """Print the events of a run, one object a line, until nothing more can come."""
    after = "0"
    async with management.runs.journal(run_id) as batches:
        async for _ in batches:
            after = await _print_behind(management, run_id, after)


async def _print_behind(management: Management, run_id: str, after: str) -> str:
    """Print what is behind an event, and give behind what the next ones are."""
    wanted = Wanted(run_id=run_id)
    while (page := await management.events.list(wanted, after=after, limit=MOST)).items:
        for event in page.items:
            say_event(event, as_json=True)
        output.flush()
        after = page.position
    return page.position


async def show_run(management: Management, run_id: str) -> None:
    """Show how a run goes, as ``dagrun run`` does, until nothing more can come."""
    board = Board(await management.runs.workflow_of(run_id))
    progress = open_progress(board, run_id=run_id)
    async with trio.open_nursery() as nursery:
        await nursery.start(progress.run)
        async with management.runs.journal(run_id) as batches:
            async for events in batches:
                progress.see(events)
        board.cut_off = board.finished_at is None
        nursery.cancel_scope.cancel()
