"""The runs, for those who manage them."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from dagrun.builtin.control import ask
from dagrun.builtin.ownership import owner_pid
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId, is_id
from dagrun.domain.result import RunResult, run_result
from dagrun.domain.schema import check_inputs
from dagrun.domain.scope import run_inputs
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConflictError, NotFound
from dagrun.ports.management import (
    Change,
    ChildRun,
    Explanation,
    LogPiece,
    Page,
    RunSummary,
    RunView,
)
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.children import child_of
from dagrun.roles.explaining import explain
from dagrun.roles.management.arguments import check_cursor, check_limit, run_id_of, wrong
from dagrun.roles.management.looks import Looks
from dagrun.roles.registrations import Registrations
from dagrun.roles.reruns import rerun_of, retry_of
from dagrun.roles.run_logs import RunLogs
from dagrun.roles.stored_runs import StoredRuns, stored_workflow
from dagrun.roles.sub_workflows import relation_to
from dagrun.roles.submission import Submission
from dagrun.roles.summary import child_run, summary
from dagrun.services.dispatcher import Dispatcher

CANCEL: Final = "cancel"
PAUSE: Final = "pause"
RESUME: Final = "resume"

Submit = Callable[[Submission], Awaitable[RunId]]


@attrs.frozen(kw_only=True)
class ManagedRuns:
    """Implements :class:`~dagrun.ports.management.RunManagement`, for all runs of a data directory."""

    data_dir: Path
    store: Store
    registrations: Registrations
    stored: StoredRuns
    dispatcher: Dispatcher
    looks: Looks
    run_logs: RunLogs
    submit: Submit
    """Accepts a run; it is durable then."""

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
        workflow, base = await self.registrations.find(workflow_id, version)
        submission = Submission(
            workflow=workflow,
            inputs=check_inputs(workflow.inputs, _object(inputs)),
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

    async def get(self, run_id: str) -> RunView:
        """Tell how a run stands; see the port."""
        record = await self._record(run_id)
        state, _ = await self.stored.restored(record)
        resumable = summary(self.data_dir, record).resumable
        return RunView(result=run_result(state), inputs=run_inputs(state), resumable=resumable)

    async def wait(self, run_id: str) -> RunResult:
        """Wait for the end of a run; see the port."""
        record = await self._record(run_id)
        if record.status not in RUN_ENDED:
            async with aclosing(self.looks.at(record.run_id, after=record.last_seq)) as looks:
                async for _ in looks:
                    pass
        return (await self.get(run_id)).result

    async def list(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Give runs, newest first; see the port."""
        check_limit(limit)
        check_cursor(cursor)
        records, following = await self.store.runs(
            workflow_id=workflow_id, status=status, limit=limit, cursor=cursor
        )
        return Page(items=[summary(self.data_dir, one) for one in records], next=following)

    async def cancel(self, run_id: str) -> Change:
        """Cancel a run; see the port."""
        return await self._changed(run_id, self._cancel)

    async def pause(self, run_id: str) -> Change:
        """Start nothing more of a run; see the port."""
        return await self._changed(run_id, self._pause)

    async def resume(self, run_id: str) -> Change:
        """Go on with a paused run; see the port."""
        return await self._changed(run_id, self._resume)

    async def explain(self, run_id: str) -> Explanation:
        """Say why a run stands where it stands; see the port."""
        record = await self._record(run_id)
        state, _ = await self.stored.restored(record)
        reasons = await explain(self.data_dir, self.store, record, state, here=self._whereabouts)
        return Explanation(run_id=record.run_id, status=state.status, reasons=reasons)

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
                parent, *found, _object(inputs), relation_to(parent), priority=priority
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

    async def children(self, run_id: str) -> Sequence[ChildRun]:
        """Give the runs that a run started; see the port."""
        record = await self._record(run_id)
        return [
            child
            for one in await self.store.children(record.run_id)
            if (child := child_run(self.data_dir, one)) is not None
        ]

    async def child(self, run_id: str) -> ChildRun:
        """Tell how a child run stands; see the port."""
        child = child_run(self.data_dir, await self._record(run_id))
        if child is None:
            raise NotFound(f"run {run_id} is the child of no other run")
        return child

    @asynccontextmanager
    async def journal(
        self, run_id: str, *, after: int = 0, follow: bool = True
    ) -> AsyncIterator[AsyncIterator[Sequence[Event]]]:
        """Read the journal of a run; see the port."""
        record = await self._record(run_id)
        async with aclosing(self._batches(record.run_id, after, follow=follow)) as batches:
            yield batches

    async def workflow_of(self, run_id: str) -> Workflow:
        """Give the workflow of a run; see the port."""
        return await stored_workflow(self.store, await self._record(run_id))

    def logs(
        self,
        run_id: str,
        *,
        node_id: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        follow: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[LogPiece]]:
        """Read what the nodes of a run wrote; see the port."""
        return self._logs(run_id, node_id, item, attempt, follow=follow)

    @asynccontextmanager
    async def _logs(
        self,
        run_id: str,
        node_id: str | None,
        item: int | None,
        attempt: int | None,
        *,
        follow: bool,
    ) -> AsyncIterator[AsyncIterator[LogPiece]]:
        record = await self._record(run_id)
        state, events = await self.stored.restored(record)
        wanted = (node_id, item, attempt)
        if follow:
            pieces = self.run_logs.followed(state, events, wanted, self.looks)
        else:
            pieces = self.run_logs.so_far(state, wanted)
        async with aclosing(pieces):
            yield pieces

    async def _batches(
        self, run_id: RunId, after: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[Event], None]:
        async with aclosing(self.looks.at(run_id, after=after)) as looks:
            async for events in looks:
                if events:
                    yield events
                if not follow:
                    return

    async def _record(self, run_id: str) -> RunRecord:
        return await self.store.run(run_id_of(run_id))

    async def _summary(self, run_id: RunId) -> RunSummary:
        return summary(self.data_dir, await self.store.run(run_id))

    async def _changed(self, run_id: str, change: Callable[[RunRecord], Awaitable[bool]]) -> Change:
        record = await self._record(run_id)
        changed = await change(record)
        status = (await self.store.run(record.run_id)).status
        return Change(run_id=record.run_id, changed=changed, status=status)

    async def _cancel(self, record: RunRecord) -> bool:
        return await self.stored.cancel(record)

    async def _pause(self, record: RunRecord) -> bool:
        if self.dispatcher.ticket(record.run_id) is not None:
            return await self.dispatcher.pause(record.run_id)
        return await self._ask_its_process(record, PAUSE)

    async def _resume(self, record: RunRecord) -> bool:
        if self.dispatcher.ticket(record.run_id) is not None:
            return await self.dispatcher.resume(record.run_id)
        return await self._ask_its_process(record, RESUME)

    async def _ask_its_process(self, record: RunRecord, what: str) -> bool:
        """Ask the process beside this one that has a run."""
        if record.status in RUN_ENDED or self.stored.owns(record):
            return False
        if owner_pid(self.data_dir, record.owner) is None:
            raise ConflictError(
                f"the process of run {record.run_id} has ended; go on with it where its data"
                f" directory is: dagrun run --resume {record.run_id}"
            )
        request = {"do": what, "run_id": record.run_id}
        return bool(await ask(self.data_dir, record.owner, request))

    def _whereabouts(self, run_id: RunId) -> str | None:
        """Say where a run of this process is; None for another one's."""
        ticket = self.dispatcher.ticket(run_id)
        if ticket is None:
            return None
        if ticket.engine is not None:
            return f"engine {ticket.engine.name} has it"
        return self.dispatcher.explain(run_id) or "no engine has it"


def _object(inputs: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if inputs is not None and not isinstance(inputs, Mapping):
        raise wrong("an object is needed", "inputs")
    return inputs or {}
