"""An engine: executes the runs that an orchestrator elsewhere gives it."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import attrs
import trio

from dagrun.domain.plan import Plan
from dagrun.errors import ChannelLost, ConfigError
from dagrun.plugin.registry import Registry
from dagrun.ports.store import Definition
from dagrun.ports.transport import Channel, EngineOffered, Transport
from dagrun.roles.local import factories
from dagrun.roles.serving import serve, start
from dagrun.services.attachment import Attachment, Identity, Lease, Shipping
from dagrun.services.attachment.dialling import Dialling
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.services.engine_folders import LOGS, SCRATCH, engine_folder
from dagrun.services.executors import Opened
from dagrun.services.journal.recent import RecentEvents
from dagrun.services.journal.uplink import Uplink
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import Plans, structuring
from dagrun.services.processes import GuardedProcesses

ENGINES: Final = "engines"


class Chosen(Protocol):
    """What an engine needs of its settings, besides what plugins ask for."""

    @property
    def data_dir(self) -> Path:
        """Where files of runs are, and logs until the orchestrator has them."""
        ...

    @property
    def parallel(self) -> int:
        """Most process nodes at once."""
        ...


@attrs.define(kw_only=True)
class Working:
    """An engine that works for an orchestrator elsewhere."""

    engine: Engine
    attachment: Attachment
    address: str | None
    """Where it listens; None when it does not."""

    async def hand_over(self, grace: float) -> None:
        """Take and start nothing more; give all runs back when no node is running any more.

        Args:
            grace: seconds that running nodes get; then they are killed, to be made again elsewhere.
                What they wrote, and what is recorded of them, gets as long to arrive.
        """
        self.attachment.drain()
        self.engine.hold()
        with trio.move_on_after(grace):
            await self.engine.wait_idle()
        with trio.move_on_after(grace):
            await self.attachment.hand_over()
            await self.engine.wait_idle()
            await self.attachment.logs_arrived()


@asynccontextmanager
async def open_engine(
    registry: Registry,
    settings: Chosen,
    *,
    identity: Identity,
    transport: Transport,
    orchestrator: str | None,
    listens: bool = False,
    lease: Lease | None = None,
    draw: Callable[[], float] = random.random,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Working]:
    """Run an engine until the block is left. What is opened last is closed first.

    Args:
        registry: the plugins.
        settings: what the operator chose.
        identity: who the engine is.
        transport: how it reaches its orchestrator.
        orchestrator: the address to dial; None waits to be dialled.
        listens: whether to answer, while it dials, those who ask how it is. Streams are refused.
        lease: another one than of the machine's clock.
        draw: gives random numbers in [0, 1).
        now: the clock, in UTC.
    """
    lease = lease or Lease()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_folder(settings.data_dir))
        logs = Shipping(NodeLogs(folder / LOGS, by_epoch=True))
        processes = await start(stack, GuardedProcesses())
        executors = await start(stack, Opened(factories(registry.executors, settings)))
        providers = await start(stack, Opened(factories(registry.secrets, settings)))
        plans = Plans(registry, executors, providers)
        recent = RecentEvents(identity.instance)
        uplink = Uplink(lease.fenced, recent)
        scratch = ScratchSpace(folder / SCRATCH)
        attachment = Attachment(
            uplink=uplink,
            logs=logs,
            lease=lease,
            identity=identity,
            compile_plan=partial(_plan, plans),
            kill=partial(processes.kill_all, for_good=False),
            renewed=processes.fence_at,
            healthy=scratch.usable,
        )
        scratch.call_when_changed(attachment.say_health)
        engine = Engine(
            name=identity.engine_id,
            journal=uplink,
            workshop=Workshop(
                executors=executors.opened,
                structure=structuring(registry),
                processes=processes,
                logs=logs,
                scratch=scratch,
                passing=True,
                providers=providers.opened,
                children=attachment.children,
            ),
            parallel=settings.parallel,
            capacity=identity.capacity,
            listener=attachment.runs,
            draw=draw,
            now=now,
        )
        attachment.speak_for(engine)
        await start(stack, engine)
        await start(stack, attachment)
        await stack.enter_async_context(transport)
        offered = EngineOffered(report=attachment.report, hear=attachment.take, events=recent)
        address = None
        if orchestrator is None:
            handler = partial(_converse_unless_heard, attachment)
            address = await serve(stack, partial(transport.serve_engine, handler, offered=offered))
        else:
            if listens:
                address = await serve(
                    stack, partial(transport.serve_engine, _refuse, offered=offered)
                )
            await start(
                stack, Dialling(attachment, partial(transport.attach, orchestrator), draw=draw)
            )
        yield Working(engine=engine, attachment=attachment, address=address)


async def _converse_unless_heard(attachment: Attachment, channel: Channel) -> None:
    """Talk with an orchestrator that dialled, unless one answers already.

    An engine may be found under several addresses, such as one of each family. Streams to all of
    them would take its conversation from each other.
    """
    if attachment.heard:
        raise ChannelLost("this engine talks with an orchestrator on another stream")
    await attachment.converse(channel)


async def _refuse(_channel: Channel) -> None:
    raise ChannelLost("this engine dials its orchestrator itself")


async def _plan(plans: Plans, definition: Definition) -> Plan:
    return (await plans.restore(definition)).plan


@contextmanager
def _folder(data_dir: Path) -> Iterator[Path]:
    """Give a folder in the data directory that no other engine uses, for the length of the block."""
    with ExitStack() as stack:
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = stack.enter_context(engine_folder(data_dir / ENGINES))
        except OSError as error:
            raise ConfigError(
                f"the data directory {data_dir}: {error.strerror or error}"
            ) from error
        yield folder
