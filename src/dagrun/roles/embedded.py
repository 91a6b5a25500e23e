"""dagrun inside a Python program: :func:`open_orchestrator`."""

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from dagrun.builtin.ownership import owner_pid
from dagrun.domain.document.built import check_workflow
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.jsonvalue import encode
from dagrun.domain.result import RunResult, run_result
from dagrun.domain.schema import check_inputs
from dagrun.domain.serialize import from_json
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.domain.versions import current
from dagrun.domain.workflow import Workflow
from dagrun.errors import (
    ConfigError,
    ConflictError,
    DefinitionError,
    NotFound,
    StoreCorrupt,
    sole,
)
from dagrun.plugin.loading import load_plugins
from dagrun.ports.store import Registration, RunRecord
from dagrun.roles.documents import catalogue, load_file, load_text
from dagrun.roles.local import Local, Submission, open_local
from dagrun.roles.submission import folder_name
from dagrun.services.dispatcher import Ticket
from dagrun.services.monitor import Monitor
from dagrun.settings import Settings, read_settings
from dagrun.workers import importing

_log: Final = logging.getLogger(__name__)

Source = Workflow | Callable[[], Workflow] | Path | str
"""A workflow, a function that builds one, the path of a document, or its text.

A text of one line is taken for a path.
"""


@attrs.frozen(kw_only=True)
class Registered:
    """What came of a registration."""

    workflow_id: str
    version: str
    created: bool
    """False when the same content was registered before."""


