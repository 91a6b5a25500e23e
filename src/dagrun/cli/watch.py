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
from dagrun.domain.explain import how_to_go_on
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode
from dagrun.domain.monitoring import observed
from dagrun.domain.plan import compile_plan
from dagrun.domain.state import RunState
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.stored_runs import read_on, stored_workflow
from dagrun.services.plans import handling
from dagrun.settings import Settings

LOOK: Final = 0.1  # seconds between looks at the store; other processes cannot be waited for


def watch_run(settings: Settings, run_id: str, *, as_json: bool) -> int:
    """Show how a run goes until it has ended, or its process has. Give the exit code.

    Raises:
        NotFound: there is no such run.
    """
    check_run(settings, run_id)
    registry = load_with_warnings().registry
    follow = _print if as_json else _show

    async def watch(store: Store) -> RunRecord:
        record = await store.run(RunId(run_id))
        plan = compile_plan(await stored_workflow(store, record), handling(registry))
        await follow(settings, store, RunState(plan, record.run_id, record.inputs))
        return await store.run(RunId(run_id))

    record = with_store(settings, registry, watch)
    if record.status not in RUN_ENDED:
        output.note(f"dagrun: its process has ended; {how_to_go_on(run_id, record.status)}")
    elif not as_json and record.error is not None:
        output.note(f"dagrun: {record.error['message']}")
    elif not as_json and record.outputs is not None and (outputs := decode(record.outputs)):
        output.say_value(outputs)
    return output.DONE if record.status is RunStatus.SUCCEEDED else output.FAILED


async def _print(settings: Settings, store: Store, state: RunState) -> None:
    after = seq = 0
    async for events in looks(settings, store, state):
        while events and seq < events[-1].seq:
            for logged in await store.log(after=after, limit=1000, run_id=state.run_id):
                after, seq = logged.position, logged.event.seq
                event = observed(
                    logged.event,
                    position=after,
                    workflow_id=logged.workflow_id,
                    engine_id=logged.engine_id,
                )
                output.say_json(event_json(event))
        output.flush()


async def _show(settings: Settings, store: Store, state: RunState) -> None:
    board = Board(state.plan.workflow)
    progress = open_progress(board, run_id=state.run_id)
    async with trio.open_nursery() as nursery:
        await nursery.start(progress.run)
        async for events in looks(settings, store, state):
            if events:
                progress.see(events)
        board.cut_off = board.finished_at is None
        nursery.cancel_scope.cancel()


async def looks(
    settings: Settings, store: Store, state: RunState
) -> AsyncIterator[Sequence[Event]]:
    """Give what each look at a run finds in its journal, until nothing more can come."""
    while True:
        record = await store.run(state.run_id)
        alive = owner_pid(settings.data_dir, record.owner) is not None
        events = await read_on(store, record, state)
        if not events and (record.status in RUN_ENDED or not alive):
            return
        yield events
        if not events:
            await trio.sleep(LOOK)
