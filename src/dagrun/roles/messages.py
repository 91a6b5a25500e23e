"""Messages to runs of other processes of the same data directory."""

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from dagrun.builtin.ownership import owner_pid
from dagrun.domain.reasons import REQUESTED
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import ConflictError, DagrunError, RemoteError, StoreBusy, StoreFull
from dagrun.ports.store import MessageKind, Posted, Store
from dagrun.roles.owners import Request, ask_owner
from dagrun.roles.stored_runs import StoredRuns

FIRST: Final = 0.5  # seconds before another process that did not answer is told again
LONGEST: Final = 10.0
AT_ONCE: Final = 100  # messages that are on their way; one that hangs is given up after seconds

_log: Final = logging.getLogger(__name__)


class Messages:
    """Passes on what was posted: to the dispatcher, or to the process that has the run.

    A run whose process has ended finds its messages in the store when it is gone on with; but a
    request to cancel is carried out at once.

    Args:
        data_dir: the directory that the processes share.
        store: an open store.
        runs: cancels a run whose process has ended.
    """

    def __init__(self, data_dir: Path, store: Store, runs: StoredRuns) -> None:
        self._data_dir, self._store, self._runs = data_dir, store, runs
        self._elsewhere: deque[Posted] = deque()
        self._work = trio.Event()
        self._at_once = trio.CapacityLimiter(AT_ONCE)

    def see(self, posted: Sequence[Posted]) -> None:
        """Pass on messages that are durable. Does not block."""
        for one in posted:
            if not self._runs.dispatcher.tell(one.run_id, one.message):
                self._elsewhere.append(one)
                self._work.set()

    async def run(
        self, *, task_status: trio.TaskStatus["Messages"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Pass on what is for other processes, until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started(self)
            while True:
                await self._work.wait()
                self._work = trio.Event()
                while self._elsewhere:
                    nursery.start_soon(self._deliver, self._elsewhere.popleft())

    async def _deliver(self, posted: Posted) -> None:
        """Pass one on, until somebody has heard it, or nobody has to; it stays in the store."""
        pause, level = FIRST, logging.WARNING
        while True:
            try:
                async with self._at_once:
                    await self._pass_on(posted)
            except (RemoteError, ConflictError, StoreBusy, StoreFull) as error:
                _log.log(level, "run %s is not told of something yet: %s", posted.run_id, error)
            except DagrunError as error:
                _log.warning("run %s is not told of something: %s", posted.run_id, error)
                return
            else:
                return
            await trio.sleep(pause)
            pause, level = min(2 * pause, LONGEST), logging.DEBUG

    async def _pass_on(self, posted: Posted) -> None:
        record = await self._store.run(posted.run_id)
        if record.status in RUN_ENDED or self._runs.owns(record):
            return  # a run of this process that it does not have has just ended
        if owner_pid(self._data_dir, record.owner) is not None:
            await ask_owner(self._data_dir, record, Request.TELL)
        elif posted.message.kind is MessageKind.CANCEL:
            reason = str(posted.message.data.get("reason", REQUESTED))
            await self._runs.cancel(record, reason=reason)
