"""Which runs give way to newer ones with their concurrency key."""

from collections.abc import Sequence

from dagrun.domain.ids import RunId
from dagrun.domain.status import RunStatus
from dagrun.ports.store import RunRecord


def giving_way(
    rivals: Sequence[RunRecord], run_id: RunId, limit: int
) -> Sequence[tuple[RunRecord, RunId]]:
    """Give the runs that one cancels that finds no slot, each with the run that takes its turn.

    As many stay as there are slots, and they are the newest, whether they go on or wait. So runs
    that ask at the same time agree, in whatever order they are answered.

    A newer run counts if it was faster and has a slot: then it is the one that asks that comes too
    late. Those of another workflow did not ask for anybody to go, and do not count.

    Args:
        rivals: the runs with the key, see :meth:`~dagrun.services.dispatcher.runs.Runs.rivals`.
        run_id: the one that asks.
        limit: how many slots there are.
    """
    workflow = next((run.workflow_id for run in rivals if run.run_id == run_id), None)
    counted = [
        run
        for run in rivals
        if run.status not in (RunStatus.CANCELLING, RunStatus.ENDING)
        and (run.run_id <= run_id or run.workflow_id == workflow)
    ]
    return [(old, new.run_id) for old, new in zip(counted, counted[limit:], strict=False)]
