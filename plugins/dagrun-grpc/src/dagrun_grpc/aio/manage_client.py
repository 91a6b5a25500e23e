"""What :class:`~dagrun.ports.management.Management` says, over gRPC."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import attrs

from dagrun.domain.events import Event
from dagrun.domain.monitoring import MonitorEvent
from dagrun.domain.result import RunResult
from dagrun.domain.serialize import from_json
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import DefinitionError, Problem
from dagrun.ports.engine import EngineView
from dagrun.ports.management import (
    Change,
    ChildRun,
    EventPage,
    Explanation,
    LogPiece,
    Page,
    Registered,
    RunSummary,
    RunView,
    Wanted,
    WorkflowView,
)
from dagrun.roles.management.arguments import check_limit
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.calls import Call
from dagrun_grpc.aio.reading import mapped, understood, whole
from dagrun_grpc.aio.refusals import LEFT_OUT, problem_from_wire
from dagrun_grpc.aio.sending import check_sendable, too_large
from dagrun_grpc.wire.dagrun import v1

Files = Mapping[str, str] | None
Metadata = Mapping[str, Any] | None


@understood
@attrs.frozen
class WorkflowsClient:
    """Implements :class:`~dagrun.ports.management.WorkflowManagement`."""

    _asking: Asking

    async def register(
        self, document: bytes, *, files: Files = None, metadata: Metadata = None
    ) -> Registered:
        """Keep a version of a workflow; see the port."""
        sent = v1.Document(text=document, files=dict(files or {}))
        request = v1.RegisterWorkflowRequest(document=sent, metadata=_object(metadata, "metadata"))
        return await self._registered(calls.REGISTER_WORKFLOW, request, sent)

    async def update(
        self, workflow_id: str, document: bytes, *, files: Files = None, metadata: Metadata = None
    ) -> Registered:
        """Register a version of a workflow that is there; see the port."""
        sent = v1.Document(text=document, files=dict(files or {}))
        request = v1.UpdateWorkflowRequest(
            workflow_id=workflow_id, document=sent, metadata=_object(metadata, "metadata")
        )
        return await self._registered(calls.UPDATE_WORKFLOW, request, sent)

    async def validate(self, document: bytes, *, files: Files = None) -> Sequence[Problem]:
        """Say all that is wrong with a document; see the port."""
        return await self._problems(v1.Document(text=document, files=dict(files or {})))

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[WorkflowView]:
        """Give the current version of each workflow; see the port."""
        request = v1.ListWorkflowsRequest(limit=_checked(limit), cursor=cursor or "")
        reply: v1.ListWorkflowsResponse = await self._asking.once(calls.LIST_WORKFLOWS, request)
        return Page(items=[views.workflow_in(one) for one in reply.items], next=reply.next)

    async def versions(self, workflow_id: str) -> Sequence[WorkflowView]:
        """Give the versions of a workflow; see the port."""
        request = v1.ListWorkflowVersionsRequest(workflow_id=workflow_id)
        replies = await self._asking.all(calls.LIST_WORKFLOW_VERSIONS, request)
        return [views.workflow_in(one) for reply in replies for one in reply.items]

    async def get(
        self, workflow_id: str, version: str | None = None
    ) -> tuple[WorkflowView, Workflow]:
        """Give a version, and its content; see the port."""
        request = v1.GetWorkflowRequest(workflow_id=workflow_id, version=version or "")
        parts = await self._asking.all(calls.GET_WORKFLOW, request)
        return views.version_in(parts[0].workflow, b"".join(part.definition for part in parts))

    async def delete(
        self, workflow_id: str, version: str | None = None, *, force: bool = False
    ) -> Sequence[str]:
        """Delete a version, or all; see the port."""
        request = v1.DeleteWorkflowRequest(
            workflow_id=workflow_id, version=version or "", force=force
        )
        reply: v1.DeleteWorkflowResponse = await self._asking.once(calls.DELETE_WORKFLOW, request)
        return reply.versions

    async def _registered(self, call: Call, request: Any, sent: v1.Document) -> Registered:
        check_sendable(request)
        if problem := too_large(request, sent):
            raise DefinitionError([problem])
        try:
            reply = await self._asking.once(call, request)
        except DefinitionError as error:
            if getattr(error, LEFT_OUT, 0) and (problems := await self._problems(sent)):
                raise DefinitionError(problems) from error
            raise
        return Registered(
            workflow_id=reply.workflow_id, version=reply.version, created=reply.created
        )

    async def _problems(self, sent: v1.Document) -> Sequence[Problem]:
        request = v1.ValidateWorkflowRequest(document=sent)
        check_sendable(request)
        if problem := too_large(request, sent):
            return [problem]
        reply: v1.ValidateWorkflowResponse = await self._asking.once(
            calls.VALIDATE_WORKFLOW, request
        )
        problems = [problem_from_wire(one) for one in reply.problems]
        if reply.left_out:
            problems.append(Problem(message=f"and {reply.left_out} things more"))
        return problems


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
            inputs=_object(inputs, "inputs"),
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
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Give runs, newest first; see the port."""
        request = v1.ListRunsRequest(
            workflow_id=workflow_id or "",
            status=str(status or ""),
            cut_off=cut_off,
            limit=_checked(limit),
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
            inputs=_object(inputs, "inputs"),
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


@understood
@attrs.frozen
class EventsClient:
    """Implements :class:`~dagrun.ports.management.EventManagement`."""

    _asking: Asking

    async def list(
        self, wanted: Wanted, *, after: str | None = None, limit: int = 100
    ) -> EventPage:
        """Give events of the past; see the port."""
        request = v1.ListEventsRequest(
            filter=views.wanted_out(wanted), after=after or "", limit=_checked(limit)
        )
        reply: v1.ListEventsResponse = await self._asking.once(calls.LIST_EVENTS, request)
        return EventPage(
            items=[views.event_in(one) for one in reply.items], position=reply.position
        )

    def follow(
        self, wanted: Wanted, *, after: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[MonitorEvent]]:
        """Get events as they happen; see the port."""
        request = v1.StreamEventsRequest(filter=views.wanted_out(wanted), after=after or "")
        return mapped(
            *(self._asking, calls.STREAM_EVENTS, request),
            lambda reply: views.event_in(reply.event),
        )


@understood
@attrs.frozen
class EnginesClient:
    """Implements :class:`~dagrun.ports.management.EngineManagement`."""

    _asking: Asking

    async def list(self) -> Sequence[EngineView]:
        """Give the engines; see the port."""
        reply = await self._asking.once(calls.LIST_ENGINES, v1.ListEnginesRequest())
        return [views.engine_in(one) for one in reply.items]

    async def drain(self, engine_id: str, *, on: bool) -> EngineView:
        """Let an engine take no more runs, or take some again; see the port."""
        if on:
            drained = v1.DrainEngineRequest(engine_id=engine_id)
            return views.engine_in((await self._asking.once(calls.DRAIN_ENGINE, drained)).engine)
        undrained = v1.UndrainEngineRequest(engine_id=engine_id)
        return views.engine_in((await self._asking.once(calls.UNDRAIN_ENGINE, undrained)).engine)


class ManagementClient:
    """Implements :class:`~dagrun.ports.management.Management` for a server.

    Args:
        asking: makes the calls.
    """

    def __init__(self, asking: Asking) -> None:
        self.workflows = WorkflowsClient(asking)
        self.runs = RunsClient(asking)
        self.events = EventsClient(asking)
        self.engines = EnginesClient(asking)


def _object(value: Mapping[str, Any] | None, path: str) -> bytes:
    return views.json_bytes(None if value is None else dict(value), path)


def _checked(limit: int) -> int:
    """Check a limit here: on the wire 0 is the usual one."""
    check_limit(limit)
    return limit
