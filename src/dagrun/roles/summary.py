"""Runs in lists."""

from pathlib import Path
from typing import Final

from dagrun.ports.management import ChildRun, RunSummary
from dagrun.ports.store import RunRecord
from dagrun.roles.owners import is_cut_off

NO_NODE: Final = ""
"""In place of a node's id: a program or a client started the child. No node can be called so."""


def summary(data_dir: Path, record: RunRecord) -> RunSummary:
    """Take a picture of a stored run, of whichever process that uses the data directory."""
    return RunSummary(
        run_id=record.run_id,
        workflow_id=record.workflow_id,
        version=record.version,
        status=record.status,
        resumable=is_cut_off(data_dir, record),
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        error=record.error,
        rerun_of=record.rerun_of,
    )


def child_run(data_dir: Path, record: RunRecord) -> ChildRun | None:
    """Take a picture of a run that was started for another one; None of any other run."""
    parent = record.parent
    if parent is None:
        return None
    by_node = parent.node_id != NO_NODE
    return ChildRun(
        run=summary(data_dir, record),
        parent_run_id=parent.run_id,
        node_id=parent.node_id if by_node else None,
        item=parent.item,
        attempt=parent.attempt if by_node else None,
        depth=parent.depth,
    )
