"""Answers to those who manage an orchestrator."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar, cast

from dagrun.domain.serialize import to_json
from dagrun.domain.status import RunStatus
from dagrun.ports.management import Management
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.answering import many, once
from dagrun_grpc.aio.calls import Answer, Call
from dagrun_grpc.aio.refusals import problem_to_wire
from dagrun_grpc.events import encode_events
from dagrun_grpc.limits import MAX_MESSAGE, PART
from dagrun_grpc.wire.dagrun import v1

T = TypeVar("T")
M = Management

USUAL: Final = 100
"""The limit of a list if none is given."""


def answers(management: Management, seconds: float) -> Mapping[str, Answer]:
    """Give path → what answers.

    Args:
        management: does what is asked for.
        seconds: in which a request must arrive.
    """
    acts = {call.path: once(partial(act, management), seconds) for call, act in _ONCE.items()}
    streams = {
        call.path: many(partial(give, management), seconds) for call, give in _STREAMS.items()
    }
    return {**acts, **streams}


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
    shown = list(_first([problem_to_wire(one) for one in problems], MAX_MESSAGE // 2))
    return v1.ValidateWorkflowResponse(problems=shown, left_out=len(problems) - len(shown))


async def _list_workflows(m: M, request: v1.ListWorkflowsRequest) -> v1.ListWorkflowsResponse:
    async def some(limit: int) -> v1.ListWorkflowsResponse:
        page = await m.workflows.list(limit=limit, cursor=request.cursor or None)
        items = [views.workflow_out(one) for one in page.items]
        return v1.ListWorkflowsResponse(items=items, next=page.next)

    return await _fitting(some, request.limit)


@asynccontextmanager
async def _versions(
    m: M, request: v1.ListWorkflowVersionsRequest
) -> AsyncIterator[AsyncIterator[v1.ListWorkflowVersionsResponse]]:
    found = map(views.workflow_out, await m.workflows.versions(request.workflow_id))
    yield _each(v1.ListWorkflowVersionsResponse(items=some) for some in _batches(found))


@asynccontextmanager
async def _get_workflow(
    m: M, request: v1.GetWorkflowRequest
) -> AsyncIterator[AsyncIterator[v1.GetWorkflowResponse]]:
    view, workflow = await m.workflows.get(request.workflow_id, request.version or None)
    replies = [v1.GetWorkflowResponse(definition=one) for one in views.pieces(to_json(workflow))]
    replies[0].workflow = views.workflow_out(view)
    yield _each(replies)


async def _delete(m: M, request: v1.DeleteWorkflowRequest) -> v1.DeleteWorkflowResponse:
    gone = await m.workflows.delete(
        request.workflow_id, request.version or None, force=request.force
    )
    return v1.DeleteWorkflowResponse(versions=list(gone))


async def _start(m: M, request: v1.StartRunRequest) -> v1.StartRunResponse:
    run = await m.runs.start(
        request.workflow_id,
        views.json_object(request.inputs, "inputs"),
        version=request.version or None,
        priority=request.priority,
        idempotency_key=request.idempotency_key or None,
    )
    return v1.StartRunResponse(run=views.run_out(run))


async def _retry(m: M, request: v1.RetryRunRequest) -> v1.RetryRunResponse:
    run = await m.runs.retry(
        request.run_id,
        priority=request.priority,
        idempotency_key=request.idempotency_key or None,
    )
    return v1.RetryRunResponse(run=views.run_out(run))


async def _rerun(m: M, request: v1.RerunRunRequest) -> v1.RerunRunResponse:
    run = await m.runs.rerun(
        request.run_id,
        from_node=request.from_node or None,
        priority=request.priority,
        idempotency_key=request.idempotency_key or None,
    )
    return v1.RerunRunResponse(run=views.run_out(run))


@asynccontextmanager
async def _get_run(
    m: M, request: v1.GetRunRequest
) -> AsyncIterator[AsyncIterator[v1.GetRunResponse]]:
    text = views.detail_out(await m.runs.get(request.run_id))
    yield _each([v1.GetRunResponse(run=piece) for piece in views.pieces(text)])


@asynccontextmanager
async def _wait(
    m: M, request: v1.WaitForRunRequest
) -> AsyncIterator[AsyncIterator[v1.WaitForRunResponse]]:
    await m.runs.get(request.run_id)  # it is known before the headers say so

    async def replies() -> AsyncIterator[v1.WaitForRunResponse]:
        await m.runs.wait(request.run_id)
        text = views.detail_out(await m.runs.get(request.run_id))
        for piece in views.pieces(text):
            yield v1.WaitForRunResponse(run=piece)

    yield replies()


async def _list_runs(m: M, request: v1.ListRunsRequest) -> v1.ListRunsResponse:
    status = views.word(RunStatus, request.status, "status") if request.status else None

    async def some(limit: int) -> v1.ListRunsResponse:
        page = await m.runs.list(
            workflow_id=request.workflow_id or None,
            status=status,
            cut_off=request.cut_off,
            limit=limit,
            cursor=request.cursor or None,
        )
        items = [views.run_out(one) for one in page.items]
        return v1.ListRunsResponse(items=items, next=page.next)

    return await _fitting(some, request.limit)


async def _cancel(m: M, request: v1.CancelRunRequest) -> v1.CancelRunResponse:
    return v1.CancelRunResponse(change=views.change_out(await m.runs.cancel(request.run_id)))


async def _pause(m: M, request: v1.PauseRunRequest) -> v1.PauseRunResponse:
    return v1.PauseRunResponse(change=views.change_out(await m.runs.pause(request.run_id)))


async def _resume(m: M, request: v1.ResumeRunRequest) -> v1.ResumeRunResponse:
    return v1.ResumeRunResponse(change=views.change_out(await m.runs.resume(request.run_id)))


async def _explain(m: M, request: v1.ExplainRunRequest) -> v1.ExplainRunResponse:
    told = await m.runs.explain(request.run_id)
    return v1.ExplainRunResponse(
        run_id=told.run_id, status=str(told.status), reasons=list(told.reasons)
    )


async def _start_child(m: M, request: v1.StartSubWorkflowRequest) -> v1.StartSubWorkflowResponse:
    run = await m.runs.start_child(
        request.parent_run_id,
        request.workflow_id,
        views.json_object(request.inputs, "inputs"),
        version=request.version or None,
        priority=request.priority,
    )
    return v1.StartSubWorkflowResponse(run=views.run_out(run))


async def _child(m: M, request: v1.GetSubWorkflowStatusRequest) -> v1.GetSubWorkflowStatusResponse:
    child = await m.runs.child(request.run_id)
    return v1.GetSubWorkflowStatusResponse(sub_workflow=views.child_out(child))


@asynccontextmanager
async def _children(
    m: M, request: v1.ListSubWorkflowsRequest
) -> AsyncIterator[AsyncIterator[v1.ListSubWorkflowsResponse]]:
    found = map(views.child_out, await m.runs.children(request.run_id))
    yield _each(v1.ListSubWorkflowsResponse(items=some) for some in _batches(found))


@asynccontextmanager
async def _journal(
    m: M, request: v1.StreamJournalRequest
) -> AsyncIterator[AsyncIterator[v1.StreamJournalResponse]]:
    async def replies() -> AsyncIterator[v1.StreamJournalResponse]:
        async for batch in batches:
            for part in views.parts(encode_events(batch)):
                yield v1.StreamJournalResponse(events=part)

    async with m.runs.journal(
        request.run_id, after=request.after, follow=not request.once
    ) as batches:
        yield replies()


@asynccontextmanager
async def _workflow_of(
    m: M, request: v1.GetRunWorkflowRequest
) -> AsyncIterator[AsyncIterator[v1.GetRunWorkflowResponse]]:
    text = to_json(await m.runs.workflow_of(request.run_id))
    yield _each([v1.GetRunWorkflowResponse(definition=piece) for piece in views.pieces(text)])


@asynccontextmanager
async def _logs(
    m: M, request: v1.StreamLogsRequest
) -> AsyncIterator[AsyncIterator[v1.StreamLogsResponse]]:
    async def replies() -> AsyncIterator[v1.StreamLogsResponse]:
        async for piece in pieces:
            yield views.log_out(piece)

    async with m.runs.logs(
        request.run_id,
        node_id=request.node_id or None,
        item=request.item,
        attempt=request.attempt,
        follow=request.follow,
    ) as pieces:
        yield replies()


async def _list_events(m: M, request: v1.ListEventsRequest) -> v1.ListEventsResponse:
    async def some(limit: int) -> v1.ListEventsResponse:
        wanted = views.wanted_in(request.filter)
        page = await m.events.list(wanted, after=request.after or None, limit=limit)
        items = [views.event_out(one) for one in page.items]
        return v1.ListEventsResponse(items=items, position=page.position)

    return await _fitting(some, request.limit)


@asynccontextmanager
async def _events(
    m: M, request: v1.StreamEventsRequest
) -> AsyncIterator[AsyncIterator[v1.StreamEventsResponse]]:
    async def replies() -> AsyncIterator[v1.StreamEventsResponse]:
        async for event in events:
            yield v1.StreamEventsResponse(event=views.event_out(event))

    wanted = views.wanted_in(request.filter)
    async with m.events.follow(wanted, after=request.after or None) as events:
        yield replies()


async def _list_engines(m: M, _request: v1.ListEnginesRequest) -> v1.ListEnginesResponse:
    items = [views.engine_out(one) for one in await m.engines.list()]
    return v1.ListEnginesResponse(items=items)


async def _drain(m: M, request: v1.DrainEngineRequest) -> v1.DrainEngineResponse:
    engine = await m.engines.drain(request.engine_id, on=True)
    return v1.DrainEngineResponse(engine=views.engine_out(engine))


async def _undrain(m: M, request: v1.UndrainEngineRequest) -> v1.UndrainEngineResponse:
    engine = await m.engines.drain(request.engine_id, on=False)
    return v1.UndrainEngineResponse(engine=views.engine_out(engine))


_ONCE: Final[Mapping[Call, Callable[[M, Any], Awaitable[Any]]]] = {
    calls.REGISTER_WORKFLOW: _register,
    calls.UPDATE_WORKFLOW: _update,
    calls.VALIDATE_WORKFLOW: _validate,
    calls.LIST_WORKFLOWS: _list_workflows,
    calls.DELETE_WORKFLOW: _delete,
    calls.START_RUN: _start,
    calls.RETRY_RUN: _retry,
    calls.RERUN_RUN: _rerun,
    calls.LIST_RUNS: _list_runs,
    calls.CANCEL_RUN: _cancel,
    calls.PAUSE_RUN: _pause,
    calls.RESUME_RUN: _resume,
    calls.EXPLAIN_RUN: _explain,
    calls.START_SUB_WORKFLOW: _start_child,
    calls.GET_SUB_WORKFLOW_STATUS: _child,
    calls.LIST_EVENTS: _list_events,
    calls.LIST_ENGINES: _list_engines,
    calls.DRAIN_ENGINE: _drain,
    calls.UNDRAIN_ENGINE: _undrain,
}
_STREAMS: Final[
    Mapping[Call, Callable[[M, Any], AbstractAsyncContextManager[AsyncIterator[Any]]]]
] = {
    calls.GET_WORKFLOW: _get_workflow,
    calls.LIST_WORKFLOW_VERSIONS: _versions,
    calls.LIST_SUB_WORKFLOWS: _children,
    calls.GET_RUN: _get_run,
    calls.WAIT_FOR_RUN: _wait,
    calls.STREAM_JOURNAL: _journal,
    calls.GET_RUN_WORKFLOW: _workflow_of,
    calls.STREAM_LOGS: _logs,
    calls.STREAM_EVENTS: _events,
}


def _document(message: v1.Document | None) -> tuple[bytes, Mapping[str, str]]:
    message = message or v1.Document()
    return message.text, message.files


def _first(messages: Iterable[T], room: int) -> Iterator[T]:
    """Give messages as far as there is room for them, in bytes."""
    for message in messages:
        room -= len(bytes(cast("Any", message))) + 8
        if room < 0:
            return
        yield message


def _batches(messages: Iterable[T]) -> Iterator[list[T]]:
    """Give messages together, as many as have about :data:`~dagrun_grpc.limits.PART` bytes."""
    batch: list[T] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(bytes(cast("Any", message)))
        if size >= PART:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _each(replies: Iterable[T]) -> AsyncIterator[T]:
    for reply in replies:
        yield reply


async def _fitting(some: Callable[[int], Awaitable[T]], limit: int) -> T:
    """Give a list; a shorter one than was asked for, if that would not fit in a message."""
    limit = limit or USUAL
    reply = await some(limit)
    while len(bytes(cast("Any", reply))) > MAX_MESSAGE and limit > 1:
        limit = max(limit // 4, 1)
        reply = await some(limit)
    return reply
