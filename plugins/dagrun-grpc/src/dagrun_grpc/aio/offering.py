"""What an orchestrator serves beside the streams of engines."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from grpclib.server import Stream

from dagrun.errors import ConfigError
from dagrun.ports.tokens import Gate
from dagrun.ports.transport import Offered
from dagrun_grpc.address import split
from dagrun_grpc.aio.answering import described, once
from dagrun_grpc.aio.bridge import in_trio
from dagrun_grpc.aio.calls import (
    ORCHESTRATOR_SERVICE,
    REGISTER_ENGINE,
    REPORT_STATUS,
    STREAM_STATUS,
    Answer,
    Call,
)
from dagrun_grpc.aio.manage_calls import MANAGEMENT_SERVICE
from dagrun_grpc.aio.manage_serve import answers
from dagrun_grpc.aio.requests import requests_of
from dagrun_grpc.statuses import seen_out, status_in
from dagrun_grpc.wire.dagrun import v1


def offering(offered: Offered, seconds: float) -> tuple[Sequence[Call], Mapping[str, Answer], Gate]:
    """Give the calls that are served, path → what answers, and who decides on callers.

    Args:
        offered: what there is.
        seconds: in which a request must arrive.
    """
    calls = (*ORCHESTRATOR_SERVICE, *MANAGEMENT_SERVICE)
    known: Mapping[str, Answer] = {
        **answers(offered.management, seconds),
        REGISTER_ENGINE.path: once(partial(_register, offered), seconds),
        REPORT_STATUS.path: once(partial(_report, offered), seconds),
        STREAM_STATUS.path: partial(_stream_status, offered, seconds),
    }
    return calls, known, offered.gate


async def _register(
    offered: Offered, request: v1.RegisterEngineRequest
) -> v1.RegisterEngineResponse:
    """Know an engine that waits to be dialled."""
    reason = ""
    try:
        split(request.address)
        offered.register(request.address)
    except ConfigError as error:
        reason = str(error)
    return v1.RegisterEngineResponse(accepted=not reason, reason=reason)


async def _report(offered: Offered, request: v1.ReportStatusRequest) -> v1.ReportStatusResponse:
    return v1.ReportStatusResponse(runs=_seen(offered, request.status))


async def _stream_status(offered: Offered, seconds: float, stream: Stream[Any, Any]) -> None:
    async def seen(request: v1.StreamStatusRequest) -> v1.StreamStatusResponse:
        return v1.StreamStatusResponse(runs=_seen(offered, request.status))

    async with aclosing(requests_of(stream, seconds)) as requests:
        async for request in requests:
            with described(stream):
                reply = await in_trio(seen, request)
                await stream.send_message(reply)


def _seen(offered: Offered, status: v1.EngineStatus | None) -> v1.RunsSeen:
    return seen_out(offered.report(status_in(status)))