@attrs.frozen(kw_only=True)
class RunSummary:
    """A run in a list, with the names of ``runs list --json``."""

    run_id: str
    workflow_id: str
    version: str
    status: RunStatus
    resumable: bool
    """Whether it was cut off: it has not ended, and its process has."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: Mapping[str, str] | None


class Run:
    """A run that was started, from :meth:`Orchestrator.start_workflow`."""

    def __init__(self, local: Local, ticket: Ticket) -> None:
        self._local, self._ticket = local, ticket

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._ticket.run_id

    async def result(self) -> RunResult:
        """Wait for the end, and tell how the run went. A failure is told, not raised.

        Raises:
            ConflictError: another process took the run over.
        """
        return await self._local.result(self._ticket)


class Orchestrator:
    """Workflows, runs and events of one data directory. Made by :func:`open_orchestrator`."""

    def __init__(self, local: Local, known: Catalogue) -> None:
        self._local = local
        self._known = known
        self._workflows: dict[tuple[str, str], tuple[Workflow, Path | None]] = {}
        """Id and version → workflow, and the folder in which its functions and programs are."""

    @property
    def monitor(self) -> Monitor:
        """Tells of what happens, see :meth:`~dagrun.services.monitor.Monitor.subscribe`."""
        return self._local.monitor

    # workflows

    async def register_workflow(
        self, source: Source, *, metadata: Mapping[str, Any] | None = None
    ) -> Registered:
        """Keep a version of a workflow under its id. A version never changes.

        Args:
            source: a workflow, a function that builds one, the path of a document, or its text; a
                text of one line is taken for a path.
            metadata: anything that JSON can hold, to be kept with it.

        Raises:
            DefinitionError: it is wrong; ``problems`` says all that is.
            ConflictError: the version is registered with another content.
        """
        workflow, base = self._read(source)
        prepared = await self._local.plans.prepare(workflow)
        registration = Registration(
            workflow_id=workflow.id,
            version=workflow.version,
            definition_hash=prepared.definition.hash,
            metadata=None if metadata is None else encode(dict(metadata)),
            base=folder_name(base),
            registered_at=datetime.now(UTC),
        )
        created = await self._local.store.register(registration, prepared.definition)
        self._workflows[workflow.id, workflow.version] = workflow, base
        if created:
            self.monitor.announce(
                "workflow.registered", workflow_id=workflow.id, data={"version": workflow.version}
            )
        return Registered(workflow_id=workflow.id, version=workflow.version, created=created)

    def _read(self, source: Source) -> tuple[Workflow, Path | None]:
        if isinstance(source, str) and "\n" in source:
            return load_text(source, self._known), None
        if isinstance(source, Path | str):
            file = Path(source)
            return load_file(file, self._known), file.absolute().parent
        workflow = source if isinstance(source, Workflow) else source()
        if not isinstance(workflow, Workflow):
            raise TypeError(f"a Workflow is needed, not {type(workflow).__name__}")
        if problems := check_workflow(workflow, self._known):
            raise DefinitionError(problems)
        return workflow, _program_folder()

    # runs

    async def start_workflow(
        self,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Accept a run of a registered workflow. It is durable when this returns.

        Args:
            workflow_id: the workflow.
            inputs: for the run; checked against the workflow's schema.
            version: None takes the current one, the highest that is no pre-release.
            priority: None takes the workflow's; higher goes first.
            idempotency_key: calls with the same key, within 24 hours, are one run. A run that was
                cut off with its process goes on.

        Raises:
            NotFound: there is no such workflow or version.
            InputError: the inputs do not fit.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
            ConflictError: the idempotency key was used with other inputs.
            StoreFull: there is no room on the disk; nothing was written.
        """
        workflow, base = await self._find(workflow_id, version)
        ticket = await self._local.submit(
            Submission(
                workflow=workflow,
                inputs=check_inputs(workflow.inputs, inputs or {}),
                base=base,
                priority=priority,
                idempotency_key=idempotency_key,
            )
        )
        return Run(self._local, ticket)

    async def execute_workflow(
        self,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunResult:
        """Start a run, wait for its end, and tell how it went. A failure is told, not raised.

        A caller that is cancelled leaves the run going. Arguments and errors are those of
        :meth:`start_workflow`.
        """
        run = await self.start_workflow(
            workflow_id,
            inputs,
            version=version,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        return await run.result()

    async def get_run(self, run_id: str) -> RunResult:
        """Tell how a run stands, or how it went, as far as it is on disk.

        Raises:
            NotFound: there is no such run.
        """
        state, _ = await self._local.runs.restored(await self._local.store.run(_run_id(run_id)))
        return run_result(state)

    async def list_runs(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunSummary], str | None]:
        """Give runs, newest first, and the cursor of the next page or None."""
        records, following = await self._local.store.runs(
            workflow_id=workflow_id,
            status=None if status is None else RunStatus(status),
            limit=limit,
            cursor=cursor,
        )
        return [self._summary(record) for record in records], following

    def _summary(self, record: RunRecord) -> RunSummary:
        live = record.status not in RUN_ENDED
        return RunSummary(
            run_id=record.run_id,
            workflow_id=record.workflow_id,
            version=record.version,
            status=record.status,
            resumable=live and owner_pid(self._local.data_dir, record.owner) is None,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
            error=record.error,
        )

    async def cancel(self, run_id: str) -> bool:
        """Cancel a run, also of another process. Give False if it has ended, or ends already.

        Raises:
            NotFound: there is no such run.
        """
        return await self._local.cancel(_run_id(run_id))

    async def pause(self, run_id: str) -> bool:
        """Start nothing more of a run. Give False if it has ended or is paused.

        Raises:
            NotFound: there is no such run.
            ConflictError: its process has ended.
        """
        return await self._local.pause(_run_id(run_id))

    async def resume(self, run_id: str) -> bool:
        """Go on with a paused run. Give False if it is not paused.

        Raises:
            NotFound: there is no such run.
            ConflictError: its process has ended.
        """
        return await self._local.resume(_run_id(run_id))

    async def recover(self, *, workflow_id: str | None = None) -> list[Run]:
        """Go on with the runs of programs that have ended before their runs did.

        A run that was paused stays paused, until :meth:`resume`. One that cannot be gone on with,
        as it is damaged or needs a plugin that is missing, is left, with a warning in the log of
        :mod:`logging`. Runs that somebody else goes on with meanwhile are left, too.

        Args:
            workflow_id: only the runs of this workflow; None takes all of the data directory, those
                of ``dagrun run`` among them.
        """
        found = []
        for status in RunStatus:
            if status not in RUN_ENDED:
                found += await self._in_status(status, workflow_id)
        tickets = [await self._recovered(run_id) for run_id in sorted({r.run_id for r in found})]
        return [Run(self._local, ticket) for ticket in tickets if ticket is not None]

    async def _recovered(self, run_id: RunId) -> Ticket | None:
        if self._local.dispatcher.ticket(run_id) is not None:
            return None
        try:
            return await self._local.go_on(run_id, resume=False)
        except (ConflictError, NotFound):  # it has ended, or somebody else has it
            return None
        except (StoreCorrupt, ConfigError, DefinitionError) as error:
            _log.warning("run %s cannot be gone on with: %s", run_id, error)
            return None

    async def _in_status(self, status: RunStatus, workflow_id: str | None) -> list[RunRecord]:
        found: list[RunRecord] = []
        cursor: str | None = None
        while True:
            page, cursor = await self._local.store.runs(
                workflow_id=workflow_id, status=status, cursor=cursor
            )
            found += page
            if cursor is None:
                return found

    async def _find(self, workflow_id: str, version: str | None) -> tuple[Workflow, Path | None]:
        """Give a registered workflow, and the folder of its document or program.

        That is this program's, if it has registered the workflow, and else the first one's.
        """
        known = {r.version: r for r in await self._local.store.registrations(workflow_id)}
        wanted = current(known) if version is None else version
        if wanted is None or wanted not in known:
            raise NotFound(_not_registered(workflow_id, version, list(known)))
        found = self._workflows.get((workflow_id, wanted))
        if found is None:
            registration = known[wanted]
            definition = await self._local.store.definition(registration.definition_hash)
            base = Path(registration.base) if registration.base else None
            found = self._workflows[workflow_id, wanted] = from_json(definition.body), base
        return found


def _not_registered(workflow_id: str, version: str | None, known: Sequence[str]) -> str:
    if not known:
        return f"no workflow {workflow_id!r} is registered"
    if version is None:
        return f"{workflow_id} has pre-releases only ({', '.join(known)}); name one as the version"
    return f"{workflow_id} has no version {version!r}; registered: {', '.join(known)}"


def _run_id(text: str) -> RunId:
    if not is_id(text):
        raise NotFound(f"there is no run {text!r}")
    return RunId(text)


def _program_folder() -> Path | None:
    """Give the folder of the program that runs: where its functions are found by workers."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return None if file is None else Path(file).absolute().parent


@asynccontextmanager
async def open_orchestrator(
    *,
    data_dir: Path | str | None = None,
    engines: int = 1,
    capacity: int = 10,
    parallel: int | None = None,
    store: Literal["sqlite", "memory"] = "sqlite",
) -> AsyncIterator[Orchestrator]:
    """Run workflows in this program, for as long as the ``async with`` block lasts. Needs trio.

    What is not given comes from the environment and ``dagrun.toml``, as for the command line. When
    the block is left, runs that have not ended are cut off, and stay in the store to be gone on
    with: :meth:`Orchestrator.recover`, or ``dagrun run --resume``.

    Args:
        data_dir: where state lives.
        engines: how many engines execute the runs.
        capacity: most runs that an engine has at once; others wait in the queue.
        parallel: most child processes that the nodes of an engine occupy at once.
        store: ``memory`` keeps nothing, for tests; logs and scratch files are on disk all the same.

    Raises:
        ConfigError: a setting is wrong, or the data directory cannot be used.
        StoreError: the database cannot be used.
    """
    _refuse_import()
    for name, value in (("engines", engines), ("capacity", capacity)):
        if not 1 <= value <= 1_000_000:
            raise ConfigError(f"{name}: a number from 1 to 1000000 is needed, not {value!r}")
    settings = _settings(data_dir, parallel)
    registry = load_plugins().registry
    kept = None if store == "sqlite" else registry.stores.get(store)()
    try:
        async with open_local(
            registry, settings, engines=engines, capacity=capacity, store=kept
        ) as local:
            yield Orchestrator(local, catalogue(registry))
    except BaseExceptionGroup as group:
        # Each service has a nursery; what the block raised should leave it as it was raised.
        cause = sole(group)
        raise cause from cause.__cause__


def _refuse_import() -> None:
    """Refuse to do all that a program does once more, in a worker that looks for its functions."""
    if importing.module is not None:
        raise ConfigError(
            f"{importing.module} is being imported for one of its functions, and starts dagrun again: "
            'put what the program does under `if __name__ == "__main__":`'
        )


def _settings(data_dir: Path | str | None, parallel: int | None) -> Settings:
    return read_settings({"data_dir": data_dir, "parallel": parallel}, environ=os.environ)
