"""How an orchestrator accepts runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import attrs

from dagrun.domain.ids import RunId
from dagrun.errors import QueueFull
from dagrun.ports.store import Rejection, Store
from dagrun.roles.submission import Submission, accept
from dagrun.services.dispatcher import Dispatcher
from dagrun.services.journal import Journal
from dagrun.services.journal.entries import rejected
from dagrun.services.plans import Plans


@attrs.define(kw_only=True)
class Accepting:
    """Accepts runs, as long as not too many wait."""

    store: Store
    plans: Plans
    journal: Journal
    dispatcher: Dispatcher
    owner: str
    """Under which name this process stands in the rows of its runs."""

    limit: int
    """Most runs that wait for an engine."""

    _now: Callable[[], datetime]
    _draw_bytes: Callable[[int], bytes]

    _coming: int = attrs.field(default=0, init=False)
    """Submissions on their way into the store."""

    async def submit(self, submission: Submission) -> RunId:
        """Store a run, and let it start when there is room. Returns when it is durable.

        Gives an earlier run if that had the same idempotency key; raises as the same method of a
        program's class.

        Raises:
            QueueFull: too many runs wait already.
        """
        if self.dispatcher.is_full(self.limit, coming=self._coming):
            return await self._standing(submission)
        return await self.submit_child(submission)

    async def submit_child(self, submission: Submission) -> RunId:
        """Store a run that another one waits for, however many runs wait; see :meth:`submit`."""
        with self._one_coming():
            return await self._store(submission)

    @contextmanager
    def _one_coming(self) -> Iterator[None]:
        """Count a submission from before anything is waited for."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def _store(self, submission: Submission) -> RunId:
        prepared = await self.plans.prepare(submission.workflow)
        new_run, events, ticket = accept(
            submission, prepared, owner=self.owner, now=self._now(), draw=self._draw_bytes
        )
        ticket.set_off()
        self.dispatcher.adopt(ticket)
        try:
            standing = await self.journal.submit(new_run, prepared.definition, events)
        except BaseException:
            self.dispatcher.drop(ticket)
            raise
        if standing == ticket.run_id:
            self.dispatcher.enqueue(ticket)
        else:
            self.dispatcher.drop(ticket)
        return standing

    async def _standing(self, submission: Submission) -> RunId:
        """Give the run that was accepted before under the same key, though nothing new would be.

        Raises:
            QueueFull: there is none.
            ConflictError: the key was used for something else.
        """
        prepared = await self.plans.prepare(submission.workflow)
        run, _, _ = accept(submission, prepared, owner=self.owner, now=self._now())
        standing = await self.store.standing(run)
        if standing is None:
            raise QueueFull(self.limit)
        if isinstance(standing, Rejection):
            raise rejected(run, standing)
        return standing

    async def attach_child(self, run_id: RunId) -> None:
        """Do nothing: all runs of an orchestrator go on by themselves."""
