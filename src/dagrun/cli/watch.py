"""``dagrun runs watch``: follow a run of any process through the store."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from dagrun.builtin.ownership import owner_pid
from dagrun.cli import output
from dagrun.cli.board import Board
from dagrun.cli.events import to_json as event_json
from dagrun.cli.plugins import load_with_warnings
from dagrun.cli.progress import open_progress
from dagrun.cli.running import check_run, with_store
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode
from dagrun.domain.monitoring import observed
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.stored_runs import stored_workflow
from dagrun.settings import Settings

LOOK: Final = 0.1  # seconds between looks at the store; other processes cannot be waited for


def watch_run(settings: Settings, run_id: str, *, as_json: bool) -> int:
    """Show how a run goes until it has ended, or its process has. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """
    check_run(settings, run_id)
    follow = _print if as_json else _show

    async def watch(store: Store) -> RunRecord:
        await follow(settings, store, RunId(run_id))
        return await store.run(RunId(run_id))

    record = with_store(settings, load_with_warnings().registry, watch)
    if record.status not in RUN_ENDED:
        output.note(f"dagrun: its process has ended; go on with: dagrun run --resume {run_id}")
    elif not as_json and record.error is not None:
        output.note(f"dagrun: {record.error['message']}")
    elif not as_json and record.outputs is not None and (outputs := decode(record.outputs)):
        output.say(output.json_text(outputs, indent=2))
    return output.DONE if record.status is RunStatus.SUCCEEDED else output.FAILED


async def _print(settings: Settings, store: Store, run_id: RunId) -> None:
    after = 0
    async for events in _batches(settings, store, run_id):
        wanted = {event.seq for event in events}
        while wanted:
            for logged in await store.log(after=after, limit=1000):
                after = logged.position
                if logged.event.run_id == run_id and logged.event.seq in wanted:
                    wanted.discard(logged.event.seq)
                    event = observed(logged.event, position=after, workflow_id=logged.workflow_id)
                    output.say_json(event_json(event))
        output.flush()


async def _show(settings: Settings, store: Store, run_id: RunId) -> None:
    board = Board(await stored_workflow(store, await store.run(run_id)))
    progress = open_progress(board, run_id=run_id)
    async with trio.open_nursery() as nursery:
        await nursery.start(progress.run)
        async for events in _batches(settings, store, run_id):
            progress.see(events)
        nursery.cancel_scope.cancel()


async def _batches(
    settings: Settings, store: Store, run_id: RunId
) -> AsyncIterator[Sequence[Event]]:
    """Give the events of a run as they come, until nothing more can come."""
    seq = 0
    while True:
        record = await store.run(run_id)
        alive = owner_pid(settings.data_dir, record.owner) is not None
        events = await store.events(run_id, after=seq)
        if events:
            seq = events[-1].seq
            yield events
        elif record.status in RUN_ENDED or not alive:
            return
        else:
            await trio.sleep(LOOK)
