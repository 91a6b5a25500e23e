"""Everything in one process: ``dagrun run`` and programs that embed dagrun."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import trio

from dagrun.builtin.control import Control
from dagrun.builtin.ownership import OwnerLock
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.workflow import Workflow
from dagrun.plugin.registry import Registry, Shelf
from dagrun.ports.balancer import Balancer
from dagrun.ports.store import Posted, Refusal, Store
from dagrun.ports.subscriber import Subscriber
from dagrun.roles.children import StoredChildren
from dagrun.roles.local_runs import Local, Watcher, answer
from dagrun.roles.messages import Messages
from dagrun.roles.monitoring import open_monitor, whereabouts
from dagrun.roles.options import options
from dagrun.roles.places import DATABASE, LOGS, SCRATCH
from dagrun.roles.registrations import Registrations
from dagrun.roles.serving import in_nursery, start
from dagrun.roles.stored_runs import StoredRuns
from dagrun.roles.submission import Submission
from dagrun.services.dispatcher import Dispatcher
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.services.executors import Opened
from dagrun.services.journal import Journal
from dagrun.services.monitor import Monitor
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import Plans, always_uses_processes, structuring
from dagrun.services.processes import GuardedProcesses
from dagrun.services.retention import Retention, RunFolders
from dagrun.settings import Settings

__all__ = ["DATABASE", "LOGS", "SCRATCH", "Local", "Submission", "open_local"]

T = TypeVar("T")

DEFAULT_BALANCER: Final = "consistent-hash"

UNBOUNDED: Final = 1_000_000
"""The capacity of an engine that takes every run at once."""


@asynccontextmanager
async def open_local(
    registry: Registry,
    settings: Settings,
    *,
    engines: int = 1,
    capacity: int = UNBOUNDED,
    store: Store | None = None,
    first: Workflow | None = None,
    committed: Watcher = lambda _: None,
    subscribers: Mapping[str, Subscriber] | None = None,
    long_lived: bool = False,
) -> AsyncIterator[Local]:
    """Open the data directory, and run engines until the block is left.

    What is opened last is closed first. So all that the engines have done is still written, and
    told of.

    Args:
        registry: the plugins.
        settings: what the operator chose.
        engines: how many engines.
        capacity: most runs that each has at once.
        store: where to keep journals; None opens the database of the data directory.
        first: what will be submitted at once; if its nodes are sure to need the guard, that starts
            while the database is being opened.
        committed: is told of events when they are durable, and of the journal of a run that is
            taken over.
        subscribers: name → who hears of every event.
        long_lived: delete old runs all along, and not only when somebody asks for it.
    """
    data_dir = settings.data_dir
    running: list[Engine] = []
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(OwnerLock(data_dir))
        processes = await start(stack, GuardedProcesses())
        if first is not None and always_uses_processes(first, registry):
            await processes.start()
        if store is None:
            store = registry.stores.get("sqlite")(path=data_dir / DATABASE)
        await stack.enter_async_context(store)
        monitor = await open_monitor(
            stack, store, lambda run: whereabouts(dispatcher, run), subscribers
        )

        def pass_on(posted: Sequence[Posted]) -> None:
            messages.see(posted)

        async def go_on(run: RunId) -> None:
            await local.go_on(run)

        journal = await start(
            stack,
            Journal(
                store,
                committed=partial(_tell, committed, monitor),
                refused=lambda run, why, _: _abandon(running, dispatcher, run, why),
                posted=pass_on,
            ),
        )
        executors = await start(stack, Opened(factories(registry.executors, settings)))
        providers = await start(stack, Opened(factories(registry.secrets, settings)))
        plans = Plans(registry, executors, providers)
        runs = StoredRuns(
            data_dir=data_dir,
            owner=lock.owner,
            store=store,
            plans=plans,
            pass_on=pass_on,
            go_on=go_on,
        )
        dispatcher = runs.dispatcher = Dispatcher(
            runs=runs, journal=journal, balancer=balancers(registry)
        )
        messages = Messages(data_dir, store, runs)
        registrations = Registrations(store)
        children = StoredChildren(store, registrations)
        workshop = Workshop(
            executors=executors.opened,
            structure=structuring(registry),
            processes=processes,
            logs=NodeLogs(data_dir / LOGS),
            scratch=ScratchSpace(data_dir / SCRATCH),
            providers=providers.opened,
            children=children,
        )
        running += [
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
        scopes = [await _run_engine(stack, engine) for engine in running]
        await start(stack, dispatcher)
        local = Local(
            data_dir=data_dir,
            owner=lock.owner,
            store=store,
            journal=journal,
            monitor=monitor,
            dispatcher=dispatcher,
            engines=running,
            plans=plans,
            registrations=registrations,
            runs=runs,
            processes=processes,
            committed=committed,
            scope=scopes[0],
        )
        children.runs = local
        await start(stack, messages)
        for engine in running:
            dispatcher.add_engine(engine)
            monitor.announce("engine.joined", engine_id=engine.name)
        if long_lived and settings.retention is not None:
            folders = [RunFolders(data_dir / LOGS), RunFolders(data_dir / SCRATCH)]
            await start(stack, Retention(store, folders, keep=settings.retention))
        await start(stack, Control(data_dir, lock.owner, partial(answer, local)))
        yield local


def _tell(committed: Watcher, monitor: Monitor, events: Sequence[Event], position: int) -> None:
    """Tell of events that are durable."""
    committed(events)
    monitor.publish(events, position)


def _abandon(engines: Sequence[Engine], dispatcher: Dispatcher, run: RunId, why: Refusal) -> None:
    """Have nothing more to do with a run whose events the store does not take.

    One that ended a moment after it was to be cancelled is begun anew, and hears of that.
    """
    if why is Refusal.UNSEEN:
        dispatcher.take_back(run, lost=False)
    for engine in engines:
        engine.abandon(run, f"taken over by another process ({why})")


async def _run_engine(stack: AsyncExitStack, engine: Engine) -> trio.CancelScope:
    """Run an engine. Cancelling the scope ends it, and all that is opened after it."""
    nursery = await in_nursery(stack)
    await nursery.start(engine.run)
    return nursery.cancel_scope


def _engine_names(count: int) -> Sequence[str]:
    name = f"{os.uname().nodename}/{os.getpid()}"
    return [name] if count == 1 else [f"{name}/{number}" for number in range(1, count + 1)]


def balancers(
    registry: Registry, settings: object = None, *, default: str = DEFAULT_BALANCER
) -> Callable[[str | None], Balancer]:
    """Give what makes the balancer of a name, or the default one for None."""
    make = factories(registry.balancers, settings)
    return lambda name: make(name or default)()


def factories(shelf: Shelf[T], settings: object) -> Callable[[str], Callable[[], T]]:
    """Give what finds a plugin's factory, with the settings that its class asks for."""

    def find(name: str) -> Callable[[], T]:
        factory = shelf.get(name)
        return partial(factory, **options(factory, settings))

    return find
