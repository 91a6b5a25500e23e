"""Ends the runs that wait for longer than their ``start_timeout``."""

import heapq
import math
from typing import Final

import trio

from dagrun.domain.ids import RunId
from dagrun.services.dispatcher.changes import Changes
from dagrun.services.dispatcher.placing import Placing
from dagrun.services.dispatcher.ticket import Ticket

FEW: Final = 100
"""So many may be minded that wait no more, whatever waits."""


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
        self._left = 0
        """How many were minded when those were last left out that wait no more."""

    def __len__(self) -> int:
        return len(self._due)

    def watch(self, ticket: Ticket) -> None:
        """Mind when a waiting run is due. Nothing happens if it waits no more then."""
        if ticket.due is not None:
            heapq.heappush(self._due, (ticket.due, ticket.run_id))
            self._earlier.set()
            if len(self._due) > max(FEW, 2 * self._placing.queued, 2 * self._left):
                self._leave_out()

    def _leave_out(self) -> None:
        """Mind those no more that wait no more, lest they stay until they would have been due."""
        self._due = [one for one in self._due if self._waits(*one)]
        heapq.heapify(self._due)
        self._left = len(self._due)

    def _waits(self, due: float, run_id: RunId) -> bool:
        ticket = self._placing.ticket(run_id)
        return ticket is not None and ticket.due == due

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
        if ticket is not None and ticket.due is not None:
            async with ticket.alone():
                if ticket.due is not None:
                    await self._changes.expire(ticket)
