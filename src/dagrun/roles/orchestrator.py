"""The orchestrator: accepts runs, keeps their journals, and places them on engines elsewhere."""

import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from dagrun.builtin.leadership import LeaderExists, LeaderLock
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.result import RunResult, run_result
from dagrun.domain.status import RUN_ENDED
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConflictError
from dagrun.plugin.registry import Registry
from dagrun.ports.balancer import Balancer
from dagrun.ports.discovery import Discovery
from dagrun.ports.frames import LogChunk
from dagrun.ports.management import Management
from dagrun.ports.store import Definition, Posted, Refusal, Store
from dagrun.ports.subscriber import Subscriber
from dagrun.ports.tokens import Gate, Tokens
from dagrun.ports.transport import Offered, Transport
from dagrun.roles.accepting import Accepting
from dagrun.roles.children import StoredChildren
from dagrun.roles.leading import go_on_with_all
from dagrun.roles.local import balancers
from dagrun.roles.management.managed import manage
from dagrun.roles.places import DATABASE, LOGS
from dagrun.roles.registrations import Registrations
from dagrun.roles.serving import serve, start
from dagrun.roles.stored_runs import StoredRuns
from dagrun.roles.submission import Submission
from dagrun.services.discoveries import Discoveries
from dagrun.services.dispatcher import Dispatcher
from dagrun.services.fleet import EngineView, Fleet
from dagrun.services.gate import TokenGate
from dagrun.services.journal import Journal
from dagrun.services.monitor import Monitor
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import NothingToOpen, Plans
from dagrun.services.retention import Retention, RunFolders
from dagrun.services.subscribers import Subscribers

LOOK: Final = 0.5  # seconds between tries to become the orchestrator

CLOSED: Final = partial(TokenGate, open_without=False)
"""Makes a gate through which nobody comes without a token."""

LOST: Final = "engine.lost"

_log: Final = logging.getLogger(__name__)


@attrs.define(kw_only=True)
class Leading:
    """An orchestrator that leads, and its engines."""

    store: Store
    owner: str
    journal: Journal
    monitor: Monitor
    dispatcher: Dispatcher
    fleet: Fleet
    plans: Plans
    runs: StoredRuns
    registrations: Registrations
    discoveries: Discoveries
    management: Management
    """What clients can ask for."""

    accepting: Accepting
    addresses: Sequence[str] = ()
    """Where it listens for engines and clients."""

    async def submit(self, submission: Submission) -> RunId:
        """Store a run, and let it start when there is room. Returns when it is durable.

        Gives an earlier run if that had the same idempotency key; raises as the same method of a
        program's class.

        Raises:
            QueueFull: too many runs wait already.
        """
        return await self.accepting.submit(submission)

    async def cancel(self, run_id: RunId) -> bool:
        """Cancel a run. Give False if it has ended, or is being cancelled."""
        return await self.dispatcher.cancel(run_id)

    async def pause(self, run_id: RunId) -> bool:
        """Start nothing more of a run. Give False if it has ended or is paused."""
        return await self.dispatcher.pause(run_id)

    async def resume(self, run_id: RunId) -> bool:
        """Go on with a paused run. Give False if it is not paused."""
        return await self.dispatcher.resume(run_id)

    async def result(self, run_id: RunId) -> RunResult:
        """Wait for the end of a run, and tell how it went.

        Raises:
            ConflictError: it was taken over, or this orchestrator is closed before.
        """
        ticket = self.dispatcher.ticket(run_id)
        if ticket is not None:
            await ticket.wait()
            if ticket.abandoned is not None:
                raise ConflictError(f"run {run_id} is left: {ticket.abandoned}")
        record = await self.store.run(run_id)
        if record.status not in RUN_ENDED:
            raise ConflictError(f"the orchestrator was closed before run {run_id} has ended")
        state, _ = await self.runs.restored(record)
        return run_result(state)

    def register(self, address: str) -> None:
        """Know an engine that waits to be dialled at ``host:port``. Does not block.

        Raises:
            ConfigError: no discovery of this orchestrator takes registrations, or it has too many.
        """
        self.discoveries.register(address)

    def engines(self) -> Sequence[EngineView]:
        """List the engines."""
        return self.fleet.engines()


@asynccontextmanager
async def lead(
    data_dir: Path, waits: Callable[[LeaderExists], None] = lambda _: None
) -> AsyncIterator[str]:
    """Wait until no other orchestrator leads, and lead for the length of the block.

    Args:
        data_dir: the data directory.
        waits: is told once by whom it is led for now.
    """
    lock, told = LeaderLock(data_dir), False
    while True:
        try:
            lock.__enter__()
            break
        except LeaderExists as error:
            if not told:
                _log.warning("%s; waiting until it ends", error)
                waits(error)
                told = True
            await trio.sleep(LOOK)
    try:
        yield lock.owner
    finally:
        lock.__exit__()


