"""Go on with the runs of programs that have ended."""

import logging
from typing import Final

from dagrun.domain.ids import RunId
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.errors import ConfigError, ConflictError, DefinitionError, NotFound, StoreCorrupt
from dagrun.ports.store import RunRecord
from dagrun.roles.local import Local
from dagrun.services.dispatcher import Ticket

_log: Final = logging.getLogger(__name__)


async def recover(local: Local, workflow_id: str | None) -> list[Ticket]:
    """Go on with runs that were cut off, but for those that somebody else goes on with.

    One that cannot be gone on with is left, with a warning in the log.

    Args:
        local: this process.
        workflow_id: only the runs of this workflow; None takes all.
    """
    found = []
    for status in RunStatus:
        if status not in RUN_ENDED:
            found += await _in_status(local, status, workflow_id)
    tickets = [await _recovered(local, run_id) for run_id in sorted({r.run_id for r in found})]
    return [ticket for ticket in tickets if ticket is not None]


async def _recovered(local: Local, run_id: RunId) -> Ticket | None:
    if local.dispatcher.ticket(run_id) is not None:
        return None
    try:
        return await local.go_on(run_id, resume=False)
    except (ConflictError, NotFound):  # it has ended, or somebody else has it
        return None
    except (StoreCorrupt, ConfigError, DefinitionError) as error:
        _log.warning("run %s cannot be gone on with: %s", run_id, error)
        return None


async def _in_status(local: Local, status: RunStatus, workflow_id: str | None) -> list[RunRecord]:
    found: list[RunRecord] = []
    cursor: str | None = None
    while True:
        page, cursor = await local.store.runs(workflow_id=workflow_id, status=status, cursor=cursor)
        found += page
        if cursor is None:
            return found
