"""What can be asked of the runs of a data directory, by this process and by others."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.reasons import REQUESTED, TIMEOUT
from dagrun.domain.result import RunResult, run_result
from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConflictError, DagrunError
from dagrun.ports.store import Store
from dagrun.roles.owners import Request, ask_owner, is_cut_off
from dagrun.roles.registrations import Registrations
from dagrun.roles.stored_runs import StoredRuns, stored_workflow
from dagrun.roles.submission import Submission, accept
from dagrun.services.dispatcher import Dispatcher, Ticket
from dagrun.services.engine import Engine
from dagrun.services.journal import Journal
from dagrun.services.monitor import Monitor
from dagrun.services.plans import Plans
from dagrun.services.processes import GuardedProcesses

_log: Final = logging.getLogger(__name__)

LOOK: Final = 0.2  # seconds between looks at a run that another process has

Watcher = Callable[[Sequence[Event]], None]


@attrs.define(kw_only=True)
class Local:
    """A store, a journal, a dispatcher and engines in this process."""

    data_dir: Path
    owner: str
    store: Store
    journal: Journal
    monitor: Monitor
    dispatcher: Dispatcher
    engines: Sequence[Engine]
    plans: Plans
    registrations: Registrations
    runs: StoredRuns
    _processes: GuardedProcesses
    _committed: Watcher
    _scope: trio.CancelScope

    async def submit(self, submission: Submission) -> Ticket:
        """Store a run, and let it start when there is room. Returns when it is durable.

        Gives the ticket of an earlier run if that had the same idempotency key.

        Raises:
            InputError: JSON cannot hold the inputs, or they are too large.
            LimitReached: its concurrency limit has no room, and it must not wait.
            ConflictError: the idempotency key was used for something else.
            StoreFull: there is no room; nothing was written.
        """
        prepared = await self.plans.prepare(submission.workflow)
        new_run, events, ticket = accept(submission, prepared, owner=self.owner)
        ticket.set_off()
        self.dispatcher.adopt(ticket)
        try:
            standing = await self.journal.submit(new_run, prepared.definition, events)
        except BaseException:
            self.dispatcher.drop(ticket)
            raise
        if standing != ticket.run_id:
            self.dispatcher.drop(ticket)
            return await self._earlier(standing)
        self.dispatcher.enqueue(ticket)
        return ticket

    async def go_on(
        self, wanted: RunId, *, only: Workflow | None = None, resume: bool = True
    ) -> Ticket:
        """Take over a run whose process has ended, and go on with it.

        Args:
            wanted: the run.
            only: refuse the run unless this is its workflow.
            resume: go on also if it was paused; else it stays so.

        Raises:
            NotFound: there is no such run.
            RunOwned: a live process executes it.
            ConflictError: it has ended, or runs another workflow than ``only``.
            StoreCorrupt: what is stored of it is damaged.
        """
        record = await self.store.run(wanted)
        if only is not None and content_hash(to_json(only)) != record.definition_hash:
            other = f"was started with another content of {only.id}"
            if record.workflow_id != only.id:
                other = f"is a run of {record.workflow_id} {record.version}, not of {only.id}"
            raise ConflictError(
                f"run {wanted} {other}; leave out the FILE to go on with the stored document"
            )
        ticket, events = await self.runs.take_over(record)
        self._committed(events)
        self.journal.continue_from(wanted, len(events))
        self.dispatcher.adopt(ticket)
        if record.status is not RunStatus.PAUSED:
            self.dispatcher.enqueue(ticket)
        elif resume:
            await self.dispatcher.resume(wanted)
        await self._go_on_with_children(wanted)
        return ticket

    async def _go_on_with_children(self, parent: RunId) -> None:
        """Go on with what a run waits for, where it was cut off with the run.

        One that cannot be gone on with is left, with a warning in the log.
        """
        for child in await self.store.children(parent):
            waited_for = child.parent is not None and child.parent.wait
            if not waited_for or child.status in RUN_ENDED:
                continue
            try:
                await self.attach(child.run_id)
            except DagrunError as error:
                _log.warning("run %s waits for run %s: %s", parent, child.run_id, error)

    async def submit_child(self, submission: Submission) -> RunId:
        """Store a run that another one waits for, or give the one that was stored before."""
        return (await self.submit(submission)).run_id

    async def attach_child(self, run_id: RunId) -> None:
        """Let a run go on that was stored before, if it was cut off."""
        await self.attach(run_id)

    async def attach(self, run_id: RunId) -> Ticket:
        """Give a run, whoever has it; one that was cut off goes on, unless it was paused.

        Raises:
            NotFound: there is no such run.
            StoreCorrupt: what is stored of it is damaged.
        """
        return await self._earlier(run_id, resume=False)

    async def cancel(self, wanted: RunId) -> bool:
        """Cancel a run, whichever process of this data directory has it.

        Gives False if it has ended, or is being cancelled. Returns when the request is durable.

        Raises:
            NotFound: there is no such run.
            RemoteError: its process lives and does not answer.
        """
        return await self.runs.cancel(await self.store.run(wanted))

    async def pause(self, wanted: RunId) -> bool:
        """Start nothing more of a run. Give False if it has ended or is paused.

        Raises:
            NotFound: there is no such run.
            ConflictError: its process has ended.
            RemoteError: its process lives and does not answer.
        """
        return await self._ask(Request.PAUSE, wanted, self.dispatcher.pause)

    async def resume(self, wanted: RunId) -> bool:
        """Go on with a paused run. Give False if it is not paused.

        Raises:
            NotFound: there is no such run.
            ConflictError: its process has ended.
            RemoteError: its process lives and does not answer.
        """
        return await self._ask(Request.RESUME, wanted, self.dispatcher.resume)

    def stop(self) -> None:
        """End the engines, and cancel the block of :func:`open_local`.

        Runs stay as they are in the journal, to be gone on with. Processes get their SIGTERM and
        ``kill_after``.
        """
        self._scope.cancel()

    def kill(self) -> None:
        """Do the same, and kill all processes at once."""
        self._scope.cancel()
        self._processes.kill_all()

    async def _ask(
        self, what: Request, wanted: RunId, here: Callable[[RunId], Awaitable[bool]]
    ) -> bool:
        if self.dispatcher.ticket(wanted) is not None:
            return await here(wanted)
        return bool(await ask_owner(self.data_dir, await self.store.run(wanted), what))

    async def _earlier(self, standing: RunId, *, resume: bool = True) -> Ticket:
        """Give the run that an idempotency key stands for; one that was cut off goes on."""
        while (ticket := self.dispatcher.ticket(standing)) is None:
            record = await self.store.run(standing)
            if not is_cut_off(self.data_dir, record):
                return Ticket(run_id=standing, workflow=await stored_workflow(self.store, record))
            with suppress(ConflictError):  # somebody was faster: look at what became of it
                return await self.go_on(standing, resume=resume)
        return ticket

    async def result(self, ticket: Ticket) -> RunResult:
        """Wait for the end of a run, and tell how it went.

        A run of another process is gone on with if that process ends before it.

        Raises:
            ConflictError: another process took it over.
        """
        if self.dispatcher.ticket(ticket.run_id) is ticket:
            await ticket.wait()
        if ticket.abandoned is not None:
            raise ConflictError(f"run {ticket.run_id} is left: {ticket.abandoned}")
        if ticket.gone and ticket.state is not None:
            return run_result(ticket.state)
        if self.dispatcher.ticket(ticket.run_id) is ticket:
            raise ConflictError(
                f"dagrun was closed before run {ticket.run_id} has ended; it can be gone on with"
            )
        return await self._stored_result(ticket.run_id)

    async def _stored_result(self, wanted: RunId) -> RunResult:
        """Tell how a run went that another process has or had; looks until it has ended."""
        while True:
            record = await self.store.run(wanted)
            if record.status in RUN_ENDED:
                state, _ = await self.runs.restored(record)
                return run_result(state)
            ticket = await self._earlier(wanted, resume=False)
            if self.dispatcher.ticket(wanted) is ticket:
                return await self.result(ticket)
            await trio.sleep(LOOK)


class HasRuns(Protocol):
    """A process that has runs."""

    @property
    def store(self) -> Store:
        """Where they are stored."""
        ...

    @property
    def dispatcher(self) -> Dispatcher:
        """Knows those that have not ended."""
        ...


async def answer(local: HasRuns, request: Mapping[str, Any]) -> Any:
    """Do what another process asks of a run that this one has."""
    wanted = RunId(str(request.get("run_id")))
    if local.dispatcher.ticket(wanted) is None:
        return False  # it has just ended
    match request.get("do"):
        case Request.CANCEL:
            reason = str(request.get("reason", REQUESTED))[:200]
            # Its time is watched by the run's own process; nobody else can say that it is over.
            reason = REQUESTED if reason == TIMEOUT else reason
            return await local.dispatcher.cancel(wanted, reason=reason)
        case Request.PAUSE:
            return await local.dispatcher.pause(wanted)
        case Request.RESUME:
            return await local.dispatcher.resume(wanted)
        case Request.EXPLAIN:
            return local.dispatcher.explain(wanted)
        case Request.TELL:
            for message in await local.store.messages(wanted):
                local.dispatcher.tell(wanted, message)
            return True
        case other:
            raise ConflictError(f"{other!r} is nothing that can be asked of a run")
