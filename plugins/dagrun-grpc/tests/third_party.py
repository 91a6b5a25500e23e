"""A client of somebody else: made from the protocol with grpcio, and nothing of dagrun.

``python third_party.py FOLDER ADDRESS TOKEN`` calls every method once, and prints what came as JSON.
FOLDER holds the generated code.
"""

import json
import sys
import threading

folder, address, token = sys.argv[1:]
sys.path.insert(0, folder)

# E402: these are found through the path that has just been set.
import grpc  # noqa: E402 — see above
from dagrun.v1 import management_pb2 as pb  # noqa: E402 — see above
from dagrun.v1 import management_pb2_grpc as stubs  # noqa: E402 — see above

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

    def __init__(self, channel):
        self._stub = stubs.ManagementServiceStub(channel)
        self.called = set()

    def __getattr__(self, name):
        self.called.add(name)
        method = getattr(self._stub, name)
        return lambda request: method(
            request, timeout=15, metadata=[("authorization", f"Bearer {token}")]
        )


channel = grpc.insecure_channel(address)
api = Stub(channel)
told = {}

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
told["problems"] = [
    (one.message, one.line)
    for one in api.ValidateWorkflow(
        pb.ValidateWorkflowRequest(document=pb.Document(text=b"apiVersion: dagrun/v1\nspec: []\n"))
    ).problems
]
told["workflows"] = [one.version for one in api.ListWorkflows(pb.ListWorkflowsRequest()).items]
told["versions"] = [
    (one.version, one.metadata.decode())
    for one in api.ListWorkflowVersions(pb.ListWorkflowVersionsRequest(workflow_id="w")).items
]
parts = list(api.GetWorkflow(pb.GetWorkflowRequest(workflow_id="w", version="1.0.0")))
told["definition"] = json.loads(b"".join(part.definition for part in parts))["nodes"][0]["id"]

run = api.StartRun(pb.StartRunRequest(workflow_id="w", inputs=b'{"k":1}', priority=3)).run
waited = api.WaitForRun(pb.WaitForRunRequest(run_id=run.run_id))
result = json.loads(b"".join(part.run for part in waited))
got = api.GetRun(pb.GetRunRequest(run_id=run.run_id))
told["run"] = (result["status"], result["nodes"][0]["outputs"], result["inputs"])
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
told["logs"] = [one.text for one in api.StreamLogs(pb.StreamLogsRequest(run_id=run.run_id))]
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
told["children"] = len(api.ListSubWorkflows(pb.ListSubWorkflowsRequest(run_id=parent.run_id)).items)
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
service = pb.DESCRIPTOR.services_by_name["ManagementService"]
told["not_called"] = sorted({method.name for method in service.methods} - api.called)
print(json.dumps(told))
