"""Everything in one process: ``dagrun run`` and programs that embed dagrun."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from dagrun.builtin.control import Control, ask
from dagrun.builtin.ownership import OwnerLock, owner_pid
from dagrun.domain.decide import REQUESTED, TIMEOUT
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.result import RunResult, run_result
from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConflictError
from dagrun.plugin.registry import Registry, Shelf
from dagrun.ports.balancer import Balancer
from dagrun.ports.store import Refusal, Store
from dagrun.roles.stored_runs import StoredRuns, stored_workflow
from dagrun.roles.submission import Submission, accept
from dagrun.services.dispatcher import Dispatcher, Ticket
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.executors import Opened
from dagrun.services.journal import Journal
from dagrun.services.monitor import Monitor
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import Plans, structuring
from dagrun.services.processes import GuardedProcesses
from dagrun.settings import Settings

__all__ = ["DATABASE", "LOGS", "SCRATCH", "Local", "Submission", "open_local"]

T = TypeVar("T")

DATABASE = "dagrun.db"
LOGS = "logs"
SCRATCH = "scratch"
DEFAULT_BALANCER = "consistent-hash"
LOOK = 0.2  # seconds between looks at a run that another process has

UNBOUNDED = 1_000_000
"""The capacity of an engine that takes every run at once."""

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
            raise ConflictError(
                f"run {wanted} was started with another content of {only.id}; leave out the FILE to "
                "go on with the stored document"
            )
        ticket, events = await self.runs.take_over(record)
        self._committed(events)
        self.journal.continue_from(wanted, len(events))
        self.dispatcher.adopt(ticket)
        if record.status is not RunStatus.PAUSED:
            self.dispatcher.enqueue(ticket)
        elif resume:
            await self.dispatcher.resume(wanted)
        return ticket

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
        return await self._ask("pause", wanted, self.dispatcher.pause)

    async def resume(self, wanted: RunId) -> bool:
        """Go on with a paused run. Give False if it is not paused.

        Raises:
            NotFound: there is no such run.
            ConflictError: its process has ended.
            RemoteError: its process lives and does not answer.
        """
        return await self._ask("resume", wanted, self.dispatcher.resume)

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
        self, what: str, wanted: RunId, here: Callable[[RunId], Awaitable[bool]]
    ) -> bool:
        if self.dispatcher.ticket(wanted) is not None:
            return await here(wanted)
        record = await self.store.run(wanted)
        if record.status in RUN_ENDED:
            return False
        if owner_pid(self.data_dir, record.owner) is None:
            raise ConflictError(
                f"the process of run {wanted} has ended; go on with it first: "
                f"dagrun run --resume {wanted}"
            )
        request = {"do": what, "run_id": wanted}
        return bool(await ask(self.data_dir, record.owner, request))

    async def _earlier(self, standing: RunId, *, resume: bool = True) -> Ticket:
        """Give the run that an idempotency key stands for; one that was cut off goes on."""
        while (ticket := self.dispatcher.ticket(standing)) is None:
            record = await self.store.run(standing)
            if record.status in RUN_ENDED or owner_pid(self.data_dir, record.owner) is not None:
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


async def _answer(local: Local, request: Mapping[str, Any]) -> Any:
    """Do what another process asks of a run that this one has."""
    wanted = RunId(str(request.get("run_id")))
    if local.dispatcher.ticket(wanted) is None:
        return False  # it has just ended
    match request.get("do"):
        case "cancel":
            reason = str(request.get("reason", REQUESTED))[:200]
            # Its time is watched by the run's own process; nobody else can say that it is over.
            reason = REQUESTED if reason == TIMEOUT else reason
            return await local.dispatcher.cancel(wanted, reason=reason)
        case "pause":
            return await local.dispatcher.pause(wanted)
        case "resume":
            return await local.dispatcher.resume(wanted)
        case "explain":
            return local.dispatcher.explain(wanted)
        case other:
            raise ConflictError(f"{other!r} is nothing that can be asked of a run")


@asynccontextmanager
async def open_local(
    registry: Registry,
    settings: Settings,
    *,
    engines: int = 1,
    capacity: int = UNBOUNDED,
    store: Store | None = None,
    committed: Watcher = lambda _: None,
) -> AsyncIterator[Local]:
    """Open the data directory, and run engines until the block is left.

    Args:
        registry: the plugins.
        settings: what the operator chose.
        engines: how many engines.
        capacity: most runs that each has at once.
        store: where to keep journals; None opens the database of the data directory.
        committed: is told of events when they are durable, and of the journal of a run that is
            taken over.
    """
    data_dir = settings.data_dir
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(OwnerLock(data_dir))
        if store is None:
            store = registry.stores.get("sqlite")(path=data_dir / DATABASE)
        await stack.enter_async_context(store)

        def lost(run: RunId, why: Refusal) -> None:
            for engine in running:
                engine.abandon(run, f"taken over by another process ({why})")

        def durable(events: Sequence[Event], position: int) -> None:
            committed(events)
            monitor.publish(events, position)

        def whereabouts(run: RunId) -> tuple[str | None, str | None]:
            ticket = dispatcher.ticket(run)
            if ticket is None:
                return None, None
            return ticket.workflow.id, None if ticket.engine is None else ticket.engine.name

        monitor = Monitor(store, whereabouts, position=await store.last_position())
        stack.callback(monitor.close)  # behind the last events that the journal tells of
        journal = Journal(store, committed=durable, refused=lost)
        await _serve(stack, journal.run)
        processes = GuardedProcesses()
        await _serve(stack, processes.run)
        executors = Opened(_factories(registry.executors, settings))
        await _serve(stack, executors.run)
        providers = Opened(_factories(registry.secrets, settings))
        await _serve(stack, providers.run)
        plans = Plans(registry, executors, providers)
        runs = StoredRuns(data_dir=data_dir, owner=lock.owner, store=store, plans=plans)
        dispatcher = runs.dispatcher = Dispatcher(
            runs=runs, journal=journal, balancer=_balancers(registry)
        )
        workshop = Workshop(
            executors=executors.opened,
            structure=structuring(registry),
            processes=processes,
            logs=NodeLogs(data_dir / LOGS),
            scratch=data_dir / SCRATCH,
            providers=providers.opened,
        )
        running = [
            Engine(
                name=name,
                journal=journal,
                workshop=workshop,
                parallel=settings.parallel,
                capacity=capacity,
                listener=dispatcher,
            )
            for name in _engine_names(engines)
        ]
        scopes = [await _serve(stack, engine.run) for engine in running]
        await _serve(stack, dispatcher.run)
        local = Local(
            data_dir=data_dir,
            owner=lock.owner,
            store=store,
            journal=journal,
            monitor=monitor,
            dispatcher=dispatcher,
            engines=running,
            plans=plans,
            runs=runs,
            processes=processes,
            committed=committed,
            scope=scopes[0],
        )
        for engine in running:
            dispatcher.add_engine(engine)
            monitor.announce("engine.joined", engine_id=engine.name)
        await _serve(stack, Control(data_dir, lock.owner, partial(_answer, local)).run)
        yield local


def _engine_names(count: int) -> Sequence[str]:
    name = f"{os.uname().nodename}/{os.getpid()}"
    return [name] if count == 1 else [f"{name}/{number}" for number in range(1, count + 1)]


def _balancers(registry: Registry) -> Callable[[str | None], Balancer]:
    return lambda name: registry.balancers.get(name or DEFAULT_BALANCER)()


def _factories(shelf: Shelf[T], settings: Settings) -> Callable[[str], Callable[[], T]]:
    """Give what finds a plugin's factory, with the settings that its class asks for."""

    def find(name: str) -> Callable[[], T]:
        factory = shelf.get(name)
        wanted: Sequence[str] = getattr(factory, "settings", ())
        return partial(factory, **{setting: getattr(settings, setting) for setting in wanted})

    return find


async def _serve(stack: AsyncExitStack, run: Callable[..., Any]) -> trio.CancelScope:
    """Run a service in a nursery of its own, so that services end one after the other.

    Cancelling the scope that is given ends the service, and all that was opened after it.
    """
    nursery = await stack.enter_async_context(trio.open_nursery())
    stack.callback(nursery.cancel_scope.cancel)
    await nursery.start(run)
    return nursery.cancel_scope
