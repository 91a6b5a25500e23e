"""What an orchestrator does to go on where the one before it stopped."""

import logging
from collections import defaultdict
from datetime import UTC, datetime
from typing import Final

from dagrun.domain import decide
from dagrun.domain.status import RunStatus
from dagrun.errors import DagrunError
from dagrun.ports.store import MessageKind, RunRecord, Store
from dagrun.roles.stored_runs import StoredRuns
from dagrun.services.dispatcher import Dispatcher, Ticket
from dagrun.services.fleet import Fleet
from dagrun.services.journal import Journal

_log: Final = logging.getLogger(__name__)


async def go_on_with_all(
    store: Store,
    runs: StoredRuns,
    dispatcher: Dispatcher,
    fleet: Fleet,
    journal: Journal,
    *,
    owner: str,
) -> int:
    """Know all runs that have not ended. Give how many.

    Those that are assigned to an engine wait one lease for it. The others wait for an engine, but
    for those that are paused or wait for their children. One that is damaged is left, with a
    warning in the log.
    """
    assigned: dict[tuple[str, str], list[tuple[RunRecord, Ticket]]] = defaultdict(list)
    waiting: list[tuple[RunRecord, Ticket]] = []
    for record in await store.unfinished(owner):
        try:
            ticket = await runs.ticket(record)
        except DagrunError as error:
            _log.warning("run %s cannot be gone on with: %s", record.run_id, error)
            continue
        if record.engine_id is not None and record.instance is not None:
            assigned[record.engine_id, record.instance].append((record, ticket))
        else:
            waiting.append((record, ticket))
    for (engine_id, instance), known in assigned.items():
        engine = fleet.expect(engine_id, instance, [(r.run_id, r.epoch) for r, _ in known])
        for record, ticket in known:
            journal.continue_from(record.run_id, record.last_seq)
            dispatcher.assume(ticket, engine)
    for record, ticket in waiting:
        dispatcher.adopt(ticket)
        if record.status is RunStatus.QUEUED:
            dispatcher.enqueue(ticket)
            await _tell_of_cancellation(store, dispatcher, record)
        elif await _waits_for_an_engine(store, runs, record):
            dispatcher.enqueue(ticket)
        else:
            dispatcher.rests(record.run_id, parked=record.status is not RunStatus.PAUSED)
    return len(waiting) + sum(map(len, assigned.values()))


async def _tell_of_cancellation(store: Store, dispatcher: Dispatcher, record: RunRecord) -> None:
    """Let a queued run end that was to be cancelled: no engine may ever fit.

    Of runs that nobody started, and that nothing was done for, there may be very many; to cancel
    these is never left for later.
    """
    if record.parent is not None or record.started_at is not None:
        for message in await store.messages(record.run_id):
            if message.kind is MessageKind.CANCEL:
                dispatcher.tell(record.run_id, message)


async def _waits_for_an_engine(store: Store, runs: StoredRuns, record: RunRecord) -> bool:
    """Whether a run that began waits for an engine: it rests no more once something is posted."""
    if await store.messages(record.run_id):
        return True
    return record.status is not RunStatus.PAUSED and not await _is_parked(runs, record)


async def _is_parked(runs: StoredRuns, record: RunRecord) -> bool:
    """Whether there is nothing to do for a run but to wait for its children.

    When in doubt there is: whoever executes it gives it back, or finds what is damaged.
    """
    try:
        state, _ = await runs.restored(record)
    except DagrunError:
        return False
    decide.advance(state, datetime.now(UTC))
    return not state.outbox and decide.parked(state)
