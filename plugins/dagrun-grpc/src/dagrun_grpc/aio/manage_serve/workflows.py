"""Answers about the registered workflows."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from dagrun.domain.serialize import to_json
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.manage_serve.kinds import M, Once, Streams
from dagrun_grpc.aio.manage_serve.lists import batches, each, first, fitting
from dagrun_grpc.aio.refusals import problem_to_wire
from dagrun_grpc.limits import MAX_MESSAGE
from dagrun_grpc.wire.dagrun import v1


async def _register(m: M, request: v1.RegisterWorkflowRequest) -> v1.RegisterWorkflowResponse:
    text, files = _document(request.document)
    metadata = views.json_object(request.metadata, "metadata")
    done = await m.workflows.register(text, files=files, metadata=metadata)
    return v1.RegisterWorkflowResponse(
        workflow_id=done.workflow_id, version=done.version, created=done.created
    )


async def _update(m: M, request: v1.UpdateWorkflowRequest) -> v1.UpdateWorkflowResponse:
    text, files = _document(request.document)
    metadata = views.json_object(request.metadata, "metadata")
    done = await m.workflows.update(request.workflow_id, text, files=files, metadata=metadata)
    return v1.UpdateWorkflowResponse(
        workflow_id=done.workflow_id, version=done.version, created=done.created
    )


async def _validate(m: M, request: v1.ValidateWorkflowRequest) -> v1.ValidateWorkflowResponse:
    text, files = _document(request.document)
    problems = await m.workflows.validate(text, files=files)
    shown = list(first([problem_to_wire(one) for one in problems], MAX_MESSAGE // 2))
    return v1.ValidateWorkflowResponse(problems=shown, left_out=len(problems) - len(shown))


async def _list_workflows(m: M, request: v1.ListWorkflowsRequest) -> v1.ListWorkflowsResponse:
    async def some(limit: int) -> v1.ListWorkflowsResponse:
        page = await m.workflows.list(limit=limit, cursor=request.cursor or None)
        items = [views.workflow_out(one) for one in page.items]
        return v1.ListWorkflowsResponse(items=items, next=page.next)

    return await fitting(some, request.limit)


@asynccontextmanager
async def _versions(
    m: M, request: v1.ListWorkflowVersionsRequest
) -> AsyncIterator[AsyncIterator[v1.ListWorkflowVersionsResponse]]:
    found = map(views.workflow_out, await m.workflows.versions(request.workflow_id))
    yield each(v1.ListWorkflowVersionsResponse(items=some) for some in batches(found))


@asynccontextmanager
async def _get_workflow(
    m: M, request: v1.GetWorkflowRequest
) -> AsyncIterator[AsyncIterator[v1.GetWorkflowResponse]]:
    view, workflow = await m.workflows.get(request.workflow_id, request.version or None)
    replies = [v1.GetWorkflowResponse(definition=one) for one in views.pieces(to_json(workflow))]
    replies[0].workflow = views.workflow_out(view)
    yield each(replies)


async def _delete(m: M, request: v1.DeleteWorkflowRequest) -> v1.DeleteWorkflowResponse:
    gone = await m.workflows.delete(
        request.workflow_id, request.version or None, force=request.force
    )
    return v1.DeleteWorkflowResponse(versions=list(gone))


def _document(message: v1.Document | None) -> tuple[bytes, Mapping[str, str]]:
    message = message or v1.Document()
    return message.text, message.files


ONCE: Final[Once] = {
    calls.REGISTER_WORKFLOW: _register,
    calls.UPDATE_WORKFLOW: _update,
    calls.VALIDATE_WORKFLOW: _validate,
    calls.LIST_WORKFLOWS: _list_workflows,
    calls.DELETE_WORKFLOW: _delete,
}
STREAMS: Final[Streams] = {
    calls.GET_WORKFLOW: _get_workflow,
    calls.LIST_WORKFLOW_VERSIONS: _versions,
}
