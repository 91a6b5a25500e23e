"""What is asked of the runs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import attrs

from dagrun.domain.events import Event
from dagrun.domain.result import RunResult
from dagrun.domain.serialize import from_json
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.ports.management import (
    Change,
    ChildRun,
    Explanation,
    LogPiece,
    Page,
    RunSummary,
    RunView,
)
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.manage_client.fields import checked, object_bytes
from dagrun_grpc.aio.reading import mapped, understood, whole
from dagrun_grpc.wire.dagrun import v1


@understood
@attrs.frozen
class RunsClient:
    """Implements :class:`~dagrun.ports.management.RunManagement`."""

    _asking: Asking

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
        request = v1.StartRunRequest(
            workflow_id=workflow_id,
            version=version or "",
            inputs=object_bytes(inputs, "inputs"),
            priority=priority,
            idempotency_key=idempotency_key or "",
        )
        return views.run_in((await self._asking.once(calls.START_RUN, request)).run)

    async def retry(
        self, run_id: str, *, priority: int | None = None, idempotency_key: str | None = None
    ) -> RunSummary:
        """Accept a run that does what another one did not bring off; see the port."""
        request = v1.RetryRunRequest(
            run_id=run_id, priority=priority, idempotency_key=idempotency_key or ""
        )
        return views.run_in((await self._asking.once(calls.RETRY_RUN, request)).run)

    async def rerun(
        self,
        run_id: str,
        *,
        from_node: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunSummary:
        """Accept a run that does what another one did once more; see the port."""
        request = v1.RerunRunRequest(
            run_id=run_id,
            from_node=from_node or "",
            priority=priority,
            idempotency_key=idempotency_key or "",
        )
        return views.run_in((await self._asking.once(calls.RERUN_RUN, request)).run)

    async def get(self, run_id: str) -> RunView:
        """Tell how a run stands; see the port."""
        parts = await self._asking.all(calls.GET_RUN, v1.GetRunRequest(run_id=run_id))
        return views.detail_in(b"".join(part.run for part in parts))

    async def wait(self, run_id: str) -> RunResult:
        """Wait for the end of a run; see the port."""
        parts = await self._asking.all(calls.WAIT_FOR_RUN, v1.WaitForRunRequest(run_id=run_id))
        return views.detail_in(b"".join(part.run for part in parts)).result

    async def list(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        cut_off: bool = False,
        top_level: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Give runs, newest first; see the port."""
        request = v1.ListRunsRequest(
            workflow_id=workflow_id or "",
            status=str(status or ""),
            cut_off=cut_off,
            top_level=top_level,
            limit=checked(limit),
            cursor=cursor or "",
        )
        reply: v1.ListRunsResponse = await self._asking.once(calls.LIST_RUNS, request)
        return Page(items=[views.run_in(one) for one in reply.items], next=reply.next)

    async def cancel(self, run_id: str) -> Change:
        """Cancel a run; see the port."""
        reply = await self._asking.once(calls.CANCEL_RUN, v1.CancelRunRequest(run_id=run_id))
        return views.change_in(reply.change)

    async def pause(self, run_id: str) -> Change:
        """Start nothing more of a run; see the port."""
        reply = await self._asking.once(calls.PAUSE_RUN, v1.PauseRunRequest(run_id=run_id))
        return views.change_in(reply.change)

    async def resume(self, run_id: str) -> Change:
        """Go on with a paused run; see the port."""
        reply = await self._asking.once(calls.RESUME_RUN, v1.ResumeRunRequest(run_id=run_id))
        return views.change_in(reply.change)

    async def explain(self, run_id: str) -> Explanation:
        """Say why a run stands where it stands; see the port."""
        reply = await self._asking.once(calls.EXPLAIN_RUN, v1.ExplainRunRequest(run_id=run_id))
        return Explanation(
            run_id=reply.run_id, status=RunStatus(reply.status), reasons=reply.reasons
        )

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
        request = v1.StartSubWorkflowRequest(
            parent_run_id=parent_run_id,
            workflow_id=workflow_id,
            version=version or "",
            inputs=object_bytes(inputs, "inputs"),
            priority=priority,
        )
        return views.run_in((await self._asking.once(calls.START_SUB_WORKFLOW, request)).run)

    async def children(self, run_id: str) -> Sequence[ChildRun]:
        """Give the runs that a run started; see the port."""
        request = v1.ListSubWorkflowsRequest(run_id=run_id)
        replies = await self._asking.all(calls.LIST_SUB_WORKFLOWS, request)
        return [views.child_in(one) for reply in replies for one in reply.items]

    async def child(self, run_id: str) -> ChildRun:
        """Tell how a child run stands; see the port."""
        request = v1.GetSubWorkflowStatusRequest(run_id=run_id)
        reply = await self._asking.once(calls.GET_SUB_WORKFLOW_STATUS, request)
        return views.child_in(reply.sub_workflow)

    @asynccontextmanager
    async def journal(
        self, run_id: str, *, after: int = 0, follow: bool = True
    ) -> AsyncIterator[AsyncIterator[Sequence[Event]]]:
        """Read the journal of a run; see the port."""
        request = v1.StreamJournalRequest(run_id=run_id, after=after, once=not follow)
        stream = self._asking.stream(calls.STREAM_JOURNAL, request)
        async with stream as replies, aclosing(whole(replies, self._asking)) as batches:
            yield batches

    async def workflow_of(self, run_id: str) -> Workflow:
        """Give the workflow of a run; see the port."""
        request = v1.GetRunWorkflowRequest(run_id=run_id)
        parts = await self._asking.all(calls.GET_RUN_WORKFLOW, request)
        return from_json(b"".join(part.definition for part in parts))

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
        request = v1.StreamLogsRequest(
            run_id=run_id, node_id=node_id or "", item=item, attempt=attempt, follow=follow
        )
        return mapped(self._asking, calls.STREAM_LOGS, request, views.log_in)
