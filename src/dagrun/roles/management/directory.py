"""A data directory, looked into beside the processes that use it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import Any

import attrs

from dagrun.domain.events import Event
from dagrun.domain.plan import compile_plan
from dagrun.domain.state import RunState
from dagrun.errors import ConfigError, NoSuchRun
from dagrun.plugin.registry import Registry
from dagrun.ports.engine import EngineView
from dagrun.ports.management import Management, RunSummary, WorkflowManagement
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.beside import tell_leader
from dagrun.roles.management.events import StoredEvents
from dagrun.roles.management.looks import Looks
from dagrun.roles.management.shared_runs import SharedRuns
from dagrun.roles.owners import is_cut_off
from dagrun.roles.places import DATABASE, LOGS
from dagrun.roles.registrations import Registrations
from dagrun.roles.run_logs import RunLogs
from dagrun.roles.stored_runs import restore, stored_workflow
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import NothingToOpen, Plans, handling
from dagrun.settings import Settings


@asynccontextmanager
async def open_data_directory(
    registry: Registry, settings: Settings, *, makes: bool = False
) -> AsyncIterator[Management]:
    """Look into a data directory for the length of the block.

    Args:
        registry: the plugins.
        settings: where it is, and how a run is executed that has no process and is cancelled.
        makes: whether the database is made if it is missing; else there is nothing in it.
    """
    file = settings.data_dir / DATABASE
    kept = registry.stores.get("sqlite")
    store = kept(path=file) if makes or file.exists() else registry.stores.get("memory")()
    async with store:
        yield DataDirectory(
            registry=registry,
            store=store,
            runs=DirectoryRuns(
                data_dir=settings.data_dir,
                store=store,
                restored=_restoring(registry, store),
                looks=Looks(store, settings.data_dir),
                run_logs=RunLogs(NodeLogs(settings.data_dir / LOGS)),
                registry=registry,
                settings=settings,
            ),
            events=StoredEvents(store),
            engines=NoEngines(),
        )


@attrs.frozen(kw_only=True)
class DirectoryRuns(SharedRuns):
    """Implements :class:`~dagrun.ports.management.RunManagement`, but that it starts no run."""

    registry: Registry
    settings: Settings

    async def start(
        self,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunSummary:
        """Refuse: nobody would execute it."""
        raise _needs_orchestrator("a run of a registered workflow")

    async def retry(
        self, run_id: str, *, priority: int | None = None, idempotency_key: str | None = None
    ) -> RunSummary:
        """Refuse: nobody would execute it."""
        raise _needs_orchestrator("a run that is run again")

    async def rerun(
        self,
        run_id: str,
        *,
        from_node: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunSummary:
        """Refuse: nobody would execute it."""
        raise _needs_orchestrator("a run that is run again")

    async def start_child(
        self,
        parent_run_id: str,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
    ) -> RunSummary:
        """Refuse: nobody would execute it."""
        raise _needs_orchestrator("a run that is started for another one")

    async def _cancel(self, record: RunRecord) -> bool:
        """Cancel a run. One that was cut off ends in this process, with its handlers."""
        if not is_cut_off(self.data_dir, record):
            return await super()._cancel(record)
        from dagrun.roles.local import open_local  # noqa: PLC0415 — few runs were cut off

        async with open_local(self.registry, self.settings) as local:
            changed = await local.cancel(record.run_id)
            if (ticket := local.dispatcher.ticket(record.run_id)) is not None:
                await ticket.wait()
            return changed

    async def _record(self, run_id: str) -> RunRecord:
        try:
            return await super()._record(run_id)
        except NoSuchRun as error:
            raise NoSuchRun(error.run_id, self.data_dir) from error


class NoEngines:
    """Implements :class:`~dagrun.ports.management.EngineManagement` where nobody knows of engines."""

    async def list(self) -> Sequence[EngineView]:
        """Refuse."""
        raise _needs_orchestrator("a list of engines")

    async def drain(self, engine_id: str, *, on: bool) -> EngineView:
        """Refuse."""
        raise _needs_orchestrator("draining an engine")


@attrs.frozen(kw_only=True)
class DataDirectory:
    """Implements :class:`~dagrun.ports.management.Management`."""

    registry: Registry
    store: Store
    runs: DirectoryRuns
    events: StoredEvents
    engines: NoEngines

    @cached_property
    def workflows(self) -> WorkflowManagement:
        """The registered workflows."""
        from dagrun.roles.management.workflows import manage_workflows  # noqa: PLC0415 — few look

        plans = Plans(self.registry, NothingToOpen(), NothingToOpen())
        registrations = Registrations(self.store)
        return manage_workflows(
            self.registry,
            self.store,
            registrations,
            plans,
            partial(tell_leader, self.runs.data_dir),
        )


def _restoring(
    registry: Registry, store: Store
) -> Callable[[RunRecord], Awaitable[tuple[RunState, Sequence[Event]]]]:
    """Give what reads a run, although a plugin may be gone that it needs."""
    handle = handling(registry)

    async def restored(record: RunRecord) -> tuple[RunState, Sequence[Event]]:
        plan = compile_plan(await stored_workflow(store, record), handle)
        return await restore(store, record, plan)

    return restored


def _needs_orchestrator(what: str) -> ConfigError:
    return ConfigError(f"{what} needs a running orchestrator")
