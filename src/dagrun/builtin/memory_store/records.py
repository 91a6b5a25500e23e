"""How the records of runs and nodes come to be and change."""

import attrs

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.projection import CLEARED, NodeChange, RunChange
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.ports.store import NewRun, NodeRecord, RunRecord


def record_of(run: NewRun) -> RunRecord:
    """Make the record of a new run."""
    return RunRecord(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        version=run.version,
        definition_hash=run.definition_hash,
        status=RunStatus.QUEUED,
        inputs=run.inputs,
        outputs=None,
        error=None,
        owner=run.owner,
        epoch=1,
        last_seq=0,
        priority=run.priority,
        created_at=run.created_at,
        started_at=None,
        finished_at=None,
        slot_key=None if run.slot is None else run.slot.key,
        admitted=run.slot is not None and run.slot.at_once,
        parent=run.parent,
        rerun_of=run.rerun_of,
    )


def changed_run(old: RunRecord, change: RunChange, outputs: Raw | None) -> RunRecord:
    """Change the record of a run. A run that has ended is with no engine."""
    finished_at = change.finished_at or old.finished_at
    return attrs.evolve(
        old,
        status=RunStatus(change.status) if change.status else old.status,
        epoch=change.epoch,
        last_seq=change.last_seq,
        started_at=old.started_at or change.started_at,
        finished_at=finished_at,
        error=change.error or old.error,
        outputs=outputs or old.outputs,
        engine_id=old.engine_id if finished_at is None else None,
        instance=old.instance if finished_at is None else None,
    )


def new_node(run_id: RunId, node_id: str, item: int | None) -> NodeRecord:
    """Make the record of a node or item of which nothing was journaled yet."""
    return NodeRecord(
        run_id=run_id,
        node_id=node_id,
        item=item,
        status=NodeStatus.PENDING,
        attempts=0,
        started_at=None,
        finished_at=None,
        outputs=None,
        error=None,
    )


def changed_node(old: NodeRecord, change: NodeChange, outputs: Raw | None) -> NodeRecord:
    """Change the record of a node or item."""
    return attrs.evolve(
        old,
        status=NodeStatus(change.status),
        attempts=max(old.attempts, change.attempts),
        started_at=old.started_at or change.started_at,
        finished_at=change.finished_at or old.finished_at,
        error=None if change.error is CLEARED else change.error or old.error,
        outputs=outputs or old.outputs,
    )
