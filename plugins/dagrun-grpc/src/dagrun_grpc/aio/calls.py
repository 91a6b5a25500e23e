"""The calls that are served: their names, messages, and who may use them.

A call that is not here does not exist, and is answered with UNIMPLEMENTED.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final, cast

import attrs
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from dagrun.errors import AccessError, DagrunError
from dagrun.ports.tokens import Gate, Role
from dagrun_grpc.aio.access import admit, admitted
from dagrun_grpc.aio.bridge import in_trio
from dagrun_grpc.aio.refusals import refuse
from dagrun_grpc.aio.still import while_admitted
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.aio.turned_away import TurnedAway
from dagrun_grpc.limits import MAX_MESSAGE, MAX_OF_STRANGERS
from dagrun_grpc.wire.dagrun import v1
from dagrun_grpc.wire.grpc.health import v1 as health

Answer = Callable[[Stream[Any, Any]], Awaitable[None]]

UNARY: Final = Cardinality.UNARY_UNARY
GIVES: Final = Cardinality.UNARY_STREAM
BOTH: Final = Cardinality.STREAM_STREAM


@attrs.frozen
class Call:
    """A method of a service."""

    path: str
    kind: Cardinality
    request: type
    reply: type
    role: Role | None
    """Who may use it; None for everybody."""

    most: int = MAX_MESSAGE
    """Bytes of a request, at most."""

    large: bool = False
    """Whether an answer may have megabytes: few such calls are answered at once on a connection."""


def _for_engines(path: str, kind: Cardinality, request: type, reply: type) -> Call:
    return Call(path, kind, request, reply, Role.ENGINE)


SESSION: Final = _for_engines(
    "/dagrun.v1.EngineService/Session", BOTH, v1.FromOrchestrator, v1.FromEngine
)
ATTACH: Final = _for_engines(
    "/dagrun.v1.OrchestratorService/Attach", BOTH, v1.FromEngine, v1.FromOrchestrator
)
HEALTH_CHECK: Final = _for_engines(
    "/dagrun.v1.EngineService/HealthCheck", UNARY, v1.HealthCheckRequest, v1.HealthCheckResponse
)
REGISTER_ENGINE: Final = _for_engines(
    "/dagrun.v1.OrchestratorService/RegisterEngine",
    UNARY,
    v1.RegisterEngineRequest,
    v1.RegisterEngineResponse,
)
REPORT_STATUS: Final = _for_engines(
    "/dagrun.v1.OrchestratorService/ReportStatus",
    UNARY,
    v1.ReportStatusRequest,
    v1.ReportStatusResponse,
)
STREAM_STATUS: Final = _for_engines(
    "/dagrun.v1.OrchestratorService/StreamStatus",
    BOTH,
    v1.StreamStatusRequest,
    v1.StreamStatusResponse,
)
EXECUTE_WORKFLOW: Final = _for_engines(
    "/dagrun.v1.EngineService/ExecuteWorkflow",
    UNARY,
    v1.ExecuteWorkflowRequest,
    v1.ExecuteWorkflowResponse,
)
EXECUTE_SUB_WORKFLOW: Final = _for_engines(
    "/dagrun.v1.EngineService/ExecuteSubWorkflow",
    UNARY,
    v1.ExecuteSubWorkflowRequest,
    v1.ExecuteSubWorkflowResponse,
)
STOP_WORKFLOW: Final = _for_engines(
    "/dagrun.v1.EngineService/StopWorkflow",
    UNARY,
    v1.StopWorkflowRequest,
    v1.StopWorkflowResponse,
)
GET_ENGINE_STATUS: Final = _for_engines(
    "/dagrun.v1.EngineService/GetEngineStatus",
    UNARY,
    v1.GetEngineStatusRequest,
    v1.GetEngineStatusResponse,
)
STREAM_WORKFLOW_EVENTS: Final = _for_engines(
    "/dagrun.v1.EngineService/StreamWorkflowEvents",
    GIVES,
    v1.StreamWorkflowEventsRequest,
    v1.StreamWorkflowEventsResponse,
)
ENGINE_SERVICE: Final[Sequence[Call]] = (
    SESSION,
    EXECUTE_WORKFLOW,
    EXECUTE_SUB_WORKFLOW,
    STOP_WORKFLOW,
    HEALTH_CHECK,
    GET_ENGINE_STATUS,
    STREAM_WORKFLOW_EVENTS,
)
ORCHESTRATOR_SERVICE: Final[Sequence[Call]] = (
    ATTACH,
    REGISTER_ENGINE,
    REPORT_STATUS,
    STREAM_STATUS,
)
CHECK: Final = Call(
    "/grpc.health.v1.Health/Check",
    UNARY,
    health.HealthCheckRequest,
    health.HealthCheckResponse,
    None,
    MAX_OF_STRANGERS,
)
WATCH: Final = Call(
    "/grpc.health.v1.Health/Watch",
    GIVES,
    health.HealthCheckRequest,
    health.HealthCheckResponse,
    None,
    MAX_OF_STRANGERS,
)


class Service:
    """Calls and what answers them, as grpclib wants it.

    Args:
        calls: the calls.
        answers: path → what answers; there is one for each call.
        gate: decides on callers.
        seconds: after which it is asked again whether who has a stream may still have it.
    """

    def __init__(
        self, calls: Sequence[Call], answers: Mapping[str, Answer], gate: Gate, *, seconds: float
    ) -> None:
        turned_away = TurnedAway()
        self._handlers = {
            call.path: Handler(
                _checked(call, answers[call.path], gate, seconds, turned_away),
                call.kind,
                call.request,
                call.reply,
            )
            for call in calls
        }

    def __mapping__(self) -> dict[str, Handler]:
        """Give path → handler."""
        return self._handlers


def _checked(
    call: Call, answer: Answer, gate: Gate, seconds: float, turned_away: TurnedAway
) -> Answer:
    """Let in who may use a call, as long as they may, and keep out all others."""

    async def checked(stream: Stream[Any, Any]) -> None:
        ours = cast("GuardedStream", stream._stream)  # noqa: SLF001 — ours
        ours.most = call.most
        ours.keeps_open = False  # strangers keep no connection open, nor who was let in before
        try:
            if call.role is None:
                ours.connection.let_in |= await in_trio(admitted, stream, Role.ENGINE, gate)
                await answer(stream)
                return
            await in_trio(admit, stream, call.role, gate)
            ours.connection.let_in = ours.keeps_open = True
            async with ours.connection.large if call.large else nullcontext():
                if call.kind is UNARY:
                    await answer(stream)
                else:
                    await while_admitted(answer, stream, call.role, gate, seconds=seconds)
        except DagrunError as error:
            if isinstance(error, AccessError):
                turned_away.note(call.path, stream.peer.addr(), error)
            await refuse(stream, error)

    return checked