@asynccontextmanager
async def open_leading(
    registry: Registry,
    *,
    data_dir: Path,
    owner: str,
    lease: float,
    transport: Transport,
    store: Store | None = None,
    committed: Callable[[Sequence[Event]], None] = lambda _: None,
    log_came: Callable[[LogChunk], None] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    balancer: Callable[[str | None], Balancer] | None = None,
    sources: Mapping[str, Discovery] | None = None,
    subscribers: Mapping[str, Subscriber] | None = None,
    longest_pause: float = 10.0,
    draw: Callable[[], float] = random.random,
    draw_bytes: Callable[[int], bytes] = secrets.token_bytes,
    queue_limit: int = 100_000,
    paused: bool = False,
    retention: float | None = None,
    gate: Callable[[Tokens], Gate] = CLOSED,
) -> AsyncIterator[Leading]:
    """Run an orchestrator that leads until the block is left. What is opened last is closed first.

    Args:
        registry: the plugins.
        data_dir: where state lives.
        owner: under which name it stands in its runs' rows.
        lease: seconds after which a silent engine loses its runs.
        transport: how engines reach it.
        store: where to keep journals; None opens the database of the data directory.
        committed: is told of events when they are durable.
        log_came: keeps the logs that engines send; without it, they go to the data directory.
        now: the clock, in UTC.
        balancer: makes the balancer of a name, or the default one for None; else the registry does.
        sources: name → what finds engines that wait to be dialled.
        subscribers: name → who hears of every event.
        longest_pause: seconds between two tries to reach such an engine, at most.
        draw: gives random numbers in [0, 1).
        draw_bytes: gives random bytes, for the ids of runs.
        queue_limit: most runs that wait for an engine.
        paused: whether no run is given to an engine for now.
        retention: seconds for which ended runs are kept; None for ever.
        gate: makes what decides on calls from outside, from the tokens that are stored.
    """
    async with AsyncExitStack() as stack:
        if store is None:
            store = registry.stores.get("sqlite")(path=data_dir / DATABASE)
        await stack.enter_async_context(store)
        monitor = Monitor(
            store,
            lambda run: _whereabouts(dispatcher, run),
            position=await store.last_position(),
        )
        hearing = await start(stack, Subscribers(subscribers or {}, monitor.subscribe_pages))
        stack.callback(hearing.hurry)
        stack.callback(monitor.close)

        def tell(events: Sequence[Event], position: int) -> None:
            committed(events)
            monitor.publish(events, position)
            fleet.committed(events)

        def pass_on(posted: Sequence[Posted]) -> None:
            for post in posted:
                dispatcher.tell(post.run_id, post.message)

        def refuse(run: RunId, why: Refusal, epoch: int) -> None:
            fleet.refused(run, why, epoch)

        journal = await start(
            stack,
            Journal(
                store,
                committed=tell,
                posted=pass_on,
                refused=refuse,
            ),
        )
        plans = Plans(registry, NothingToOpen(), NothingToOpen())
        runs = StoredRuns(data_dir=data_dir, owner=owner, store=store, plans=plans)
        dispatcher = runs.dispatcher = Dispatcher(
            runs=runs,
            journal=journal,
            balancer=balancer or balancers(registry),
            now=now,
            paused=paused,
        )
        registrations = Registrations(store)
        children = StoredChildren(store, registrations)
        fleet = Fleet(
            orchestrator=secrets.token_hex(8),
            lease=lease,
            store=store,
            journal=journal,
            placer=dispatcher,
            definition=partial(_definition, plans),
            children=children,
            log_came=log_came or partial(_keep, NodeLogs(data_dir / LOGS)),
            announce=partial(_announce, monitor),
        )
        accepting = Accepting(
            plans=plans,
            journal=journal,
            dispatcher=dispatcher,
            owner=owner,
            limit=queue_limit,
            now=now,
            draw_bytes=draw_bytes,
        )
        children.runs = accepting
        await start(stack, fleet)
        await start(stack, dispatcher)
        await go_on_with_all(store, runs, dispatcher, fleet, journal, owner=owner)
        discoveries = Discoveries(
            sources or {},
            dial=transport.dial,
            converse=fleet.converse,
            longest_pause=longest_pause,
            draw=draw,
        )
        management = manage(
            registry,
            data_dir=data_dir,
            store=store,
            plans=plans,
            stored=runs,
            dispatcher=dispatcher,
            fleet=fleet,
            monitor=monitor,
            registrations=registrations,
            submit=accepting.submit,
        )
        leading = Leading(
            store=store,
            management=management,
            accepting=accepting,
            owner=owner,
            journal=journal,
            monitor=monitor,
            dispatcher=dispatcher,
            fleet=fleet,
            plans=plans,
            runs=runs,
            registrations=registrations,
            discoveries=discoveries,
        )
        offered = Offered(management=management, gate=gate(store), register=discoveries.register)
        await stack.enter_async_context(transport)
        leading.addresses = [
            await serve(
                stack, partial(transport.serve_orchestrator, fleet.converse, offered=offered)
            )
        ]
        await start(stack, discoveries)
        if retention is not None:
            folders = [RunFolders(data_dir / LOGS)]
            await start(stack, Retention(store, folders, keep=retention))
        yield leading


async def _definition(plans: Plans, workflow: Workflow) -> Definition:
    return (await plans.prepare(workflow)).definition


def _keep(logs: NodeLogs, chunk: LogChunk) -> None:
    """Write down a piece of a log."""
    logs.put(
        chunk.run_id,
        chunk.node_id,
        chunk.attempt,
        chunk.item,
        epoch=chunk.epoch,
        offset=chunk.offset,
        data=chunk.data,
    )


def _announce(
    monitor: Monitor, kind: str, *, engine_id: str, data: Mapping[str, Any] | None = None
) -> None:
    """Tell people and subscribers of an engine that comes or goes."""
    level = logging.WARNING if kind == LOST else logging.INFO
    _log.log(level, "engine %s: %s", engine_id, kind.removeprefix("engine."))
    monitor.announce(kind, engine_id=engine_id, data=data)


def _whereabouts(dispatcher: Dispatcher, run: RunId) -> tuple[str | None, str | None]:
    """Give the workflow of a run, and the engine that has it."""
    ticket = dispatcher.ticket(run)
    if ticket is None:
        return None, None
    return ticket.workflow.id, None if ticket.engine is None else ticket.engine.name
