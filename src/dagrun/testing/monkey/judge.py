"""What came of the runs of a troop."""

from collections.abc import Iterable, Sequence

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.serialize import from_json
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.errors import DagrunError
from dagrun.ports.store import RunRecord, Store
from dagrun.testing.checker import check
from dagrun.testing.effects import check_effects


async def judge(store: Store, accepted: Iterable[str], lines: Sequence[str]) -> Sequence[str]:
    """Give all that is wrong.

    Args:
        store: where the journals are.
        accepted: ids of the runs whose submissions were answered.
        lines: what nodes left as their witness.
    """
    problems: list[str] = []
    for run_id in accepted:
        problems += await _lost_or_failed(store, run_id)
    events: list[Event] = []
    for record in await _all(store):
        journal = await store.events(record.run_id)
        workflow = from_json((await store.definition(record.definition_hash)).body)
        problems += [f"run {record.run_id}: {one}" for one in check(workflow, journal)]
        events += journal
    return [*problems, *check_effects(lines, events)]


async def _lost_or_failed(store: Store, run_id: str) -> Sequence[str]:
    try:
        record = await store.run(RunId(run_id))
    except DagrunError:
        return [f"run {run_id} was accepted, and is lost"]
    if record.status in RUN_ENDED and record.status is not RunStatus.SUCCEEDED:
        return [f"run {run_id} has {record.status}: {record.error}"]
    return []  # one that has not ended was told of before


async def _all(store: Store) -> Sequence[RunRecord]:
    found, cursor = await store.runs(limit=1000)
    records = list(found)
    while cursor is not None:
        found, cursor = await store.runs(limit=1000, cursor=cursor)
        records += found
    return records
