"""Looks at the journal of a run, as long as it goes on."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import ConflictError
from dagrun.ports.store import Store
from dagrun.services.monitor import Monitor

PATIENCE: Final = 1.0  # seconds from one look to the next, if nothing is heard of the run


class Looks:
    """Reads what is new in journals: when the monitor tells of it, and from time to time.

    The runs of other processes are among those of a store, and of them the monitor hears nothing.

    Args:
        store: where the journals are.
        monitor: tells of what this process has stored.
    """

    def __init__(self, store: Store, monitor: Monitor) -> None:
        self._store, self._monitor = store, monitor

    async def at(
        self, run_id: RunId, *, after: int = 0, patience: float = PATIENCE
    ) -> AsyncGenerator[Sequence[Event], None]:
        """Give what each look finds, and stop when the run has ended and all of it was given.

        Args:
            run_id: the run.
            after: begin behind this event.
            patience: seconds from one look to the next, at most.

        Raises:
            ConflictError: dagrun was closed before.
        """
        async with self._monitor.subscribe(run_id=run_id, buffer=1) as news:
            while True:
                record = await self._store.run(run_id)
                events = await self._store.events(run_id, after=after)
                if events:
                    after = events[-1].seq
                yield events
                if record.status in RUN_ENDED and after >= record.last_seq:
                    return
                with trio.move_on_after(patience):
                    if await anext(news, None) is None:
                        raise ConflictError(
                            f"the orchestrator was closed before run {run_id} has ended"
                        )
