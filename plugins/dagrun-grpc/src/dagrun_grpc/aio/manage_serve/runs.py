"""Answers about runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dagrun.domain.serialize import to_json
from dagrun.domain.status import RunStatus
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.manage_serve.kinds import M, Once, Streams
from dagrun_grpc.aio.manage_serve.lists import batches, each, fitting
from dagrun_grpc.events import encode_events
from dagrun_grpc.wire.dagrun import v1


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
    yield each([v1.GetRunResponse(run=piece) for piece in views.pieces(text)])


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
            top_level=request.top_level,
            limit=limit,
            cursor=request.cursor or None,
        )
        items = [views.run_out(one) for one in page.items]
        return v1.ListRunsResponse(items=items, next=page.next)

    return await fitting(some, request.limit)


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


@asynccontextmanager
async def _workflow_of(
    m: M, request: v1.GetRunWorkflowRequest
) -> AsyncIterator[AsyncIterator[v1.GetRunWorkflowResponse]]:
    text = to_json(await m.runs.workflow_of(request.run_id))
    yield each([v1.GetRunWorkflowResponse(definition=piece) for piece in views.pieces(text)])


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
    yield each(v1.ListSubWorkflowsResponse(items=some) for some in batches(found))


@asynccontextmanager
async def _journal(
    m: M, request: v1.StreamJournalRequest
) -> AsyncIterator[AsyncIterator[v1.StreamJournalResponse]]:
    async def replies() -> AsyncIterator[v1.StreamJournalResponse]:
        async for batch in portions:
            for part in views.parts(encode_events(batch)):
                yield v1.StreamJournalResponse(events=part)

    async with m.runs.journal(
        request.run_id, after=request.after, follow=not request.once
    ) as portions:
        yield replies()


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


ONCE: Final[Once] = {
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
}
STREAMS: Final[Streams] = {
    calls.LIST_SUB_WORKFLOWS: _children,
    calls.GET_RUN: _get_run,
    calls.WAIT_FOR_RUN: _wait,
    calls.STREAM_JOURNAL: _journal,
    calls.GET_RUN_WORKFLOW: _workflow_of,
    calls.STREAM_LOGS: _logs,
}
