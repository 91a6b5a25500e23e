"""Slots of concurrency keys: who asks for one, and waits until the store gives it."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from dagrun.domain.ids import RunId
from dagrun.errors import DagrunError
from dagrun.ports.patience import patiently
from dagrun.ports.store import Slot
from dagrun.services.dispatcher.rivals import giving_way
from dagrun.services.dispatcher.runs import Runs
from dagrun.services.dispatcher.tasks import Tasks
from dagrun.services.dispatcher.ticket import Ticket

RECHECK: Final = 0.5  # seconds between looks for a slot that another process holds


class Admission:
    """Asks the store for slots. It alone knows of those that runs of other processes hold.

    Args:
        runs: what is stored of runs.
        tasks: in which runs wait.
        answered: hears that a run has its slot, or why it will never have one.
        turned_down: hears that a run waits for a slot now, and for no engine.
    """

    def __init__(
        self,
        *,
        runs: Runs,
        tasks: Tasks,
        answered: Callable[[Ticket, DagrunError | None], None],
        turned_down: Callable[[], None],
    ) -> None:
        self._runs = runs
        self._tasks = tasks
        self._answered = answered
        self._turned_down = turned_down
        self._asking: dict[RunId, trio.CancelScope] = {}
        self._unanswered: set[RunId] = set()
        self._freed: dict[str, trio.Event] = {}

    def __len__(self) -> int:
        return len(self._asking)

    def __contains__(self, run_id: RunId) -> bool:
        return run_id in self._asking

    @property
    def unanswered(self) -> int:
        """How many asked because an engine has room, and may be given a slot any moment."""
        return len(self._unanswered)

    def ask(self, ticket: Ticket, slot: Slot) -> None:
        """Ask for the slot of a run. Does not block."""
        scope = trio.CancelScope()
        if self._tasks.start(self._admit, ticket, slot, scope):
            self._asking[ticket.run_id] = scope
            if not ticket.cancels_oldest:
                self._unanswered.add(ticket.run_id)

    def withdraw(self, run_id: RunId) -> bool:
        """Let a run ask no more. Give False if it does not."""
        scope = self._asking.pop(run_id, None)
        if scope is None:
            return False
        self._unanswered.discard(run_id)
        scope.cancel()
        return True

    def free(self, key: str) -> None:
        """Let those look again who wait for a slot of a key."""
        freed = self._freed.pop(key, None)
        if freed is not None:
            freed.set()

    async def _admit(self, ticket: Ticket, slot: Slot, scope: trio.CancelScope) -> None:
        problem = None
        try:
            with scope:
                await self._wait_for_slot(ticket, slot)
        except DagrunError as error:
            problem = error
        if self._asking.get(ticket.run_id) is not scope:
            return  # it was withdrawn, perhaps while the store answered
        self.withdraw(ticket.run_id)
        ticket.admitted = problem is None
        self._answered(ticket, problem)

    async def _wait_for_slot(self, ticket: Ticket, slot: Slot) -> None:
        while True:
            freed = self._freed.setdefault(slot.key, trio.Event())
            if await patiently(partial(self._runs.admit, ticket.run_id, slot)):
                return
            if ticket.run_id in self._unanswered:
                self._unanswered.remove(ticket.run_id)
                self._turned_down()
            if ticket.cancels_oldest:
                await self._cancel_oldest(ticket.run_id, slot)
            with trio.move_on_after(RECHECK):
                await freed.wait()

    async def _cancel_oldest(self, run_id: RunId, slot: Slot) -> None:
        with suppress(DagrunError):  # the store does not answer: it is asked again
            for old, new in giving_way(await self._runs.rivals(run_id, slot), run_id, slot.limit):
                with suppress(DagrunError):  # who has it does not answer, or was faster: the same
                    await self._runs.cancel(old, reason=f"for run {new}")
