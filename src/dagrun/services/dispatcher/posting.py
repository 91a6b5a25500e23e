"""What is posted to runs: it finds its run, wherever that is."""

import logging
import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import trio

from dagrun.domain import decide
from dagrun.domain.ids import RunId
from dagrun.domain.status import RunStatus
from dagrun.errors import DagrunError
from dagrun.ports.patience import patiently
from dagrun.ports.store import Message, MessageKind
from dagrun.services.dispatcher.changes import Changes
from dagrun.services.dispatcher.placing import Placing
from dagrun.services.dispatcher.runs import Runs
from dagrun.services.dispatcher.tasks import Tasks
from dagrun.services.dispatcher.ticket import Ticket

_log: Final = logging.getLogger(__name__)

_NOT_WHILE_PAUSED: Final = (MessageKind.CHILD_ENDED, MessageKind.PAUSE)
"""Kinds of messages that a paused run may take up when it is resumed."""


class Posting:
    """Tells engines what was posted to their runs, and brings runs back for that.

    A run that no engine has waits for one when it is told of something; a request to cancel does
    not wait, nor what a run hears of that is being cancelled. One that is parked comes back, too,
    when its time is over, and does not wait then.

    Args:
        runs: what is stored of runs.
        placing: knows where runs are.
        changes: cancels runs that no engine has.
        tasks: in which runs are brought back.
        now: the clock, in UTC.
    """

    def __init__(
        self,
        *,
        runs: Runs,
        placing: Placing,
        changes: Changes,
        tasks: Tasks,
        now: Callable[[], datetime],
    ) -> None:
        self._runs = runs
        self._placing = placing
        self._changes = changes
        self._tasks = tasks
        self._now = now

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Pass on a message that is durable. Give False if this process does not have the run.

        Does not block. What is told of twice counts once.
        """
        ticket = self._placing.ticket(run_id)
        if ticket is None:
            return False
        if ticket.engine is not None and ticket.engine.tell(run_id, message):
            return True
        ticket.posted = (*ticket.posted, message)
        return self._tasks.start(self._bring_back, ticket, message)

    async def _bring_back(self, ticket: Ticket, message: Message) -> None:
        async with ticket.alone():
            await ticket.arrived()
            if ticket.gone or ticket.engine is not None:
                return  # whoever has it now was given what was posted to it
            if message.kind is MessageKind.CANCEL:
                await self._cancel(ticket, str(message.data.get("reason", decide.REQUESTED)))
            elif ticket.parked and await self._ends_without_room(ticket):
                await self._hurry(ticket)
            elif ticket.parked or self._resumes(ticket, message):
                self._placing.enqueue(ticket)

    async def _ends_without_room(self, ticket: Ticket) -> bool:
        """Whether a run would have to wait for room, and is being cancelled."""
        if self._placing.may_place(ticket.needs):
            return False
        known = ticket.picture()
        if known is not None:
            return known.status is RunStatus.CANCELLING
        try:
            status = await patiently(partial(self._runs.status, ticket.run_id))
        except DagrunError:  # whoever is to execute it finds out
            return False
        return status is RunStatus.CANCELLING

    def _resumes(self, ticket: Ticket, message: Message) -> bool:
        """Whether a message is for a run that is paused, and not only for later."""
        return ticket.paused and message.kind not in _NOT_WHILE_PAUSED

    async def _cancel(self, ticket: Ticket, reason: str) -> None:
        try:
            await patiently(partial(self._changes.cancel, ticket, reason=reason))
        except DagrunError as error:  # it is somebody else's now, or damaged
            _log.warning("run %s could not be cancelled: %s", ticket.run_id, error)

    def watch(self, ticket: Ticket) -> None:
        """Mind the time of a run that its engine gave back, if it is parked."""
        if ticket.alarm is not None:
            ticket.alarm.cancel()
            ticket.alarm = None
        if ticket.parked and not ticket.gone and ticket.workflow.timeout is not None:
            ticket.alarm = trio.CancelScope()
            self._tasks.start(self._wake, ticket, ticket.alarm)

    async def _wake(self, ticket: Ticket, alarm: trio.CancelScope) -> None:
        with alarm:
            await trio.sleep(await self._time_left(ticket))
            async with ticket.alone():
                await ticket.arrived()
                if ticket.parked and not ticket.gone:
                    ticket.alarm = None  # it has rung, and must not be stopped any more
                    await self._hurry(ticket)

    async def _hurry(self, ticket: Ticket) -> None:
        try:
            await self._changes.hurry(ticket)
        except DagrunError as error:  # it is somebody else's now, or damaged
            _log.warning("run %s was given to no engine: %s", ticket.run_id, error)

    async def _time_left(self, ticket: Ticket) -> float:
        """Give the seconds that a parked run has until its timeout."""
        known = ticket.picture()
        try:
            state = known or (await patiently(partial(self._runs.load, ticket.run_id)))[0]
        except DagrunError as error:
            _log.warning("the timeout of run %s is not minded: %s", ticket.run_id, error)
            return math.inf
        left = decide.time_left_to_run(state, self._now())
        return math.inf if left is None else left
