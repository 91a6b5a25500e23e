"""The calls of ManagementService."""

from typing import Final

from grpclib.const import Cardinality

from dagrun.ports.tokens import Role
from dagrun_grpc.aio.calls import GIVES, UNARY, Call
from dagrun_grpc.limits import MAX_DOCUMENT, MAX_MESSAGE
from dagrun_grpc.wire.dagrun import v1

SERVICE: Final = "dagrun.v1.ManagementService"


def _call(
    name: str,
    role: Role,
    kind: Cardinality = UNARY,
    *,
    most: int = MAX_MESSAGE,
    large: bool = False,
) -> Call:
    return Call(
        f"/{SERVICE}/{name}",
        kind,
        getattr(v1, f"{name}Request"),
        getattr(v1, f"{name}Response"),
        role,
        most,
        large,
    )


REGISTER_WORKFLOW: Final = _call("RegisterWorkflow", Role.ADMIN, most=MAX_DOCUMENT)
UPDATE_WORKFLOW: Final = _call("UpdateWorkflow", Role.ADMIN, most=MAX_DOCUMENT)
VALIDATE_WORKFLOW: Final = _call("ValidateWorkflow", Role.VIEWER, most=MAX_DOCUMENT)
LIST_WORKFLOWS: Final = _call("ListWorkflows", Role.VIEWER, large=True)
LIST_WORKFLOW_VERSIONS: Final = _call("ListWorkflowVersions", Role.VIEWER, GIVES, large=True)
GET_WORKFLOW: Final = _call("GetWorkflow", Role.VIEWER, GIVES, large=True)
DELETE_WORKFLOW: Final = _call("DeleteWorkflow", Role.ADMIN)
START_RUN: Final = _call("StartRun", Role.OPERATOR)
RETRY_RUN: Final = _call("RetryRun", Role.OPERATOR)
RERUN_RUN: Final = _call("RerunRun", Role.OPERATOR)
GET_RUN: Final = _call("GetRun", Role.VIEWER, GIVES, large=True)
WAIT_FOR_RUN: Final = _call("WaitForRun", Role.VIEWER, GIVES)
LIST_RUNS: Final = _call("ListRuns", Role.VIEWER, large=True)
CANCEL_RUN: Final = _call("CancelRun", Role.OPERATOR)
PAUSE_RUN: Final = _call("PauseRun", Role.OPERATOR)
RESUME_RUN: Final = _call("ResumeRun", Role.OPERATOR)
EXPLAIN_RUN: Final = _call("ExplainRun", Role.VIEWER)
START_SUB_WORKFLOW: Final = _call("StartSubWorkflow", Role.OPERATOR)
GET_SUB_WORKFLOW_STATUS: Final = _call("GetSubWorkflowStatus", Role.VIEWER)
LIST_SUB_WORKFLOWS: Final = _call("ListSubWorkflows", Role.VIEWER, GIVES, large=True)
STREAM_JOURNAL: Final = _call("StreamJournal", Role.VIEWER, GIVES)
GET_RUN_WORKFLOW: Final = _call("GetRunWorkflow", Role.VIEWER, GIVES, large=True)
STREAM_LOGS: Final = _call("StreamLogs", Role.VIEWER, GIVES)
LIST_EVENTS: Final = _call("ListEvents", Role.VIEWER, large=True)
STREAM_EVENTS: Final = _call("StreamEvents", Role.VIEWER, GIVES)
LIST_ENGINES: Final = _call("ListEngines", Role.VIEWER)
DRAIN_ENGINE: Final = _call("DrainEngine", Role.OPERATOR)
UNDRAIN_ENGINE: Final = _call("UndrainEngine", Role.OPERATOR)

MANAGEMENT_SERVICE: Final = tuple(value for value in globals().values() if isinstance(value, Call))
