"""Ends the runs that wait for longer than their ``start_timeout``."""

import heapq
import math

import trio

from dagrun.domain.ids import RunId
from dagrun.services.dispatcher.changes import Changes
from dagrun.services.dispatcher.placing import Placing
from dagrun.services.dispatcher.ticket import Ticket


class Expiry:
    """Fails runs whose time to wait is over.

    Args:
        placing: knows the runs that have not ended.
        changes: lets a run expire that still waits.
    """

    def __init__(self, *, placing: Placing, changes: Changes) -> None:
        self._placing = placing
        self._changes = changes
        self._due: list[tuple[float, RunId]] = []
        self._earlier = trio.Event()

    def watch(self, ticket: Ticket) -> None:
        """Mind when a waiting run is due. Nothing happens if it waits no more then."""
        if ticket.due is not None:
            heapq.heappush(self._due, (ticket.due, ticket.run_id))
            self._earlier.set()

    async def run(
        self, *, task_status: trio.TaskStatus["Expiry"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Let runs expire until cancelled."""
        task_status.started(self)
        while True:
            while self._due and self._due[0][0] <= trio.current_time():
                _, run_id = heapq.heappop(self._due)
                await self._fail_late(run_id)
            self._earlier = trio.Event()
            with trio.move_on_at(self._due[0][0] if self._due else math.inf):
                await self._earlier.wait()

    async def _fail_late(self, run_id: RunId) -> None:
        ticket = self._placing.ticket(run_id)
        if ticket is not None:
            async with ticket.alone():
                if ticket.due is not None:
                    await self._changes.expire(ticket)
