"""Messages to runs of other processes of the same data directory."""

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from dagrun.builtin.ownership import owner_pid
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import DagrunError
from dagrun.ports.store import MessageKind, Posted, Store
from dagrun.roles.owners import Request, ask_owner
from dagrun.roles.stored_runs import StoredRuns

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
        task_status.started(self)
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._elsewhere:
                one = self._elsewhere.popleft()
                try:
                    await self._pass_on(one)
                except DagrunError as error:  # it stays in the store
                    _log.warning("run %s was not told of something: %s", one.run_id, error)

    async def _pass_on(self, posted: Posted) -> None:
        record = await self._store.run(posted.run_id)
        if record.status in RUN_ENDED or self._runs.owns(record):
            return  # a run of this process that it does not have has just ended
        if owner_pid(self._data_dir, record.owner) is not None:
            await ask_owner(self._data_dir, record, Request.TELL)
        elif posted.message.kind is MessageKind.CANCEL:
            await self._runs.cancel(record)
