"""Runs of processes that have ended, in an orchestrator."""

import logging
from typing import Final

from dagrun.domain.ids import RunId
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.errors import DagrunError
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.stored_runs import StoredRuns
from dagrun.services.dispatcher import Dispatcher

_log: Final = logging.getLogger(__name__)


async def take_up(store: Store, runs: StoredRuns, dispatcher: Dispatcher, wanted: RunId) -> None:
    """Take over a run whose process has ended, and go on with it and with what it waits for.

    One that is paused, and was asked for nothing, stays so. A child that cannot be gone on with is
    left, with a warning in the log.

    Raises:
        NotFound: there is no such run.
        RunOwned: a live process executes it.
        ConflictError: it has ended, or somebody else was faster.
        StoreCorrupt: what is stored of it is damaged.
    """
    record = await store.run(wanted)
    ticket, _ = await runs.take_over(record)
    dispatcher.adopt(ticket)
    if record.status is not RunStatus.PAUSED or ticket.posted:
        dispatcher.enqueue(ticket)
    for child in await store.children(wanted):
        if _is_waited_for(child) and not runs.owns(child):
            try:
                await take_up(store, runs, dispatcher, child.run_id)
            except DagrunError as error:
                _log.warning("run %s waits for run %s: %s", wanted, child.run_id, error)


def _is_waited_for(child: RunRecord) -> bool:
    return child.parent is not None and child.parent.wait and child.status not in RUN_ENDED
