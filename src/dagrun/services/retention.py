"""Old runs go, with what they left on the disk beside the database."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio

from dagrun.domain.ids import RunId, is_id
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.errors import DagrunError, NotFound
from dagrun.ports.store import Store

BATCH: Final = 100  # runs in one transaction, which others wait for
EVERY: Final = 3600.0  # seconds from one look for old runs to the next
EVER: Final = timedelta(days=36500)


class RunFolders:
    """Folders of runs, such as those of their logs.

    Args:
        root: holds them; each is called as its run. It need not be there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def runs(self) -> list[RunId]:
        """List the runs that have a folder, the oldest first."""
        return sorted(RunId(path.name) for path in self._root.glob("*") if is_id(path.name))

    async def remove(self, run_id: RunId) -> None:
        """Delete the folder of a run, if there is one.

        Raises:
            ValueError: the id is none.
        """
        if not is_id(run_id):
            raise ValueError(f"{run_id!r} is no id")
        remove = partial(shutil.rmtree, self._root / run_id, ignore_errors=True)
        await trio.to_thread.run_sync(remove)


async def prune(
    store: Store,
    folders: Sequence[RunFolders],
    *,
    keep: float,
    now: datetime | None = None,
    most: int | None,
) -> int:
    """Delete runs that ended more than ``keep`` seconds ago. Give how many.

    One with an idempotency key stays for as long as the key stands for it.

    Args:
        store: an open store.
        folders: what its runs left on the disk.
        keep: seconds since the end of a run.
        now: the time; None takes the clock's.
        most: stop when so many are gone; None deletes all.
    """
    now = now or datetime.now(UTC)
    before = now - min(timedelta(seconds=keep), EVER)
    count = 0
    while most is None or count < most:
        limit = BATCH if most is None else min(BATCH, most - count)
        gone = await store.prune(before=before, now=now, limit=limit)
        for run_id in gone:
            for folder in folders:
                await folder.remove(run_id)
        count += len(gone)
        if len(gone) < limit:
            break
    return count


class Retention:
    """Deletes old runs now and then, in a program that lives long.

    Args:
        store: an open store.
        folders: what its runs left on the disk.
        keep: seconds since the end of a run.
    """

    def __init__(self, store: Store, folders: Sequence[RunFolders], *, keep: float) -> None:
        self._store, self._folders, self._keep = store, folders, keep

    async def run(
        self, *, task_status: trio.TaskStatus["Retention"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Delete until cancelled."""
        task_status.started(self)
        while True:
            with suppress(DagrunError):  # the runs that go on must not feel it; it is tried again
                await prune(self._store, self._folders, keep=self._keep, most=None)
            await trio.sleep(EVERY)


async def sweep(
    store: Store,
    folders: RunFolders,
    *,
    ended: bool,
    unknown: Callable[[], bool],
    most: int | None = None,
) -> None:
    """Remove what processes left that ended before they could do so themselves.

    Args:
        store: an open store.
        folders: where to look.
        ended: remove what belongs to runs that have ended.
        unknown: says whether to remove what belongs to no run of the store. Asked when it is known
            which folders there are: a process that begins after that has none of them.
        most: look at so many runs only, the oldest; None looks at all.
    """
    found = folders.runs()[:most]
    forget = unknown()
    for run_id in found:
        status = await _status(store, run_id)
        left = forget if status is None else ended and status in RUN_ENDED
        if left:
            await folders.remove(run_id)


async def _status(store: Store, run_id: RunId) -> RunStatus | None:
    try:
        return (await store.run(run_id)).status
    except NotFound:
        return None
