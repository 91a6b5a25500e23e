"""Runs in lists."""

from pathlib import Path

from dagrun.builtin.ownership import owner_pid
from dagrun.domain.status import RUN_ENDED
from dagrun.ports.management import RunSummary
from dagrun.ports.store import RunRecord


def summary(data_dir: Path, record: RunRecord) -> RunSummary:
    """Take a picture of a stored run, of whichever process that uses the data directory."""
    live = record.status not in RUN_ENDED
    return RunSummary(
        run_id=record.run_id,
        workflow_id=record.workflow_id,
        version=record.version,
        status=record.status,
        resumable=live and owner_pid(data_dir, record.owner) is None,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        error=record.error,
    )
