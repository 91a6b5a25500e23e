"""What an orchestrator does to go on where the one before it stopped."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import trio

from dagrun.domain import decide
from dagrun.domain.status import RunStatus
from dagrun.errors import DagrunError
from dagrun.ports.store import Message, MessageKind, RunRecord, Store
from dagrun.roles.stored_runs import StoredRuns
from dagrun.services.dispatcher import Dispatcher, Ticket
from dagrun.services.fleet import Fleet
from dagrun.services.journal import Journal

PORTION: Final = 500  # runs that are gone on with while nobody else has a turn; some 10 ms

_log: Final = logging.getLogger(__name__)


Known = tuple[RunRecord, Ticket, Sequence[Message]]
"""A run, and what was posted to it and not taken up."""


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
    assigned: dict[tuple[str, str], list[Known]] = defaultdict(list)
    waiting: list[Known] = []
    for number, record in enumerate(await store.unfinished(owner)):
        await _now_and_then(number)
        try:
            ticket = await runs.ticket(record)
        except DagrunError as error:
            _log.warning("run %s cannot be gone on with: %s", record.run_id, error)
            continue
        posted = await _posted(store, record)
        ticket.ending = _is_to_be_cancelled(record, posted)
        if record.engine_id is not None and record.instance is not None:
            assigned[record.engine_id, record.instance].append((record, ticket, posted))
        else:
            waiting.append((record, ticket, posted))
    for (engine_id, instance), known in assigned.items():
        engine = fleet.expect(engine_id, instance, [(r.run_id, r.epoch) for r, *_ in known])
        for record, ticket, _ in known:
            journal.continue_from(record.run_id, record.last_seq)
            dispatcher.assume(ticket, engine)
    for number, run in enumerate(waiting):
        await _now_and_then(number)
        await _let_wait(runs, dispatcher, *run)
    return len(waiting) + sum(map(len, assigned.values()))


async def _let_wait(
    runs: StoredRuns,
    dispatcher: Dispatcher,
    record: RunRecord,
    ticket: Ticket,
    posted: Sequence[Message],
) -> None:
    """Let a run that no engine has wait for one, or rest."""
    dispatcher.adopt(ticket)
    if await _waits_for_an_engine(runs, record, posted):
        dispatcher.enqueue(ticket)
    else:
        dispatcher.rests(record.run_id, parked=record.status is not RunStatus.PAUSED)
    if record.status is RunStatus.QUEUED:
        _tell_of_cancellation(dispatcher, record, posted)


async def _now_and_then(number: int) -> None:
    """Let others have their turn; there may be 100,000 runs, each of which is known at once."""
    if number % PORTION == 0:
        await trio.lowlevel.checkpoint()


async def _posted(store: Store, record: RunRecord) -> Sequence[Message]:
    """Give what was posted to a run and not taken up.

    Of runs that nobody started, and that nothing was done for, there may be very many; to cancel
    these is never left for later.
    """
    if record.parent is None and record.started_at is None:
        return ()
    return await store.messages(record.run_id)


def _tell_of_cancellation(
    dispatcher: Dispatcher, record: RunRecord, posted: Sequence[Message]
) -> None:
    """Let a queued run end that was to be cancelled, though there may never be an engine."""
    for message in posted:
        if message.kind is MessageKind.CANCEL:
            dispatcher.tell(record.run_id, message)


def _is_to_be_cancelled(record: RunRecord, posted: Sequence[Message]) -> bool:
    asked_for = any(message.kind is MessageKind.CANCEL for message in posted)
    return asked_for or record.status is RunStatus.CANCELLING


async def _waits_for_an_engine(
    runs: StoredRuns, record: RunRecord, posted: Sequence[Message]
) -> bool:
    """Whether a run that no engine has waits for one: it rests no more once something is posted."""
    if posted or record.status is RunStatus.QUEUED:
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
