"""Queued runs go to engines as there is room, and to their end as somebody asks for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import attrs
import trio

from dagrun.domain import decide
from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState
from dagrun.ports.balancer import Balancer
from dagrun.ports.engine import EngineLink
from dagrun.ports.journal import AssigningFeed
from dagrun.ports.store import Message
from dagrun.services.dispatcher.changes import Changes
from dagrun.services.dispatcher.expiry import Expiry
from dagrun.services.dispatcher.places import Places
from dagrun.services.dispatcher.placing import Placing
from dagrun.services.dispatcher.posting import Posting
from dagrun.services.dispatcher.requests import Requests
from dagrun.services.dispatcher.runs import Runs
from dagrun.services.dispatcher.tasks import Tasks
from dagrun.services.dispatcher.ticket import Rest, Ticket


@attrs.frozen(kw_only=True)
class DispatcherStatistics:
    """What waits and what runs."""

    queued: int
    running: int


class Dispatcher:
    """Gives queued runs to engines as there is room.

    Implements :class:`~dagrun.ports.engine.EngineListener`.

    Args:
        runs: what is stored of runs.
        journal: takes the events of runs that no engine has.
        balancer: makes the balancer of a name, or the default one for None.
        now: the clock, in UTC.
        paused: whether no run is given to an engine for now.
    """

    def __init__(
        self,
        *,
        runs: Runs,
        journal: AssigningFeed,
        balancer: Callable[[str | None], Balancer],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        paused: bool = False,
    ) -> None:
        self._tasks = Tasks()
        self._places = Places(balancer)
        self._placing = Placing(runs=runs, places=self._places, tasks=self._tasks)
        self._placing.paused = paused
        changes = Changes(runs=runs, journal=journal, placing=self._placing, now=now)
        self._expiry = Expiry(placing=self._placing, changes=changes)
        self._posting = Posting(
            runs=runs, placing=self._placing, changes=changes, tasks=self._tasks, now=now
        )
        self._requests = Requests(placing=self._placing, changes=changes, tasks=self._tasks)

    async def run(
        self, *, task_status: trio.TaskStatus["Dispatcher"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Place runs until cancelled. Those that wait then stay queued in the store."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._tasks.run)
                await nursery.start(self._expiry.run)
                task_status.started(self)
        finally:
            self._placing.close()

    def add_engine(self, engine: EngineLink) -> None:
        """Take an engine in. Its name must be new."""
        self._places.add(engine)
        self._placing.place()

    def remove_engine(self, engine: EngineLink) -> None:
        """Give an engine no more runs; see the port."""
        self._places.remove(engine)

    def engine_changed(self, engine: EngineLink) -> None:
        """Look again whether an engine takes runs; see the port."""
        self._places.update(engine)
        self._placing.place()

    def statistics(self) -> DispatcherStatistics:
        """Say how much waits and runs."""
        return DispatcherStatistics(queued=self._placing.queued, running=self._places.running())

    def is_full(self, limit: int, *, coming: int = 0) -> bool:
        """Whether one run more would have to wait with ``limit`` others before it.

        Args:
            limit: most runs that may wait.
            coming: runs that will be here soon, to wait or to be given to an engine at once.
        """
        waiting = self._placing.queued + coming
        if waiting < limit:
            return False
        free = 0 if self._placing.paused else self._places.free()
        return waiting - free >= limit

    def pause_dispatch(self) -> None:
        """Give no more runs to engines. Those that they have go on."""
        self._placing.paused = True

    def resume_dispatch(self) -> None:
        """Give runs to engines again."""
        self._placing.paused = False
        self._placing.place()

    def adopt(self, ticket: Ticket) -> None:
        """Know a run that does not wait for an engine yet.

        What is asked of one that has set off waits until it is queued, or dropped.
        """
        self._placing.adopt(ticket)

    def drop(self, ticket: Ticket) -> None:
        """Forget a run that came to nothing."""
        self._placing.lose(ticket)
        ticket.arrive()

    def enqueue(self, ticket: Ticket) -> None:
        """Let a known run that is durable wait for an engine. Does not block."""
        ticket.arrive()
        self._placing.enqueue(ticket)
        self._expiry.watch(ticket)

    def ticket(self, run_id: RunId) -> Ticket | None:
        """Give a run of this process that has not ended."""
        return self._placing.ticket(run_id)

    def explain(self, run_id: RunId) -> str | None:
        """Say why a run of this process is with no engine; None when it is with one, or unknown."""
        ticket = self._placing.ticket(run_id)
        return None if ticket is None else self._placing.explain(ticket)

    def left(self, state: RunState, abandoned: str | None) -> None:
        """Hear that an engine has no more to do with a run; see the port."""
        ticket = self._placing.ticket(state.run_id)
        if ticket is not None:
            self._placing.left(ticket, state, abandoned)
            self._posting.watch(ticket)

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Pass on what was posted to a run. Give False if this process does not have the run.

        Does not block. The message is durable, and stays in the store until it is taken up.
        """
        return self._posting.tell(run_id, message)

    def assume(self, ticket: Ticket, engine: EngineLink) -> None:
        """Know a run that an engine has since before this process was started."""
        self._placing.assume(ticket, engine)

    def ended(self, run_id: RunId) -> None:
        """Hear that a run has ended; see the port."""
        self._on_ticket(run_id, self._placing.ended)

    def cancelling(self, run_id: RunId) -> None:
        """Hear that a run is being cancelled; see the port."""
        ticket = self._placing.ticket(run_id)
        if ticket is not None:
            ticket.ending = True

    def rests(self, run_id: RunId, *, parked: bool) -> None:
        """Hear that a run is with no engine any more; see the port."""
        ticket = self._placing.ticket(run_id)
        if ticket is not None:
            self._placing.rests(ticket, Rest.PARKED if parked else Rest.PAUSED)
            self._posting.watch(ticket)

    def take_back(self, run_id: RunId, *, lost: bool) -> None:
        """Let a run go on under the next epoch; see the port."""
        self._on_ticket(run_id, partial(self._placing.take_back, lost=lost))

    def abandoned(self, run_id: RunId, why: str) -> None:
        """Hear that a run is somebody else's now; see the port."""
        self._on_ticket(run_id, lambda ticket: self._placing.abandoned(ticket, why))

    def _on_ticket(self, run_id: RunId, act: Callable[[Ticket], None]) -> None:
        ticket = self._placing.ticket(run_id)
        if ticket is not None:
            act(ticket)

    async def cancel(self, run_id: RunId, *, reason: str = decide.REQUESTED) -> bool:
        """Cancel a run, wherever it is. Give False if it has ended, or is being cancelled.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._requests.cancel(run_id, reason=reason)

    async def pause(self, run_id: RunId) -> bool:
        """Start nothing more of a run. Give False if it has ended or is paused.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._requests.pause(run_id)

    async def resume(self, run_id: RunId) -> bool:
        """Go on with a paused run as soon as there is room. Give False if it is not paused.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._requests.resume(run_id)
