"""A client of somebody else: made from the protocol with grpcio, and nothing of dagrun.

``python third_party.py FOLDER ADDRESS TOKEN ENGINE`` calls every method of an orchestrator and of an
engine but for their stream, and prints what came as JSON. FOLDER holds the generated code, ADDRESS and
ENGINE are those of the two.
"""

import json
import sys
import threading
import time

folder, address, token, engine_address = sys.argv[1:]
sys.path.insert(0, folder)

# E402: these are found through the path that has just been set.
import grpc  # noqa: E402 — see above
from dagrun.v1 import (  # noqa: E402 — see above
    engine_pb2,
    engine_pb2_grpc,
    management_pb2_grpc,
    orchestrator_pb2,
    orchestrator_pb2_grpc,
    session_pb2,
)
from dagrun.v1 import management_pb2 as pb  # noqa: E402 — see above

NODE = {"id": "a", "executor": {"type": "told"}, "inputs": {"print": "text", "outputs": {"n": 2}}}


def document(workflow_id, version="1.0.0", **inputs):
    node = {**NODE, "inputs": {**NODE["inputs"], **inputs}}
    whole = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": {"id": workflow_id, "version": version},
        "spec": {"nodes": [node]},
    }
    return pb.Document(text=json.dumps(whole).encode())


class Stub:
    """Calls methods, and notes which."""

    def __init__(self, stub):
        self._stub = stub
        self.called = set()

    def __getattr__(self, name):
        self.called.add(name)
        method = getattr(self._stub, name)
        return lambda request: method(
            request, timeout=15, metadata=[("authorization", f"Bearer {token}")]
        )


channel = grpc.insecure_channel(address)
api = Stub(management_pb2_grpc.ManagementServiceStub(channel))
hears = Stub(orchestrator_pb2_grpc.OrchestratorServiceStub(channel))
at_engine = Stub(engine_pb2_grpc.EngineServiceStub(grpc.insecure_channel(engine_address)))
told = {}


def events_of_engine(**fields):
    """Begin to follow the engine's events; when this returns, nothing more is missed."""
    stream = at_engine.StreamWorkflowEvents(engine_pb2.StreamWorkflowEventsRequest(**fields))
    for _ in stream.initial_metadata():
        pass
    return stream


def followed(stream, until):
    """Read until a type comes; give the types, and where to go on."""
    text, seen = b"", []
    for reply in stream:
        text += reply.events.data
        if reply.events.last:
            seen += [event[3] for event in json.loads(text)]
            text = b""
            if until in seen:
                stream.cancel()
                return seen, reply.position
    raise EOFError


def states():
    return [one.status for one in api.ListEngines(pb.ListEnginesRequest()).items]


news = api.StreamEvents(pb.StreamEventsRequest(filter=pb.EventFilter(types=["run.succeeded"])))
for _ in news.initial_metadata():
    pass
first = threading.Thread(target=lambda: told.update(event=next(iter(news)).event.type))
first.start()

told["created"] = api.RegisterWorkflow(
    pb.RegisterWorkflowRequest(document=document("w"), metadata=b'{"team":"x"}')
).created
told["updated"] = api.UpdateWorkflow(
    pb.UpdateWorkflowRequest(workflow_id="w", document=document("w", "1.1.0"))
).version
large = pb.Document(
    text=document("large").text.ljust(4 * 1024 * 1024), files={"f": "x" * 4_000_000}
)
request = pb.RegisterWorkflowRequest(document=large)
told["large"] = api.RegisterWorkflow(request).created
request.document.files["g"] = "x" * 1_000_000
own = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own: the server ends it
alone = management_pb2_grpc.ManagementServiceStub(grpc.insecure_channel(address, options=own))
try:
    Stub(alone).RegisterWorkflow(request)
except grpc.RpcError as error:
    told["too_large"] = (error.code().name, "at most 8388608" in error.details())
api.DeleteWorkflow(pb.DeleteWorkflowRequest(workflow_id="large"))
told["problems"] = [
    (one.message, one.line)
    for one in api.ValidateWorkflow(
        pb.ValidateWorkflowRequest(document=pb.Document(text=b"apiVersion: dagrun/v1\nspec: []\n"))
    ).problems
]
told["workflows"] = [one.version for one in api.ListWorkflows(pb.ListWorkflowsRequest()).items]
told["versions"] = [
    (one.version, one.metadata.decode())
    for some in api.ListWorkflowVersions(pb.ListWorkflowVersionsRequest(workflow_id="w"))
    for one in some.items
]
parts = list(api.GetWorkflow(pb.GetWorkflowRequest(workflow_id="w", version="1.0.0")))
told["definition"] = json.loads(b"".join(part.definition for part in parts))["nodes"][0]["id"]

following = events_of_engine()
run = api.StartRun(pb.StartRunRequest(workflow_id="w", inputs=b'{"k":1}', priority=3)).run
waited = api.WaitForRun(pb.WaitForRunRequest(run_id=run.run_id))
result = json.loads(b"".join(part.run for part in waited))
got = api.GetRun(pb.GetRunRequest(run_id=run.run_id))
told["run"] = (result["status"], result["nodes"][0]["outputs"], result["inputs"])
told["followed"], end = followed(following, "run.succeeded")
told["same"] = json.loads(b"".join(part.run for part in got)) == result
told["runs"] = [one.status for one in api.ListRuns(pb.ListRunsRequest(status="succeeded")).items]
told["reasons"] = list(api.ExplainRun(pb.ExplainRunRequest(run_id=run.run_id)).reasons)
journal = b"".join(
    reply.events.data
    for reply in api.StreamJournal(pb.StreamJournalRequest(run_id=run.run_id, once=True))
)
told["journal"] = [event[3] for event in json.loads(journal)][-1]
workflow = api.GetRunWorkflow(pb.GetRunWorkflowRequest(run_id=run.run_id))
told["run_workflow"] = json.loads(b"".join(part.definition for part in workflow))["version"]
told["logs"] = [
    one.text for one in api.StreamLogs(pb.StreamLogsRequest(run_id=run.run_id, follow=True))
]
told["events"] = [
    one.type for one in api.ListEvents(pb.ListEventsRequest(after="0", limit=1)).items
]

