"""Old runs go, with their logs."""

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from dagrun.ports.store import Store

BATCH: Final = 100  # runs in one transaction, which others wait for
EVER: Final = timedelta(days=36500)


class Logs(Protocol):
    """Where the logs of runs are."""

    async def remove(self, run_id: str) -> None:
        """Delete the logs of a run."""
        ...


async def prune(
    store: Store, logs: Logs, *, keep: float, now: datetime | None = None, most: int | None
) -> int:
    """Delete runs that ended more than ``keep`` seconds ago. Give how many.

    Args:
        store: an open store.
        logs: where the logs of its runs are.
        keep: seconds since the end of a run.
        now: the time; None takes the clock's.
        most: stop when so many are gone; None deletes all.
    """
    before = (now or datetime.now(UTC)) - min(timedelta(seconds=keep), EVER)
    count = 0
    while most is None or count < most:
        limit = BATCH if most is None else min(BATCH, most - count)
        gone = await store.prune(before=before, limit=limit)
        for run_id in gone:
            await logs.remove(run_id)
        count += len(gone)
        if len(gone) < limit:
            break
    return count
