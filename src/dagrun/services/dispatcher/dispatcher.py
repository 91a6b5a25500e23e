"""Which run goes to which engine, and when; and what is asked of runs, wherever they are."""

import heapq
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol, TypeVar

import attrs
import trio

from dagrun.domain import decide
from dagrun.domain.ids import RunId
from dagrun.domain.queue import Queue, Why
from dagrun.domain.state import RunState
from dagrun.domain.workflow import OnLimit
from dagrun.errors import ConflictError, DagrunError, StoreBusy, StoreFull
from dagrun.ports.balancer import Balancer
from dagrun.ports.engine import EngineLink
from dagrun.ports.journal import JournalFeed
from dagrun.ports.store import Slot
from dagrun.services.dispatcher.places import Place, Places
from dagrun.services.dispatcher.ticket import Ticket

T = TypeVar("T")
_log: Final = logging.getLogger(__name__)

RECHECK: Final = 0.5  # seconds between looks for what somebody else holds: a slot, the database


class Change(Protocol):
    """Lets something happen to a run that no engine has."""

    def __call__(self, state: RunState, now: datetime, *, epoch: int | None) -> bool:
        """Give False when it cannot happen."""
        ...


class Runs(Protocol):
    """What the dispatcher asks of the store, in the words of runs."""

    async def load(self, run_id: RunId) -> tuple[RunState, int]:
        """Give a run as its journal tells it, and its present epoch."""
        ...

    async def claim(self, run_id: RunId) -> tuple[RunState, int]:
        """Begin a new epoch of a run. Give the run, and the epoch."""
        ...

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free."""
        ...

    async def cancel_oldest(self, slot: Slot, *, for_run: RunId) -> None:
        """Cancel the oldest run that holds a slot and is not being cancelled yet."""
        ...


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
    """

    def __init__(
        self,
        *,
        runs: Runs,
        journal: JournalFeed,
        balancer: Callable[[str | None], Balancer],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._runs = runs
        self._journal = journal
        self._now = now
        self._queue = Queue()
        self._places = Places(balancer)
        self._tickets: dict[RunId, Ticket] = {}
        self._admitted: deque[Ticket] = deque()
        self._asking = 0
        """Runs that ask the store for their slot."""

        self._freed: dict[str, trio.Event] = {}
        self._due: list[tuple[float, RunId]] = []
        self._earlier = trio.Event()
        self._nursery: trio.Nursery | None = None

    async def run(
        self, *, task_status: trio.TaskStatus["Dispatcher"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Place runs until cancelled. Those that wait then stay queued in the store."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expire)
            self._nursery = nursery
            try:
                task_status.started(self)
                await trio.sleep_forever()
            finally:
                self._nursery = None
                for ticket in self._tickets.values():
                    ticket.leave()

    def add_engine(self, engine: EngineLink) -> None:
        """Take an engine in. Its name must be new."""
        self._places.add(engine)
        self._place()

    def statistics(self) -> DispatcherStatistics:
        """Say how much waits and runs."""
        queued = len(self._queue) + len(self._admitted) + self._asking
        return DispatcherStatistics(queued=queued, running=self._places.running())

    # runs come and go

    def adopt(self, ticket: Ticket) -> None:
        """Know a run that does not wait for an engine yet.

        What is asked of one that has set off waits until it is queued, or dropped.
        """
        self._tickets[ticket.run_id] = ticket

    def drop(self, ticket: Ticket) -> None:
        """Forget a run that came to nothing."""
        self._tickets.pop(ticket.run_id, None)
        ticket.arrive()

    def enqueue(self, ticket: Ticket) -> None:
        """Let a known run that is durable wait for an engine. Does not block."""
        ticket.arrive()
        if self._may_pass(ticket):
            self._queue.started(ticket.entry())
            self._give(ticket)
            return
        ticket.ready = None
        if ticket.due is not None:
            heapq.heappush(self._due, (ticket.due, ticket.run_id))
            self._earlier.set()
        if ticket.on_limit is OnLimit.CANCEL_OLDEST and ticket.slot and not ticket.admitted:
            self._ask_for_slot(
                ticket, ticket.slot
            )  # others are to go, whether there is room or not
        else:
            self._queue.push(ticket.entry())
            self._place()

    def _may_pass(self, ticket: Ticket) -> bool:
        """Whether a run need not wait: nobody else does, and there is room for it."""
        return (
            ticket.slot is None
            and self._nursery is not None
            and not self._queue
            and not self._admitted
            and self._places.have_room()
        )

    def workflow_of(self, run_id: str) -> str:
        """Give the id of the workflow of a run of this process; empty for others."""
        ticket = self._tickets.get(RunId(run_id))
        return "" if ticket is None else ticket.workflow.id

    def ticket(self, run_id: RunId) -> Ticket | None:
        """Give a run of this process that has not ended."""
        return self._tickets.get(run_id)

    def left(self, state: RunState, abandoned: str | None) -> None:
        """Hear that an engine has no more to do with a run; see the port."""
        ticket = self._tickets.get(state.run_id)
        if ticket is None or ticket.engine is None:
            return
        self._places.give_back(ticket.engine, state.run_id)
        ticket.engine = None
        if abandoned is not None or state.ended:
            self._lose(ticket, abandoned)
        else:
            self._queue.parked(ticket.run_id)
        self._place()

    def _lose(self, ticket: Ticket, why: str | None = None) -> None:
        """Have no more to do with a run: it has ended, or was abandoned."""
        ticket.abandoned, ticket.gone = why, True
        self._tickets.pop(ticket.run_id, None)
        self._queue.ended(ticket.run_id)
        freed = self._freed.pop(ticket.slot.key if ticket.slot else "", None)
        if freed is not None:
            freed.set()
        ticket.leave()

    # placing

    def _place(self) -> None:
        """Give runs to engines, as long as there is a run and an engine with room."""
        if self._nursery is None:
            return
        while self._places.have_room() and (ticket := self._next()) is not None:
            if ticket.slot is None or ticket.admitted:
                self._give(ticket)
            else:
                self._ask_for_slot(ticket, ticket.slot)

    def _ask_for_slot(self, ticket: Ticket, slot: Slot) -> None:
        if self._nursery is not None:
            ticket.admission = trio.CancelScope()
            self._nursery.start_soon(self._admit, ticket, slot, ticket.admission)

    def _next(self) -> Ticket | None:
        if self._admitted:
            return self._admitted.popleft()
        entry = self._queue.next(lambda _needs: True)  # all engines of a program are alike
        return None if entry is None else self._tickets[entry.run_id]

    def _give(self, ticket: Ticket) -> None:
        """Give a run to an engine; one that is not in memory is read first."""
        wanted = ticket.workflow.placement.balancer
        try:
            place = self._places.choose(ticket.key or ticket.run_id, wanted)
        except Exception as error:  # noqa: BLE001 — a plugin's; the other runs go on
            _log.exception("run %s: its balancer failed", ticket.run_id)
            self._lose(ticket, f"its balancer failed: {error}")
            return
        self._places.take(place, ticket.run_id)
        ticket.due = None
        if ticket.make is not None:
            self._execute(ticket, place, ticket.made(), ticket.epoch)
        elif self._nursery is not None:
            ticket.set_off()
            self._nursery.start_soon(self._read_and_execute, ticket, place)

    def _execute(self, ticket: Ticket, place: Place, state: RunState, epoch: int) -> None:
        ticket.engine, ticket.state, ticket.fresh = place.engine, state, False
        ticket.make = ticket.ready = None
        place.engine.execute(state, epoch=epoch)

    async def _read_and_execute(self, ticket: Ticket, place: Place) -> None:
        try:
            state, epoch = await _patiently(partial(self._runs.claim, ticket.run_id))
        except DagrunError as error:  # somebody else's now, or damaged: the others go on
            self._places.give_back(place.engine, ticket.run_id)
            self._lose(ticket, str(error))
            self._place()
        else:
            self._execute(ticket, place, state, epoch)
        ticket.arrive()

    async def _admit(self, ticket: Ticket, slot: Slot, scope: trio.CancelScope) -> None:
        """Wait until a run has its slot. The store knows of those that runs elsewhere hold."""
        self._asking += 1
        try:
            with scope:
                await self._wait_for_slot(ticket, slot)
        except DagrunError as error:
            self._lose(ticket, str(error))
        finally:
            self._asking -= 1
        if ticket.admission is scope:  # else it was taken out, perhaps while the store answered
            ticket.admission = None
            if ticket.admitted:
                self._admitted.append(ticket)
        self._place()

    async def _wait_for_slot(self, ticket: Ticket, slot: Slot) -> None:
        while not await _patiently(partial(self._runs.admit, ticket.run_id, slot)):
            if ticket.on_limit is OnLimit.CANCEL_OLDEST:
                await self._cancel_oldest(slot, ticket.run_id)
            freed = self._freed.setdefault(slot.key, trio.Event())
            with trio.move_on_after(RECHECK):
                await freed.wait()
        ticket.admitted = True

    async def _cancel_oldest(self, slot: Slot, run_id: RunId) -> None:
        try:
            await self._runs.cancel_oldest(slot, for_run=run_id)
        except DagrunError:
            return  # whoever has it does not answer, or was faster: it is asked again

    # waiting for too long

    async def _expire(self) -> None:
        """Fail the runs whose ``start_timeout`` passes while they wait."""
        while True:
            while self._due and self._due[0][0] <= trio.current_time():
                _, run_id = heapq.heappop(self._due)
                await self._fail_late(run_id)
            self._earlier = trio.Event()
            with trio.move_on_at(self._due[0][0] if self._due else math.inf):
                await self._earlier.wait()

    async def _fail_late(self, run_id: RunId) -> None:
        ticket = self._tickets.get(run_id)
        if ticket is not None:
            async with ticket.alone():
                if ticket.due is not None and self._take_out(ticket):
                    await self._let_expire(ticket)

    async def _let_expire(self, ticket: Ticket) -> None:
        try:
            await _patiently(partial(self._change, ticket, decide.expire))
        except DagrunError as error:
            self._lose(ticket, str(error))

    # what is asked of runs

    async def cancel(self, run_id: RunId, *, reason: str = decide.REQUESTED) -> bool:
        """Cancel a run, wherever it is. Give False if it has ended, or is being cancelled.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._ask(
            run_id,
            lambda engine: engine.cancel(run_id, reason=reason),
            partial(self._cancel_waiting, reason=reason),
        )

    async def pause(self, run_id: RunId) -> bool:
        """Start nothing more of a run. Give False if it has ended or is paused.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._ask(run_id, lambda engine: engine.pause(run_id), self._pause_waiting)

    async def resume(self, run_id: RunId) -> bool:
        """Go on with a paused run as soon as there is room. Give False if it is not paused.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._ask(run_id, lambda engine: engine.resume(run_id), self._resume_waiting)

    async def _ask(
        self,
        run_id: RunId,
        of_engine: Callable[[EngineLink], Awaitable[bool]],
        of_waiting: Callable[[Ticket], Awaitable[bool]],
    ) -> bool:
        """Do something with a run, to its end, whether the caller waits for it or not."""
        ticket = self._tickets.get(run_id)
        if ticket is None or self._nursery is None:
            return False
        answer = _Answer()
        self._nursery.start_soon(self._do, answer, ticket, of_engine, of_waiting)
        await answer.given.wait()
        if answer.error is not None:
            raise answer.error
        return answer.value

    async def _do(
        self,
        answer: "_Answer",
        ticket: Ticket,
        of_engine: Callable[[EngineLink], Awaitable[bool]],
        of_waiting: Callable[[Ticket], Awaitable[bool]],
    ) -> None:
        try:
            async with ticket.alone():
                answer.value = await self._done(ticket, of_engine, of_waiting)
        except DagrunError as error:
            answer.error = error
        finally:
            answer.given.set()

    async def _done(
        self,
        ticket: Ticket,
        of_engine: Callable[[EngineLink], Awaitable[bool]],
        of_waiting: Callable[[Ticket], Awaitable[bool]],
    ) -> bool:
        while ticket.moving is not None:
            await ticket.moving.wait()
        while (engine := ticket.engine) is not None:
            if await of_engine(engine):
                return True
            if ticket.engine is engine:
                return False  # else it was given back in the meantime
        return ticket.run_id in self._tickets and await of_waiting(ticket)

    async def _cancel_waiting(self, ticket: Ticket, *, reason: str) -> bool:
        if ticket.fresh:
            return await self._change_queued(ticket, partial(decide.cancel, reason=reason))
        if ticket.run_id in self._queue:  # lest anything starts before it is cancelled
            await self._change_queued(ticket, decide.pause)
        # Parts of it were done: an engine winds it up, whether one has room or not.
        state, epoch = await self._runs.claim(ticket.run_id)
        place = self._places.least_busy()
        self._places.take(place, ticket.run_id)
        self._execute(ticket, place, state, epoch)
        return await place.engine.cancel(ticket.run_id, reason=reason)

    async def _pause_waiting(self, ticket: Ticket) -> bool:
        return await self._change_queued(ticket, decide.pause)

    async def _resume_waiting(self, ticket: Ticket) -> bool:
        if not await self._change(ticket, decide.requeue):
            return False
        self.enqueue(ticket)
        return True

    def explain(self, run_id: RunId) -> str | None:
        """Say why a run of this process is with no engine; None when it is with one, or unknown."""
        ticket = self._tickets.get(run_id)
        if ticket is None or ticket.engine is not None or ticket.moving is not None:
            return None
        why = self._queue.reason(run_id, lambda _needs: self._places.have_room())
        if ticket.slot is not None and (ticket.admission is not None or why is Why.KEY):
            return f"it waits for a slot of {ticket.slot.key!r}, of which there are {ticket.slot.limit}"
        if why is None and ticket not in self._admitted:
            return "it waits until it is resumed"
        return (
            f"it waits for an engine: all have as many runs as they may ({self._places.describe()})"
        )

    def _take_out(self, ticket: Ticket) -> bool:
        """Let a run wait no more. Give False if it does not."""
        if ticket.admission is not None:
            ticket.admission.cancel()
            ticket.admission = None
            self._queue.ended(ticket.run_id)
            return True
        if ticket in self._admitted:
            self._admitted.remove(ticket)
            self._queue.parked(ticket.run_id)
            return True
        return self._queue.remove(ticket.run_id) is not None

    async def _change_queued(self, ticket: Ticket, change: Change) -> bool:
        """Change a run that may be in the queue; it stays there if that does not succeed."""
        queued = self._take_out(ticket)
        changed = False
        try:
            changed = await self._change(ticket, change)
        finally:
            if queued and not changed and not ticket.gone:
                self.enqueue(ticket)
        ticket.due = None
        return changed

    async def _change(self, ticket: Ticket, change: Change) -> bool:
        """Change a run that no engine has, and return when that is durable."""
        try:
            state, epoch = await self._runs.load(ticket.run_id)
        except ConflictError as error:
            self._lose(ticket, str(error))
            raise
        self._journal.continue_from(ticket.run_id, state.seq)
        if not change(state, self._now(), epoch=epoch):
            return False
        ticket.make = ticket.ready = None
        self._journal.append(state.take_events())
        await self._journal.wait_durable(ticket.run_id, state.seq)
        self._journal.forget(ticket.run_id)
        ticket.state = state
        if state.ended:
            self._lose(ticket)
            self._place()
        return True


@attrs.define(eq=False)
class _Answer:
    """What came of a request."""

    value: bool = False
    error: DagrunError | None = None
    given: trio.Event = attrs.field(factory=trio.Event)


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until nobody else holds the database, and there is room on its disk."""
    while True:
        try:
            return await call()
        except (StoreBusy, StoreFull):
            await trio.sleep(RECHECK)
