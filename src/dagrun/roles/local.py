"""Everything in one process: ``dagrun run`` and programs that embed dagrun."""

import os
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import trio

from dagrun.builtin.ownership import OwnerLock, owner_pid
from dagrun.domain import decide
from dagrun.domain.document.catalogue import structure_options
from dagrun.domain.events import Event
from dagrun.domain.fold import replay
from dagrun.domain.ids import RANDOM_BYTES, RunId, run_id
from dagrun.domain.jsonvalue import NotJson, Raw, encode
from dagrun.domain.plan import Handling, Plan, compile_plan
from dagrun.domain.serialize import content_hash, from_json, to_json
from dagrun.domain.state import RunState
from dagrun.domain.status import RUN_ENDED
from dagrun.domain.workflow import Durability, ExecutorSpec, Workflow
from dagrun.errors import ConflictError, InputError, Problem, RunOwned, StoreCorrupt
from dagrun.plugin.registry import Registry
from dagrun.ports.executor import Traits
from dagrun.ports.secrets import SecretProvider
from dagrun.ports.store import Definition, NewRun, Refusal, RunRecord, Store
from dagrun.roles.providers import check_providers, provider_factories, sources
from dagrun.services.engine import Engine
from dagrun.services.engine.attempts import Workshop
from dagrun.services.engine.execution import Execution
from dagrun.services.executors import Executors, Opened
from dagrun.services.journal import Journal
from dagrun.services.node_logs import NodeLogs
from dagrun.services.processes import GuardedProcesses
from dagrun.settings import Settings

DATABASE = "dagrun.db"
LOGS = "logs"
SCRATCH = "scratch"

KEPT = 100
"""Workflows of which the compiled form is kept."""

Watcher = Callable[[Sequence[Event]], None]


@attrs.frozen(kw_only=True)
class Submission:
    """What is to be run."""

    workflow: Workflow
    inputs: Mapping[str, Any]
    base: Path | None = None
    """The folder of the workflow's document, if it came from a file."""


