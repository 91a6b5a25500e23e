"""What an orchestrator serves beside the streams of engines."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from grpclib.server import Stream

from dagrun.errors import ConfigError
from dagrun.ports.tokens import Gate
from dagrun.ports.transport import Offered
from dagrun_grpc.address import split
from dagrun_grpc.aio.calls import ORCHESTRATOR_SERVICE, REGISTER_ENGINE, Answer, Call
from dagrun_grpc.aio.manage_calls import MANAGEMENT_SERVICE
from dagrun_grpc.aio.manage_serve import answers
from dagrun_grpc.aio.requests import request_of
from dagrun_grpc.wire.dagrun import v1


def offering(offered: Offered, seconds: float) -> tuple[Sequence[Call], Mapping[str, Answer], Gate]:
    """Give the calls that are served, path → what answers, and who decides on callers.

    Args:
        offered: what there is.
        seconds: in which a request must arrive.
    """
    calls = (*ORCHESTRATOR_SERVICE, *MANAGEMENT_SERVICE)
    register: Answer = partial(_register, offered, seconds)
    known: Mapping[str, Answer] = {
        **answers(offered.management, seconds),
        REGISTER_ENGINE.path: register,
    }
    return calls, known, offered.gate


async def _register(offered: Offered, seconds: float, stream: Stream[Any, Any]) -> None:
    """Know an engine that waits to be dialled."""
    request: v1.RegisterEngineRequest = await request_of(stream, seconds)
    reason = ""
    try:
        split(request.address)
        offered.register(request.address)
    except ConfigError as error:
        reason = str(error)
    await stream.send_message(v1.RegisterEngineResponse(accepted=not reason, reason=reason))
