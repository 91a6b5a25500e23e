"""Runs in lists, for Python programs."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from dagrun.builtin.ownership import owner_pid
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.ports.store import RunRecord
from dagrun.roles.local import Local


@attrs.frozen(kw_only=True)
class RunSummary:
    """A run in a list, with the names of ``runs list --json``."""

    run_id: str
    workflow_id: str
    version: str
    status: RunStatus
    resumable: bool
    """Whether it was cut off: it has not ended, and its process has."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: Mapping[str, str] | None


def summary(local: Local, record: RunRecord) -> RunSummary:
    """Take a picture of a stored run."""
    live = record.status not in RUN_ENDED
    return RunSummary(
        run_id=record.run_id,
        workflow_id=record.workflow_id,
        version=record.version,
        status=record.status,
        resumable=live and owner_pid(local.data_dir, record.owner) is None,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        error=record.error,
    )
