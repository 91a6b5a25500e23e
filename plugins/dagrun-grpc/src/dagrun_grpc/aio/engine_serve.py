"""Answers of an engine to those who ask it beside the stream."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from dagrun.domain.ids import RunId
from dagrun.errors import InputError, Problem
from dagrun.ports.engine import DurableEvents
from dagrun.ports.frames import Dispatch, Stop
from dagrun.ports.transport import EngineOffered
from dagrun_grpc.aio.answering import many, once
from dagrun_grpc.aio.calls import (
    EXECUTE_SUB_WORKFLOW,
    EXECUTE_WORKFLOW,
    GET_ENGINE_STATUS,
    STOP_WORKFLOW,
    STREAM_WORKFLOW_EVENTS,
    Answer,
)
from dagrun_grpc.codec import Malformed, decode
from dagrun_grpc.events import encode_events
from dagrun_grpc.manage_views import parts
from dagrun_grpc.statuses import status_out
from dagrun_grpc.wire.dagrun import v1


def answers(offered: EngineOffered, seconds: float) -> Mapping[str, Answer]:
    """Give path → what answers.

    Args:
        offered: does what is asked for.
        seconds: in which a request must arrive.
    """
    acts: Mapping[str, Callable[[EngineOffered, Any], Awaitable[Any]]] = {
        GET_ENGINE_STATUS.path: _status,
        EXECUTE_WORKFLOW.path: _execute,
        EXECUTE_SUB_WORKFLOW.path: _execute_sub,
        STOP_WORKFLOW.path: _stop,
    }
    return {
        **{path: once(partial(act, offered), seconds) for path, act in acts.items()},
        STREAM_WORKFLOW_EVENTS.path: many(partial(_events, offered), seconds),
    }


async def _status(
    offered: EngineOffered, _request: v1.GetEngineStatusRequest
) -> v1.GetEngineStatusResponse:
    return v1.GetEngineStatusResponse(status=status_out(offered.report()))


async def _execute(
    offered: EngineOffered, request: v1.ExecuteWorkflowRequest
) -> v1.ExecuteWorkflowResponse:
    why = await offered.hear(_dispatch(request.dispatch))
    return v1.ExecuteWorkflowResponse(accepted=why is None, reason=why or "")


async def _execute_sub(
    offered: EngineOffered, request: v1.ExecuteSubWorkflowRequest
) -> v1.ExecuteSubWorkflowResponse:
    why = await offered.hear(_dispatch(request.dispatch))
    return v1.ExecuteSubWorkflowResponse(accepted=why is None, reason=why or "")


async def _stop(offered: EngineOffered, request: v1.StopWorkflowRequest) -> v1.StopWorkflowResponse:
    frame = Stop(run_id=RunId(request.run_id), epoch=request.epoch, reason=request.reason)
    return v1.StopWorkflowResponse(stopped=await offered.hear(frame) is None)


def _dispatch(message: v1.Dispatch | None) -> Dispatch:
    """Read a dispatch as it stands in the frames of the stream.

    Raises:
        InputError: it is none.
    """
    wrapped = v1.OrchestratorFrame(dispatch=message or v1.Dispatch())
    try:
        (frame,) = decode(v1.FromOrchestrator(frames=[wrapped]))
    except (Malformed, ValueError) as error:
        raise InputError([Problem(message=str(error), path="dispatch")]) from error
    assert isinstance(frame, Dispatch)  # noqa: S101 — as was just written
    return frame


@asynccontextmanager
async def _events(
    offered: EngineOffered, request: v1.StreamWorkflowEventsRequest
) -> AsyncIterator[AsyncIterator[v1.StreamWorkflowEventsResponse]]:
    pages = offered.events.follow(run_id=request.run_id or None, after=request.after or None)
    async with aclosing(pages), aclosing(_written(pages)) as replies:
        yield replies


async def _written(
    pages: AsyncIterator[DurableEvents],
) -> AsyncGenerator[v1.StreamWorkflowEventsResponse, None]:
    async for page in pages:
        if page.missing:
            yield v1.StreamWorkflowEventsResponse(position=page.position, missing=True)
            continue
        for part in parts(encode_events(page.events)):
            position = page.position if part.last else ""
            yield v1.StreamWorkflowEventsResponse(events=part, position=position)