again = api.RerunRun(pb.RerunRunRequest(run_id=run.run_id, from_node="a", priority=4)).run
told["again"] = (again.rerun_of == run.run_id, run.HasField("rerun_of"))
list(api.WaitForRun(pb.WaitForRunRequest(run_id=again.run_id)))

api.RegisterWorkflow(pb.RegisterWorkflowRequest(document=document("long", gate="never")))
parent = api.StartRun(pb.StartRunRequest(workflow_id="long")).run
child = api.StartSubWorkflow(
    pb.StartSubWorkflowRequest(parent_run_id=parent.run_id, workflow_id="long", version="^1.0")
).run
status = api.GetSubWorkflowStatus(pb.GetSubWorkflowStatusRequest(run_id=child.run_id)).sub_workflow
told["child"] = (status.parent_run_id == parent.run_id, status.depth, status.HasField("node_id"))
children = api.ListSubWorkflows(pb.ListSubWorkflowsRequest(run_id=parent.run_id))
told["children"] = sum(len(some.items) for some in children)
while len(known := at_engine.GetEngineStatus(engine_pb2.GetEngineStatusRequest()).status.runs) < 2:
    time.sleep(0.02)
told["more"] = followed(events_of_engine(run_id=child.run_id, after=end), "run.running")[0][0]
told["has"] = sorted(one.run_id for one in known) == sorted([parent.run_id, child.run_id])
status = at_engine.GetEngineStatus(engine_pb2.GetEngineStatusRequest()).status
status.runs.append(session_pb2.RunEpoch(run_id=run.run_id, epoch=1))
status.state = engine_pb2.EngineStatus.STATE_DRAINING
seen = hears.ReportStatus(orchestrator_pb2.ReportStatusRequest(status=status)).runs
told["reported"] = (len(seen.kept), [one.run_id == run.run_id for one in seen.stopped], states())
status.state = engine_pb2.EngineStatus.STATE_RUNNING
requests = [orchestrator_pb2.StreamStatusRequest(status=status)] * 2
told["streamed"] = [len(one.runs.kept) for one in hears.StreamStatus(iter(requests))]
told["streamed"].append(states())
registered = orchestrator_pb2.RegisterEngineRequest(address="nowhere")
told["registered"] = hears.RegisterEngine(registered).accepted
dispatch = session_pb2.Dispatch(run_id="none", epoch=1, definition=b"{}", inputs=b"{}")
told["executed"] = [
    at_engine.ExecuteWorkflow(engine_pb2.ExecuteWorkflowRequest(dispatch=dispatch)).accepted,
    at_engine.ExecuteSubWorkflow(engine_pb2.ExecuteSubWorkflowRequest(dispatch=dispatch)).accepted,
    at_engine.StopWorkflow(engine_pb2.StopWorkflowRequest(run_id="none", epoch=1)).stopped,
]
told["health"] = at_engine.HealthCheck(engine_pb2.HealthCheckRequest()).status
told["paused"] = api.PauseRun(pb.PauseRunRequest(run_id=parent.run_id)).change.changed
told["resumed"] = api.ResumeRun(pb.ResumeRunRequest(run_id=parent.run_id)).change.changed
told["cancelled"] = api.CancelRun(pb.CancelRunRequest(run_id=parent.run_id)).change.changed

for _ in api.WaitForRun(pb.WaitForRunRequest(run_id=parent.run_id)):
    pass
retried = api.RetryRun(pb.RetryRunRequest(run_id=parent.run_id, idempotency_key="k")).run
told["retried"] = retried.rerun_of == parent.run_id
api.CancelRun(pb.CancelRunRequest(run_id=retried.run_id))

engine = api.ListEngines(pb.ListEnginesRequest()).items[0]
told["engine"] = (engine.id, engine.capacity, dict(engine.labels))
told["drained"] = api.DrainEngine(pb.DrainEngineRequest(engine_id=engine.id)).engine.status
told["undrained"] = api.UndrainEngine(pb.UndrainEngineRequest(engine_id=engine.id)).engine.status
told["deleted"] = list(api.DeleteWorkflow(pb.DeleteWorkflowRequest(workflow_id="w")).versions)

try:
    api.GetRun(pb.GetRunRequest(run_id="none")).next()
except grpc.RpcError as error:
    details = dict(error.trailing_metadata() or error.initial_metadata())
    known = pb.Error.FromString(details["dagrun-error-bin"])
    told["refusal"] = (error.code().name, error.details(), known.type, known.message)

first.join(15)
news.cancel()
services = [
    (pb, "ManagementService", api),
    (orchestrator_pb2, "OrchestratorService", hears),
    (engine_pb2, "EngineService", at_engine),
]
told["not_called"] = sorted(
    method.name
    for module, name, stub in services
    for method in module.DESCRIPTOR.services_by_name[name].methods
    if method.name not in stub.called
)
print(json.dumps(told))
