"""What happens to runs that no engine has; it is in the journal before it counts."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Protocol

from dagrun.domain import decide
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError, DagrunError, RunHasEnded
from dagrun.ports.journal import AssigningFeed
from dagrun.ports.patience import patiently
from dagrun.ports.store import Assignment
from dagrun.services.dispatcher.placing import Placing
from dagrun.services.dispatcher.runs import Runs
from dagrun.services.dispatcher.ticket import Ticket


class Change(Protocol):
    """Lets something happen to a run that no engine has."""

    def __call__(self, state: RunState, now: datetime, *, epoch: int | None) -> bool:
        """Give False when it cannot happen."""
        ...


class Changes:
    """Changes runs that no engine has. Whoever calls has the ticket's lock.

    A run that turns out to be somebody else's is forgotten.

    Args:
        runs: what is stored of runs.
        journal: takes the events.
        placing: knows where runs are.
        now: the clock, in UTC.
    """

    def __init__(
        self, *, runs: Runs, journal: AssigningFeed, placing: Placing, now: Callable[[], datetime]
    ) -> None:
        self._runs = runs
        self._journal = journal
        self._placing = placing
        self._now = now

    async def cancel(self, ticket: Ticket, *, reason: str) -> bool:
        """Cancel a run. Give False if that cannot be done."""
        if ticket.fresh:
            change = partial(decide.cancel, reason=reason)
            return await self._instead_of_waiting(ticket, partial(self._change, ticket, change))
        return await self._instead_of_waiting(ticket, partial(self._wind_up, ticket, reason))

    async def pause(self, ticket: Ticket) -> bool:
        """Let a run wait no more until it is resumed. Give False if that cannot be done."""
        if ticket.ending:
            return False  # a request to cancel it was answered, or it is being cancelled
        pause = partial(self._change, ticket, decide.pause)
        return await self._instead_of_waiting(ticket, pause)

    async def resume(self, ticket: Ticket) -> bool:
        """Let a paused run wait for an engine. Give False if it is not paused.

        It may wait already: its engine was lost before it had given the run back.
        """
        waited, done = self._placing.take_out(ticket), False
        try:
            done = await self._change(ticket, decide.requeue)
        finally:
            if (done or waited) and not ticket.gone and ticket.engine is None:
                self._placing.enqueue(ticket)
        return done

    async def expire(self, ticket: Ticket) -> None:
        """Fail a run that waited for too long, unless it waits no more."""
        if not self._placing.take_out(ticket):
            return
        try:
            await patiently(partial(self._change, ticket, decide.expire))
        except DagrunError as error:
            self._lose(ticket, str(error))

    async def _instead_of_waiting(self, ticket: Ticket, act: Callable[[], Awaitable[bool]]) -> bool:
        """Do something with a run that may wait; it waits on if that does not succeed."""
        waited, done = self._placing.take_out(ticket), False
        try:
            done = await act()
        finally:
            if done:
                ticket.due = None
            elif waited and not ticket.gone and ticket.engine is None and ticket.moving is None:
                self._placing.enqueue(ticket)
        return done

    async def _change(self, ticket: Ticket, change: Change) -> bool:
        """Change a run, and return when that is durable."""
        with self._forgotten_on_conflict(ticket):
            state, epoch = await self._not_written_to(ticket)
            durable = state.seq
            if not change(state, self._now(), epoch=epoch):
                if state.ended:
                    self._lose(ticket)
                return False
            ticket.make = ticket.ready = None
            self._journal.continue_from(ticket.run_id, durable)
            self._journal.append(state.take_events())
            await self._journal.wait_durable(ticket.run_id, state.seq)
        self._journal.forget(ticket.run_id)
        ticket.state, ticket.rest = state, None
        if state.ended:
            self._lose(ticket)
        return True

    async def _not_written_to(self, ticket: Ticket) -> tuple[RunState, int]:
        """Give a run to whose journal nobody else writes, and its epoch.

        The engine that was lost with it may have gone on, and come back: what it did ends with the
        epoch, also what it said of that and is not stored yet.
        """
        if ticket.untouched:
            return await self._runs.load(ticket.run_id)
        _, epoch, _ = await self._runs.claim(ticket.run_id)
        refusal = await self._journal.assign(
            Assignment(run_id=ticket.run_id, epoch=epoch, engine_id=None, instance=None)
        )
        if refusal is not None:
            raise ConflictError(f"run {ticket.run_id} was taken over by somebody else ({refusal})")
        return await self._runs.load(ticket.run_id)

    async def _wind_up(self, ticket: Ticket, reason: str) -> bool:
        """Cancel a run of which parts were done: an engine removes what is left of them.

        The request is posted, and taken up before anything of the run starts. The run does not wait
        for room; but if there is no engine at all, it waits for one.
        """
        with self._forgotten_on_conflict(ticket):
            posted = await self._runs.post_cancel(ticket.run_id, reason=reason)
            if not posted and await self._ends_already(ticket):
                return False
            ticket.make = ticket.ready = None  # so that it is given what was posted
            ticket.ending = True
            self._placing.enqueue(ticket)
        return posted

    async def _ends_already(self, ticket: Ticket) -> bool:
        """Whether a run needs no request to end, be it that it waits for others until then."""
        state, _ = await self._runs.load(ticket.run_id)
        if state.ended:
            self._lose(ticket)
        return state.ended or state.status in (RunStatus.CANCELLING, RunStatus.ENDING)

    @contextmanager
    def _forgotten_on_conflict(self, ticket: Ticket) -> Iterator[None]:
        """Have no more to do with a run that is somebody else's now."""
        try:
            yield
        except RunHasEnded:
            self._lose(ticket)
            raise
        except ConflictError as error:
            self._lose(ticket, str(error))
            raise

    def _lose(self, ticket: Ticket, why: str | None = None) -> None:
        self._placing.lose(ticket, why)
        self._placing.place()  # others may wait for its slot
