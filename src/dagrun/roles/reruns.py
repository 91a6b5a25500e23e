"""What is to be submitted to run a run again that has ended."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from dagrun.domain.rerun import Again, rerun, retry
from dagrun.domain.scope import run_inputs
from dagrun.domain.state import RunState
from dagrun.domain.status import RUN_ENDED, RunStatus, stands
from dagrun.errors import ConflictError, NotFound
from dagrun.ports.store import RunRecord
from dagrun.roles.stored_runs import StoredRuns
from dagrun.roles.submission import Submission


async def retry_of(runs: StoredRuns, record: RunRecord, **options: Any) -> Submission:
    """Say what is to be run to do what a run did not bring off.

    Args:
        runs: reads it.
        record: the run.
        options: ``priority`` and ``idempotency_key`` of the submission.

    Raises:
        ConflictError: it has succeeded, or has not ended.
        StoreCorrupt: what is stored of it is damaged.
    """
    _check_ended(record)
    if record.status is RunStatus.SUCCEEDED:
        raise ConflictError(
            f"run {record.run_id} has succeeded: there is nothing to retry; run it again with: "
            f"dagrun runs rerun {record.run_id}"
        )
    state, _ = await runs.restored(record)
    return _submission(state, record, retry(state), **options)


async def rerun_of(
    runs: StoredRuns, record: RunRecord, *, from_node: str | None = None, **options: Any
) -> Submission:
    """Say what is to be run to do once more what a run did.

    Args:
        runs: reads it.
        record: the run.
        from_node: where to begin; None does all.
        options: ``priority`` and ``idempotency_key`` of the submission.

    Raises:
        NotFound: the run has no such node.
        ConflictError: it has not ended.
        StoreCorrupt: what is stored of it is damaged.
    """
    _check_ended(record)
    state, _ = await runs.restored(record)
    if from_node is not None and from_node not in state.plan.by_id:
        raise NotFound(f"run {record.run_id} has no node {from_node!r}")
    return _submission(state, record, rerun(state, from_node=from_node), **options)


def kept_by(submission: Submission) -> Collection[str]:
    """Give the nodes that a run keeps of the one before."""
    again = submission.again
    return () if again is None else again.of.plan.by_id.keys() - again.nodes


def _check_ended(record: RunRecord) -> None:
    if record.status not in RUN_ENDED:
        raise ConflictError(
            f"run {record.run_id} {stands(record.status)}: only a run that has ended is run again; "
            f"wait for it, or end it with: dagrun runs cancel {record.run_id}"
        )


def _submission(
    state: RunState, record: RunRecord, again: Again, *, priority: int | None = None, **options: Any
) -> Submission:
    return Submission(
        workflow=state.plan.workflow,
        inputs=run_inputs(state),
        base=None if state.base is None else Path(state.base),
        priority=record.priority if priority is None else priority,
        again=again,
        **options,
    )
