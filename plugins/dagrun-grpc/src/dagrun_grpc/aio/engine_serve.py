"""Answers of an engine to those who ask it beside the stream."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from grpclib.server import Stream

from dagrun.domain.ids import RunId
from dagrun.errors import InputError, Problem
from dagrun.ports import engine as states
from dagrun.ports.engine import EngineReport
from dagrun.ports.frames import Dispatch, Stop
from dagrun.ports.transport import EngineOffered
from dagrun_grpc.aio.bridge import in_trio
from dagrun_grpc.aio.calls import (
    EXECUTE_SUB_WORKFLOW,
    EXECUTE_WORKFLOW,
    GET_ENGINE_STATUS,
    STOP_WORKFLOW,
    Answer,
)
from dagrun_grpc.aio.requests import request_of
from dagrun_grpc.codec import Malformed, decode
from dagrun_grpc.wire.dagrun import v1

STATES: Final = {
    states.IDLE: v1.EngineStatusState.IDLE,
    states.RUNNING: v1.EngineStatusState.RUNNING,
    states.DRAINING: v1.EngineStatusState.DRAINING,
    states.UNHEALTHY: v1.EngineStatusState.UNHEALTHY,
}


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
    return {path: partial(_once, partial(act, offered), seconds) for path, act in acts.items()}


async def _once(
    act: Callable[[Any], Awaitable[Any]], seconds: float, stream: Stream[Any, Any]
) -> None:
    request = await request_of(stream, seconds)
    await stream.send_message(await in_trio(act, request))


async def _status(
    offered: EngineOffered, _request: v1.GetEngineStatusRequest
) -> v1.GetEngineStatusResponse:
    return v1.GetEngineStatusResponse(status=_written(offered.report()))


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


def _written(report: EngineReport) -> v1.EngineStatus:
    return v1.EngineStatus(
        engine_id=report.engine_id,
        instance=report.instance,
        release=report.release,
        state=STATES[report.status],
        capacity=report.capacity,
        runs=[v1.RunEpoch(run_id=run_id, epoch=epoch) for run_id, epoch in report.runs],
        executors=sorted(report.offers.executors),
        labels=dict(report.offers.labels),
        resources=dict(report.offers.resources),
        time_us=int(datetime.now(UTC).timestamp() * 1_000_000),
    )
