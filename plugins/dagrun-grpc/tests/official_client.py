"""Calls every method with gRPC's own library: ``official_client.py FOLDER ADDRESS SERVICE TOKEN``.

FOLDER holds what gRPC's own compiler makes of ``proto/``. Prints what came of the calls, as JSON.
"""

import importlib
import json
import sys
from functools import partial

import grpc

FOLDER, ADDRESS, SERVICE, TOKEN = sys.argv[1:]
sys.path.insert(0, FOLDER)
session = importlib.import_module("dagrun.v1.session_pb2")
module = {"EngineService": "engine", "OrchestratorService": "orchestrator"}[SERVICE]
described = importlib.import_module(f"dagrun.v1.{module}_pb2").DESCRIPTOR
stubs = importlib.import_module(f"dagrun.v1.{module}_pb2_grpc")
health = importlib.import_module("grpc_health.v1.health_pb2")
METADATA = (("authorization", f"Bearer {TOKEN}"),)


def outcome(call):
    """Make a call; give the answer, or the first one, or the status."""
    try:
        answer = call()
        if not hasattr(answer, "__next__"):
            return str(answer)
        first = str(next(answer))
        answer.cancel()
    except grpc.RpcError as error:
        return error.code().name
    else:
        return first


def asked_of(method):
    """Give the request of a call."""
    message = method.input_type._concrete_class()
    if method.name in ("ReportStatus", "StreamStatus"):
        message.status.engine_id, message.status.state = "e1", 1
        message.status.runs.add(run_id="r", epoch=2)
    elif method.name == "StreamWorkflowEvents":
        message.after = "i.0"
    elif method.name in ("ExecuteWorkflow", "ExecuteSubWorkflow"):
        message.dispatch.inputs = b"{}"
        message.dispatch.run_id = "r"
    return message


def conversation(method):
    """Say two things on a stream, the second as large as one message may be; give the answers."""
    frames = [
        session.EngineFrame(beat=session.Beat(number=1)),
        session.EngineFrame(
            log_chunk=session.LogChunk(
                run_id="r", attempt=1, epoch=1, offset=7, data=b"x" * 1_000_000
            )
        ),
    ]
    if SERVICE == "EngineService":
        frames = [
            session.OrchestratorFrame(beat_seen=session.BeatSeen(number=number))
            for number in (1, 2)
        ]
        kind = session.FromOrchestrator
    else:
        kind = session.FromEngine
    return [
        len(answer.frames)
        for answer in method(
            (kind(frames=[frame]) for frame in frames), metadata=METADATA, timeout=10
        )
    ]


def main():
    with grpc.insecure_channel(ADDRESS) as channel:
        stub = getattr(stubs, f"{SERVICE}Stub")(channel)
        made = {}
        for method in described.services_by_name[SERVICE].methods:
            call, message = getattr(stub, method.name), asked_of(method)
            if method.name in ("Session", "Attach"):
                made[method.name] = conversation(call)
                continue
            asked = iter([message] * 2) if method.client_streaming else message
            made[method.name] = outcome(partial(call, asked, metadata=METADATA, timeout=10))
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )
        made["Check"] = outcome(partial(check, health.HealthCheckRequest(), timeout=10))
    print(json.dumps(made))


main()
