"""dagrun inside a Python program: :func:`open_orchestrator`."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import trio

from dagrun.errors import ConfigError, sole
from dagrun.plugin.loading import load_plugins
from dagrun.plugin.registry import Registry
from dagrun.ports.subscriber import Subscriber
from dagrun.roles.documents import catalogue
from dagrun.roles.local import factories, open_local
from dagrun.roles.program import Orchestrator
from dagrun.roles.workflows import Workflows
from dagrun.settings import Settings, parse, read_settings
from dagrun.workers import importing


@asynccontextmanager
async def open_orchestrator(
    *,
    data_dir: Path | str | None = None,
    engines: int = 1,
    capacity: int = 10,
    parallel: int | None = None,
    http_allow: str | Sequence[str] | None = None,
    secrets_dir: Path | str | None = None,
    retention: float | str | None = None,
    store: Literal["sqlite", "memory"] = "sqlite",
    subscribers: str | Sequence[str] = (),
) -> AsyncIterator[Orchestrator]:
    """Run workflows in this program, for as long as the ``async with`` block lasts. Needs trio.

    What is not given comes from the environment and ``dagrun.toml``, as for the command line. When
    the block is left, runs that have not ended are cut off, and stay in the store to be gone on
    with: :meth:`~dagrun.roles.program.Orchestrator.recover`, or ``dagrun run --resume``.

    Args:
        data_dir: where state lives.
        engines: how many engines execute the runs.
        capacity: most runs that an engine has at once; others wait in the queue.
        parallel: most child processes that the nodes of an engine occupy at once.
        http_allow: hosts, addresses and networks that ``http`` nodes may reach although they are
            not public.
        secrets_dir: where the provider ``file`` finds secrets.
        retention: how long runs are kept after their end: seconds, ``"30d"`` or ``"forever"``.
        store: ``memory`` keeps nothing, for tests; logs and scratch files are on disk all the same.
        subscribers: names of plugins that hear of every event, such as ``log``.

    Raises:
        ConfigError: a setting is wrong, or the data directory cannot be used.
        StoreError: the database cannot be used.
        RuntimeError: it is called under asyncio.
    """
    _refuse_asyncio()
    _refuse_import()
    for name, value in (("engines", engines), ("capacity", capacity)):
        if not 1 <= value <= 1_000_000:
            raise ConfigError(f"{name}: a number from 1 to 1000000 is needed, not {value!r}")
    given = {
        "data_dir": data_dir,
        "parallel": parallel,
        "http_allow": http_allow,
        "secrets_dir": secrets_dir,
        "retention": retention,
    }
    settings = read_settings(given, environ=os.environ)
    registry = load_plugins().registry
    kept = None if store == "sqlite" else registry.stores.get(store)()
    hearing = _subscribers(subscribers, registry, settings)
    try:
        async with open_local(
            registry,
            settings,
            engines=engines,
            capacity=capacity,
            store=kept,
            subscribers=hearing,
            long_lived=True,
        ) as local:
            workflows = Workflows(
                local.store, local.registrations, local.plans, catalogue(registry)
            )
            yield Orchestrator(local, workflows)
    except BaseExceptionGroup as group:
        # Each service has a nursery; what the block raised should leave it as it was raised.
        cause = sole(group)
        raise cause from cause.__cause__


def _subscribers(
    names: str | Sequence[str], registry: Registry, settings: Settings
) -> Mapping[str, Subscriber]:
    make = factories(registry.subscribers, settings)
    try:
        return {name: make(name)() for name in parse.names(names)}
    except ValueError as error:
        raise ConfigError(f"subscribers: {error}, not {names!r}") from error


def _refuse_asyncio() -> None:
    """Say what to do under another event loop, before trio ends it with a riddle."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "open_orchestrator needs trio: start the program with trio.run(main). Under asyncio, "
            "take open_sync_orchestrator, and call its methods by asyncio.to_thread"
        )


def _refuse_import() -> None:
    """Refuse to do all that a program does once more, in a worker that looks for its functions."""
    if importing.module is not None:
        raise ConfigError(
            f"{importing.module} is being imported for one of its functions, and starts dagrun again: "
            'put what the program does under `if __name__ == "__main__":`'
        )
