"""Looks at the journal of a run, as long as it goes on."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Final

import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import ConflictError
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.owners import is_cut_off
from dagrun.services.monitor import Monitor

PATIENCE: Final = 1.0  # seconds from one look to the next, if nothing is heard of the run
ALONE: Final = 0.1  # the same for who hears of no run: other processes cannot be waited for


class Looks:
    """Reads what is new in journals: when the monitor tells of it, and from time to time.

    The runs of other processes are among those of a store, and of them the monitor hears nothing.

    Args:
        store: where the journals are.
        data_dir: the directory that the processes share.
        monitor: tells of what this process has stored; None if it stores nothing.
    """

    def __init__(self, store: Store, data_dir: Path, monitor: Monitor | None = None) -> None:
        self._store, self._data_dir, self._monitor = store, data_dir, monitor
        self._patience = ALONE if monitor is None else PATIENCE

    async def at(
        self, run_id: RunId, *, after: int = 0, patience: float | None = None
    ) -> AsyncGenerator[Sequence[Event], None]:
        """Give what each look finds, and stop when nothing more can come and all of it was given.

        So it is when the run has ended, and when its process has.

        Args:
            run_id: the run.
            after: begin behind this event.
            patience: seconds from one look to the next, at most; None for the usual ones.

        Raises:
            ConflictError: dagrun was closed before.
        """
        async with self._news(run_id) as news:
            while True:
                over = self._is_over(await self._store.run(run_id))
                events = await self._store.events(run_id, after=after)
                if events:
                    after = events[-1].seq
                yield events
                if over:
                    return
                await self._wait(run_id, news, patience or self._patience)

    def _is_over(self, record: RunRecord) -> bool:
        return record.status in RUN_ENDED or is_cut_off(self._data_dir, record)

    def _news(self, run_id: RunId) -> AbstractAsyncContextManager[AsyncIterator[object] | None]:
        """Hear of a run, if anybody tells of it."""
        if self._monitor is None:
            return nullcontext()
        return self._monitor.subscribe(run_id=run_id, buffer=1)

    async def _wait(
        self, run_id: RunId, news: AsyncIterator[object] | None, patience: float
    ) -> None:
        if news is None:
            await trio.sleep(patience)
            return
        with trio.move_on_after(patience):
            if await anext(news, None) is None:
                raise ConflictError(f"the orchestrator was closed before run {run_id} has ended")
