"""What a Python program has of dagrun: workflows, runs and events of one data directory."""

from collections.abc import Mapping, Sequence
from typing import Any

from dagrun.domain.result import RunResult, run_result
from dagrun.domain.schema import check_inputs
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.ports.management import Registered, RunSummary
from dagrun.roles.local import Local
from dagrun.roles.recovery import recover
from dagrun.roles.reruns import rerun_of, retry_of
from dagrun.roles.sub_workflows import SubWorkflows
from dagrun.roles.submission import Asked, Submission
from dagrun.roles.summary import summary
from dagrun.roles.wanted import HasRunId, inputs_of, run_of, workflow_of
from dagrun.roles.workflows import Source, Workflows
from dagrun.services.dispatcher import Ticket
from dagrun.services.monitor import Monitor


class Run:
    """A run that was started, as by :meth:`Orchestrator.start_workflow`."""

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
    """Workflows, runs and events of one data directory. Made by
    :func:`~dagrun.roles.embedded.open_orchestrator`.
    """

    def __init__(self, local: Local, workflows: Workflows) -> None:
        self._local, self._workflows = local, workflows

    @property
    def monitor(self) -> Monitor:
        """Tells of what happens, see :meth:`~dagrun.services.monitor.Monitor.subscribe`."""
        return self._local.monitor

    @property
    def sub_workflows(self) -> SubWorkflows:
        """Starts runs for other runs, and tells of them."""
        return SubWorkflows(self._local, self.get_run)

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
        registered = await self._workflows.register(source, metadata)
        if registered.created:
            self.monitor.announce(
                "workflow.registered",
                workflow_id=registered.workflow_id,
                data={"version": registered.version},
            )
        return registered

    async def start_workflow(
        self,
        workflow_id: str | Workflow | Registered,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Accept a run of a registered workflow. It is durable when this returns.

        Args:
            workflow_id: the workflow's id; or an object that has it, which stands for its version.
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
            TypeError: an argument is of another type.
        """
        given = inputs_of(inputs)
        name, version = workflow_of(workflow_id, version)
        found, base = await self._local.registrations.find(name, version)
        ticket = await self._local.submit(
            Submission(
                workflow=found,
                inputs=check_inputs(found.inputs, given),
                asked=Asked(version, given),
                base=base,
                priority=priority,
                idempotency_key=idempotency_key,
            )
        )
        return Run(self._local, ticket)

    async def execute_workflow(
        self,
        workflow_id: str | Workflow | Registered,
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

    async def retry(
        self,
        run_id: str | HasRunId,
        *,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Do once more what a run did not bring off, in a run of its own. It is durable when this returns.

        It is of the same content of the workflow and has the same inputs, and keeps the nodes that
        succeeded, unless they depend on one that did not.

        Args:
            run_id: the other run, or its id; it stays as it is.
            priority: None takes that of the other run; higher goes first.
            idempotency_key: as for :meth:`start_workflow`.

        Raises:
            NotFound: there is no such run.
            ConflictError: it has succeeded, or has not ended; or the idempotency key was used for
                something else.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
        """
        record = await self._local.store.run(run_of(run_id))
        submission = await retry_of(
            self._local.runs, record, priority=priority, idempotency_key=idempotency_key
        )
        return Run(self._local, await self._local.submit(submission))

    async def rerun(
        self,
        run_id: str | HasRunId,
        *,
        from_node: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Do once more what a run did, in a run of its own. See :meth:`retry`.

        Args:
            run_id: the other run, or its id; it stays as it is.
            from_node: the node with which to begin: it and all that depends on it runs once more,
                and what failed elsewhere; the rest is kept. None runs all.
            priority: None takes that of the other run; higher goes first.
            idempotency_key: as for :meth:`start_workflow`.

        Raises:
            NotFound: there is no such run, or it has no such node.
            ConflictError: it has not ended; or the idempotency key was used for something else.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
        """
        record = await self._local.store.run(run_of(run_id))
        submission = await rerun_of(
            self._local.runs,
            record,
            from_node=from_node,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        return Run(self._local, await self._local.submit(submission))

    async def get_run(self, run_id: str | HasRunId) -> RunResult:
        """Tell how a run stands, or how it went, as far as it is on disk. Takes its id, or itself.

        Raises:
            NotFound: there is no such run.
        """
        state, _ = await self._local.runs.restored(await self._local.store.run(run_of(run_id)))
        return run_result(state)

    async def list_runs(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | str | None = None,
        top_level: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunSummary], str | None]:
        """Give runs, newest first, and the cursor of the next page or None.

        With ``top_level`` only those without a parent.
        """
        records, following = await self._local.store.runs(
            workflow_id=workflow_id,
            status=None if status is None else RunStatus(status),
            top_level=top_level,
            limit=limit,
            cursor=cursor,
        )
        return [summary(self._local.data_dir, record) for record in records], following

    async def cancel(self, run_id: str | HasRunId) -> bool:
        """Cancel a run, also of another process. Give False if it has ended, or ends already.

        Raises:
            NotFound: there is no such run.
        """
        return await self._local.cancel(run_of(run_id))

    async def pause(self, run_id: str | HasRunId) -> bool:
        """Start nothing more of a run. Give False if it has ended or is paused.

        Raises:
            NotFound: there is no such run.
            ConflictError: its process has ended.
        """
        return await self._local.pause(run_of(run_id))

    async def resume(self, run_id: str | HasRunId) -> bool:
        """Go on with a paused run. Give False if it is not paused.

        Raises:
            NotFound: there is no such run.
            ConflictError: its process has ended.
        """
        return await self._local.resume(run_of(run_id))

    async def recover(self, *, workflow_id: str | None = None) -> list[Run]:
        """Go on with the runs of programs that have ended before their runs did.

        A run that was paused stays paused, until :meth:`resume`. One that cannot be gone on with,
        as it is damaged or needs a plugin that is missing, is left, with a warning in the log of
        :mod:`logging`. Runs that somebody else goes on with meanwhile are left, too.

        Args:
            workflow_id: only the runs of this workflow; None takes all of the data directory, those
                of ``dagrun run`` among them.
        """
        return [Run(self._local, ticket) for ticket in await recover(self._local, workflow_id)]
