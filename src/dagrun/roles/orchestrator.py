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

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.monitoring import STORE_BLOCKED, STORE_UNBLOCKED
from dagrun.domain.remembered import Remembered
from dagrun.domain.workflow import Workflow
from dagrun.errors import DagrunError, NotFound
from dagrun.plugin.registry import Registry
from dagrun.ports.balancer import Balancer
from dagrun.ports.discovery import Discovery
from dagrun.ports.patience import patiently
from dagrun.ports.store import Definition, Posted, Refusal, Store
from dagrun.ports.subscriber import Subscriber
from dagrun.ports.tokens import Gate, Tokens
from dagrun.ports.transport import Offered, Transport
from dagrun.roles.accepting import Accepting
from dagrun.roles.children import StoredChildren
from dagrun.roles.cut_off import take_up
from dagrun.roles.leading import Leading
from dagrun.roles.local import balancers
from dagrun.roles.management.managed import manage
from dagrun.roles.messages import Messages
from dagrun.roles.monitoring import open_monitor, whereabouts
from dagrun.roles.places import DATABASE, LOGS
from dagrun.roles.registrations import Registrations
from dagrun.roles.restart import go_on_with_all
from dagrun.roles.serving import serve, start
from dagrun.roles.stored_runs import StoredRuns
from dagrun.services.discoveries import Discoveries
from dagrun.services.dispatcher import Dispatcher
from dagrun.services.fleet import Fleet
from dagrun.services.gate import TokenGate
from dagrun.services.journal import Journal
from dagrun.services.monitor import Monitor
from dagrun.services.node_logs import NodeLogs
from dagrun.services.node_logs.keeping import Keeping
from dagrun.services.plans import NothingToOpen, Plans
from dagrun.services.retention import Retention, RunFolders

CLOSED: Final = partial(TokenGate, open_without=False)
"""Makes a gate through which nobody comes without a token."""

LOST: Final = "engine.lost"

_log: Final = logging.getLogger(__name__)


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
        monitor = await open_monitor(
            stack, store, lambda run: whereabouts(dispatcher, run), subscribers
        )

        def tell(events: Sequence[Event], position: int) -> None:
            committed(events)
            monitor.publish(events, position)
            fleet.committed(events)

        def pass_on(posted: Sequence[Posted]) -> None:
            messages.see(posted)  # made below, of what needs this

        def refuse(run: RunId, why: Refusal, epoch: int) -> None:
            fleet.refused(run, why, epoch)

        journal = await start(
            stack,
            Journal(
                store,
                committed=tell,
                posted=pass_on,
                refused=refuse,
                troubled=partial(_tell_of_the_disk, monitor),
            ),
        )
        plans = Plans(registry, NothingToOpen(), NothingToOpen())
        runs = StoredRuns(
            data_dir=data_dir,
            owner=owner,
            store=store,
            plans=plans,
            folded=Remembered(),
            pass_on=pass_on,
            go_on=lambda run: take_up(store, runs, dispatcher, run),
        )
        dispatcher = runs.dispatcher = Dispatcher(
            runs=runs,
            journal=journal,
            balancer=balancer or balancers(registry),
            now=now,
            paused=paused,
        )
        messages = Messages(data_dir, store, runs)
        keeping = await start(stack, Keeping(NodeLogs(data_dir / LOGS), partial(_is_known, store)))
        registrations = Registrations(store)
        children = StoredChildren(store, registrations)
        fleet = Fleet(
            lease=lease,
            store=store,
            journal=journal,
            placer=dispatcher,
            definition=partial(_definition, plans),
            pass_on=pass_on,
            children=children,
            log_came=keeping.put,
            announce=partial(_announce, monitor),
        )
        accepting = Accepting(
            store=store,
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
        with fleet.unreachable():
            await go_on_with_all(store, runs, dispatcher, fleet, journal, owner=owner)
        await start(stack, messages)
        messages.see(await store.messages_to_others(owner))
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
            keeping=keeping,
        )
        offered = Offered(
            management=management,
            gate=gate(store),
            register=discoveries.register,
            report=fleet.report,
        )
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


async def _is_known(store: Store, run: RunId) -> bool:
    """Whether a run is stored, as far as the store can say."""
    try:
        await patiently(partial(store.run, run))
    except NotFound:
        return False
    except DagrunError:
        return True
    return True


async def _definition(plans: Plans, workflow: Workflow) -> Definition:
    return (await plans.prepare(workflow)).definition


def _announce(
    monitor: Monitor, kind: str, *, engine_id: str, data: Mapping[str, Any] | None = None
) -> None:
    """Tell people and subscribers of an engine that comes or goes."""
    level = logging.WARNING if kind == LOST else logging.INFO
    _log.log(level, "engine %s: %s", engine_id, kind.removeprefix("engine."))
    monitor.announce(kind, engine_id=engine_id, data=data)


def _tell_of_the_disk(monitor: Monitor, problem: str | None) -> None:
    """Tell people and subscribers that nothing can be written, and when that is over."""
    if problem is None:
        _log.warning("the store can be written to again")
        monitor.announce(STORE_UNBLOCKED)
    else:
        _log.error("nothing can be stored, runs wait and new ones are refused: %s", problem)
        monitor.announce(STORE_BLOCKED, data={"message": problem})
