"""What is asked of the registered workflows."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from dagrun.domain.workflow import Workflow
from dagrun.errors import DefinitionError, Problem
from dagrun.ports.management import Page, Registered, WorkflowView
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.calls import Call
from dagrun_grpc.aio.manage_client.fields import checked, object_bytes
from dagrun_grpc.aio.reading import understood
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
        request = v1.RegisterWorkflowRequest(
            document=sent, metadata=object_bytes(metadata, "metadata")
        )
        return await self._registered(calls.REGISTER_WORKFLOW, request, sent)

    async def update(
        self, workflow_id: str, document: bytes, *, files: Files = None, metadata: Metadata = None
    ) -> Registered:
        """Register a version of a workflow that is there; see the port."""
        sent = v1.Document(text=document, files=dict(files or {}))
        request = v1.UpdateWorkflowRequest(
            workflow_id=workflow_id, document=sent, metadata=object_bytes(metadata, "metadata")
        )
        return await self._registered(calls.UPDATE_WORKFLOW, request, sent)

    async def validate(self, document: bytes, *, files: Files = None) -> Sequence[Problem]:
        """Say all that is wrong with a document; see the port."""
        return await self._problems(v1.Document(text=document, files=dict(files or {})))

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[WorkflowView]:
        """Give the current version of each workflow; see the port."""
        request = v1.ListWorkflowsRequest(limit=checked(limit), cursor=cursor or "")
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
