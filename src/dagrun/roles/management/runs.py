"""The runs of an orchestrator, for those who manage them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from dagrun.domain.ids import RunId, is_id
from dagrun.domain.schema import check_inputs
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import ConflictError, NotFound
from dagrun.ports.engine import UNHEALTHY, EngineView
from dagrun.ports.management import RunSummary
from dagrun.ports.store import RunRecord
from dagrun.roles.children import child_of
from dagrun.roles.management.shared_runs import SharedRuns
from dagrun.roles.registrations import Registrations
from dagrun.roles.reruns import rerun_of, retry_of
from dagrun.roles.stored_runs import StoredRuns
from dagrun.roles.sub_workflows import relation_to
from dagrun.roles.submission import Asked, Submission
from dagrun.roles.wanted import inputs_of
from dagrun.services.dispatcher import Dispatcher

Submit = Callable[[Submission], Awaitable[RunId]]


@attrs.frozen(kw_only=True)
class ManagedRuns(SharedRuns):
    """Implements :class:`~dagrun.ports.management.RunManagement`, for all runs of a data directory."""

    registrations: Registrations
    stored: StoredRuns
    dispatcher: Dispatcher
    submit: Submit
    """Accepts a run; it is durable then."""

    engines: Callable[[], Sequence[EngineView]]
    """Gives the engines."""

    async def start(
        self,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunSummary:
        """Accept a run of a registered workflow; see the port."""
        given = inputs_of(inputs)
        workflow, base = await self.registrations.find(workflow_id, version)
        submission = Submission(
            workflow=workflow,
            inputs=check_inputs(workflow.inputs, given),
            asked=Asked(version, given),
            base=base,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        return await self._summary(await self.submit(submission))

    async def retry(
        self, run_id: str, *, priority: int | None = None, idempotency_key: str | None = None
    ) -> RunSummary:
        """Accept a run that does what another one did not bring off; see the port."""
        record = await self._record(run_id)
        submission = await retry_of(
            self.stored, record, priority=priority, idempotency_key=idempotency_key
        )
        return await self._summary(await self.submit(submission))

    async def rerun(
        self,
        run_id: str,
        *,
        from_node: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunSummary:
        """Accept a run that does what another one did once more; see the port."""
        record = await self._record(run_id)
        submission = await rerun_of(
            self.stored,
            record,
            from_node=from_node,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        return await self._summary(await self.submit(submission))

    async def start_child(
        self,
        parent_run_id: str,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
    ) -> RunSummary:
        """Accept a run for another one; see the port."""
        if not is_id(workflow_id):
            raise NotFound(f"no workflow {workflow_id[:200]!r} is registered")
        found = await self.registrations.find_for(None, workflow_id, version)
        while True:
            parent = await self._record(parent_run_id)
            submission = child_of(
                parent, *found, inputs_of(inputs), relation_to(parent), priority=priority
            )
            try:
                return await self._summary(await self.submit(submission))
            except ConflictError:
                now = await self.store.run(parent.run_id)
                if (now.epoch, now.status in RUN_ENDED) == (
                    parent.epoch,
                    parent.status in RUN_ENDED,
                ):
                    raise

    async def _cancel(self, record: RunRecord) -> bool:
        return await self.stored.cancel(record)

    async def _pause(self, record: RunRecord) -> bool:
        if self.dispatcher.ticket(record.run_id) is not None:
            return await self.dispatcher.pause(record.run_id)
        return not self.stored.owns(record) and await super()._pause(record)

    async def _resume(self, record: RunRecord) -> bool:
        if self.dispatcher.ticket(record.run_id) is not None:
            return await self.dispatcher.resume(record.run_id)
        return not self.stored.owns(record) and await super()._resume(record)

    def _whereabouts(self, run_id: RunId) -> str | None:
        """Say where a run of this process is; None for another one's."""
        ticket = self.dispatcher.ticket(run_id)
        if ticket is None:
            return None
        if ticket.engine is not None:
            return self._at(ticket.engine.name)
        return self.dispatcher.explain(run_id) or "no engine has it"

    def _at(self, engine_id: str) -> str:
        """Say that an engine has a run, and what becomes of that while it is unhealthy."""
        status = {view.id: view.status for view in self.engines()}.get(engine_id, UNHEALTHY)
        if status != UNHEALTHY:
            return f"engine {engine_id} has it"
        return (
            f"engine {engine_id} has it and is unhealthy: it is not connected, and another one gets "
            "the run a lease later, or its disk cannot be used, and the run waits there"
        )