class Local:
    """A store, a journal and one engine in this process."""

    def __init__(
        self,
        *,
        registry: Registry,
        data_dir: Path,
        owner: str,
        store: Store,
        journal: Journal,
        engine: Engine,
        executors: Executors,
        providers: Opened[SecretProvider],
        processes: GuardedProcesses,
        committed: Watcher,
        scope: trio.CancelScope,
    ) -> None:
        self._registry = registry
        self._data_dir = data_dir
        self._owner = owner
        self.store = store
        self.journal = journal
        self.engine = engine
        self._executors = executors
        self._providers = providers
        self._processes = processes
        self._committed = committed
        self._scope = scope
        self._prepared: OrderedDict[int, Prepared] = OrderedDict()

    async def submit(self, submission: Submission) -> Execution:
        """Store a run and start it. Returns when it is durable.

        Raises:
            InputError: JSON cannot hold the inputs, or they are too large.
            StoreFull: there is no room; nothing was written.
        """
        workflow, now = submission.workflow, datetime.now(UTC)
        prepared = await self.prepare(workflow)
        inputs = _encoded(submission.inputs)
        state = RunState(prepared.plan, run_id(now, secrets.token_bytes(RANDOM_BYTES)), inputs)
        decide.submit(state, now, base=str(submission.base) if submission.base else None)
        new_run = NewRun(
            run_id=state.run_id,
            workflow_id=workflow.id,
            version=workflow.version,
            definition_hash=prepared.definition.hash,
            inputs=inputs,
            owner=self._owner,
            priority=workflow.priority,
            created_at=now,
        )
        await self.journal.submit(new_run, prepared.definition, state.take_events())
        return self.engine.execute(state, epoch=1)

    async def go_on(self, wanted: RunId, *, only: Workflow | None = None) -> Execution:
        """Take over a run whose process has ended, and go on with it.

        Args:
            wanted: the run.
            only: refuse the run unless this is its workflow.

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
        if record.status in RUN_ENDED:
            raise ConflictError(
                f"run {wanted} has ended: {record.status}. Only a run that was cut off can be gone on "
                "with; start the workflow anew with: dagrun run FILE"
            )
        if (pid := owner_pid(self._data_dir, record.owner)) is not None:
            raise RunOwned(wanted, pid)
        record = await self.store.claim(wanted, owner=self._owner, expected_epoch=record.epoch)
        workflow = await stored_workflow(self.store, record)
        state, events = await restore(self.store, record, (await self.prepare(workflow)).plan)
        self._committed(events)
        self.journal.continue_from(wanted, state.seq)
        return self.engine.execute(state, epoch=record.epoch)

    def stop(self) -> None:
        """End the engine, and cancel the block of :func:`open_local`.

        Runs stay as they are in the journal, to be gone on with. Processes get their SIGTERM and
        ``kill_after``.
        """
        self._scope.cancel()

    def kill(self) -> None:
        """Do the same, and kill all processes at once."""
        self._scope.cancel()
        self._processes.kill_all()

    async def prepare(self, workflow: Workflow) -> "Prepared":
        """Compile a workflow, or give what was made of the same object before.

        Raises:
            ConfigError: an executor, or a provider of secrets, is not installed.
        """
        prepared = self._prepared.get(id(workflow))
        if prepared is not None:
            return prepared
        await self._executors.open(node.executor.type for node in workflow.nodes)
        check_providers(workflow, self._registry)
        await self._providers.open(sources(workflow))
        body = to_json(workflow)
        prepared = Prepared(
            workflow=workflow,
            plan=compile_plan(workflow, handling(self._registry)),
            definition=Definition(hash=content_hash(body), body=body),
        )
        self._prepared[id(workflow)] = prepared
        if len(self._prepared) > KEPT:
            self._prepared.popitem(last=False)
        return prepared


async def stored_workflow(store: Store, record: RunRecord) -> Workflow:
    """Give the workflow of a run as it was when the run was accepted.

    Raises:
        StoreCorrupt: it is damaged.
    """
    definition = await store.definition(record.definition_hash)
    try:
        return from_json(definition.body)
    except Exception as error:
        raise _damaged(record, "definition", error) from error


async def restore(store: Store, record: RunRecord, plan: Plan) -> tuple[RunState, Sequence[Event]]:
    """Let the journal of a run happen again. Give the state, and the events.

    Raises:
        StoreCorrupt: the journal is damaged.
    """
    events = list(await store.events(record.run_id))
    state = RunState(plan, record.run_id, record.inputs)
    try:
        replay(state, events)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(record, "journal", error) from error
    return state, events


def _damaged(record: RunRecord, what: str, error: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"the {what} of run {record.run_id} is damaged ({error}); "
        "restore the database from a backup, or start the workflow anew"
    )


def _encoded(inputs: Mapping[str, Any]) -> Raw:
    try:
        return encode(dict(inputs))
    except NotJson as error:
        raise InputError([Problem(message=f"the inputs are refused: {error}")]) from error


@attrs.frozen(kw_only=True)
class Prepared:
    """What is made of a workflow once, for all its runs."""

    workflow: Workflow
    """Keeps the object alive, so that its identity stays its own."""

    plan: Plan
    definition: Definition


def handling(registry: Registry) -> Callable[[ExecutorSpec], Handling]:
    """Give what says how the nodes of an executor are to be handled."""
    known = {entry.name: Traits.of(entry.factory) for entry in registry.executors}

    def handle(spec: ExecutorSpec) -> Handling:
        # A run is shown although its executor is gone, whatever the options could hold.
        traits = known.get(spec.type) or Traits(secret_options=frozenset(spec.options))
        return Handling(
            strict=traits.durability is Durability.STRICT,
            limited=_occupies_process(traits, spec.options),
            literal_options=traits.literal_options,
            secret_options=traits.secret_options,
        )

    return handle


@asynccontextmanager
async def open_local(
    registry: Registry, settings: Settings, *, committed: Watcher = lambda _: None
) -> AsyncIterator[Local]:
    """Open the data directory, and run an engine until the block is left.

    Args:
        registry: the plugins.
        settings: what the operator chose.
        committed: is told of events when they are durable, and of the journal of a run that is
            taken over.
    """
    data_dir = settings.data_dir
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(OwnerLock(data_dir))
        store = await stack.enter_async_context(
            registry.stores.get("sqlite")(path=data_dir / DATABASE)
        )

        def lost(run: RunId, why: Refusal) -> None:
            engine.abandon(run, str(why))

        journal = Journal(store, committed=committed, refused=lost)
        await _serve(stack, journal.run)
        processes = GuardedProcesses()
        await _serve(stack, processes.run)
        executors = Executors(registry.executors.get)
        await _serve(stack, executors.run)
        providers = Opened(provider_factories(registry, settings))
        await _serve(stack, providers.run)
        engine = Engine(
            name=f"{os.uname().nodename}/{os.getpid()}",
            journal=journal,
            workshop=Workshop(
                executors=executors.opened,
                structure=_structure(registry),
                processes=processes,
                logs=NodeLogs(data_dir / LOGS),
                scratch=data_dir / SCRATCH,
                providers=providers.opened,
            ),
            parallel=settings.parallel,
        )
        scope = await _serve(stack, engine.run)
        yield Local(
            registry=registry,
            data_dir=data_dir,
            owner=lock.owner,
            store=store,
            journal=journal,
            engine=engine,
            executors=executors,
            providers=providers,
            processes=processes,
            committed=committed,
            scope=scope,
        )


async def _serve(stack: AsyncExitStack, run: Callable[..., Any]) -> trio.CancelScope:
    """Run a service in a nursery of its own, so that services end one after the other.

    Cancelling the scope that is given ends the service, and all that was opened after it.
    """
    nursery = await stack.enter_async_context(trio.open_nursery())
    stack.callback(nursery.cancel_scope.cancel)
    await nursery.start(run)
    return nursery.cancel_scope


def _occupies_process(traits: Traits, options: Mapping[str, Any]) -> bool:
    """Ask the executor; while an option may still become anything, take it for a process."""
    uses = traits.uses_process
    if isinstance(uses, bool):
        return uses
    try:
        return uses(structure_options(traits.options, options))
    except ValueError:
        return True


def _structure(registry: Registry) -> Callable[[str, Mapping[str, Any]], Any]:
    known = {entry.name: Traits.of(entry.factory).options for entry in registry.executors}
    return lambda name, options: structure_options(known.get(name), options)
