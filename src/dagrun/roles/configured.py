"""The two roles as an operator's settings want them."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Final

from dagrun.builtin.control import Control
from dagrun.errors import ConfigError
from dagrun.plugin.registry import Registry
from dagrun.roles.beside import answer_beside
from dagrun.roles.documents import read_to_send, register_read
from dagrun.roles.engine import Working, open_engine
from dagrun.roles.leadership import lead
from dagrun.roles.leading import Leading
from dagrun.roles.local import balancers, factories
from dagrun.roles.network import check_exposure, from_here, is_loopback, make_transport
from dagrun.roles.orchestrator import open_leading
from dagrun.roles.serving import start
from dagrun.roles.stores import has_tokens, make_store
from dagrun.services.attachment import Identity
from dagrun.services.gate import TokenGate
from dagrun.services.workflow_folder import WorkflowFolder
from dagrun.settings.engine import ENGINE_PORT, EngineSettings
from dagrun.settings.orchestrator import OrchestratorSettings

STATIC: Final = "static"
"""The discovery that finds the engines of a list."""

_log: Final = logging.getLogger(__name__)


@asynccontextmanager
async def open_configured_orchestrator(
    registry: Registry, settings: OrchestratorSettings, *, insecure: bool = False
) -> AsyncIterator[Leading]:
    """Wait until no other orchestrator leads, and be one for the length of the block.

    Args:
        registry: the plugins.
        settings: what the operator chose.
        insecure: whether everybody on other machines may do everything while there is no token.

    Raises:
        ConfigError: something that was chosen is not installed, or cannot be used.
    """
    transport = make_transport(registry, settings, port=settings.grpc_port)
    place = make_store(registry, settings.store, settings.data_dir)
    registry.balancers.get(settings.load_balancer_type)
    _check_list(settings)
    make_source = factories(registry.discoveries, settings)
    sources = {name: make_source(name)() for name in settings.discovery}
    make_subscriber = factories(registry.subscribers, settings)
    subscribers = {name: make_subscriber(name)() for name in settings.subscribers}
    async with (
        lead(place.directory) as lock,
        _knowing_callers(registry, settings, insecure=insecure),
        open_leading(
            registry,
            data_dir=settings.data_dir,
            owner=lock.owner,
            lease=settings.lease,
            transport=transport,
            store=place.store,
            balancer=balancers(registry, settings, default=settings.load_balancer_type),
            sources=sources,
            subscribers=subscribers,
            longest_pause=settings.engine_health_check_interval,
            queue_limit=settings.queue_limit,
            paused=settings.paused,
            retention=settings.retention,
            gate=partial(
                TokenGate,
                open_without=insecure or is_loopback(settings.grpc_address),
                engines=settings.token,
            ),
        ) as leading,
        AsyncExitStack() as stack,
    ):
        await start(stack, Control(place.directory, lock.owner, partial(answer_beside, leading)))
        if settings.workflows is not None:
            register = partial(register_read, leading.management.workflows)
            await start(
                stack, WorkflowFolder(settings.workflows, read=read_to_send, register=register)
            )
        lock.note(from_here(leading.addresses[0]))
        yield leading


def _check_list(settings: OrchestratorSettings) -> None:
    """Refuse to look for the engines of an empty list, and for no others.

    Raises:
        ConfigError: there is nothing else that could find any.
    """
    if STATIC not in settings.discovery or settings.engines:
        return
    problem = (
        "the discovery static has no engine to dial: name some with --engines, or DAGRUN_ENGINES"
    )
    if set(settings.discovery) == {STATIC}:
        raise ConfigError(problem)
    _log.warning(problem)


@asynccontextmanager
async def _knowing_callers(
    registry: Registry, settings: OrchestratorSettings, *, insecure: bool
) -> AsyncIterator[None]:
    """Refuse to listen for other machines if nothing tells who calls.

    Raises:
        ConfigError: there is no token, and no authority either.
    """
    if not (insecure or is_loopback(settings.grpc_address)):
        place = make_store(registry, settings.store, settings.data_dir)
        check_exposure(settings, insecure=insecure, has_tokens=await has_tokens(place))
    yield


@asynccontextmanager
async def open_configured_engine(
    registry: Registry, settings: EngineSettings
) -> AsyncIterator[Working]:
    """Be an engine for the length of the block.

    Raises:
        ConfigError: something that was chosen is not installed, or cannot be used.
    """
    port = ENGINE_PORT if settings.port is None else settings.port
    identity = Identity(
        engine_id=settings.engine_id,
        instance=secrets.token_hex(8),
        release=version("dagrun-core"),
        capacity=settings.capacity,
        executors=tuple(sorted(entry.name for entry in registry.executors)),
        labels=settings.labels,
        resources=settings.resources,
    )
    async with open_engine(
        registry,
        settings,
        identity=identity,
        transport=make_transport(registry, settings, port=port),
        orchestrator=settings.orchestrator,
        listens=settings.port is not None,
    ) as working:
        yield working
