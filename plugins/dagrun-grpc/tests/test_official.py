"""A client that gRPC's own tools made of ``proto/`` can talk to the listener."""

import json
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import trio

from dagrun.domain.events import Type
from dagrun.ports.frames import Beat, BeatSeen, LogChunk
from dagrun.services.journal.recent import RecentEvents
from dagrun.testing.journals import event
from dagrun_grpc import grpc
from dagrun_grpc.testing import of_engine, of_orchestrator

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Give the folder of what gRPC's own compiler makes."""
    folder = tmp_path_factory.mktemp("official")
    proto = folder / "proto"
    for path in (ROOT / "proto").rglob("*.proto"):
        # the library itself is called grpc, and its package of the health check grpc_health
        to = proto / str(path.relative_to(ROOT / "proto")).replace("grpc/health", "grpc_health")
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(path.read_text())
    files = [str(path) for path in proto.rglob("*.proto")]
    compiler = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={proto}"]
    program = [*compiler, f"--python_out={folder}", f"--grpc_python_out={folder}", *files]
    subprocess.run(program, check=True, capture_output=True, timeout=60)
    (folder / "dagrun/__init__.py").touch()  # else the installed package would be found before it
    return folder


async def called(generated, address, service, token="right"):
    script = Path(__file__).with_name("official_client.py")
    program = [sys.executable, script, generated, address, service, token]
    with trio.fail_after(60):
        done = await trio.run_process(program, capture_stdout=True)
    return json.loads(done.stdout)


def right(token, role):
    return (token, role) == ("right", "engine")


async def test_every_call_to_an_engine(generated):
    heard = []

    async def echo(channel):
        while True:
            heard.extend(await channel.receive())
            await channel.send([Beat(number=len(heard), held=()), Beat(number=0, held=())])

    async with grpc(port=0, accepts=right) as transport, trio.open_nursery() as nursery:
        recent = RecentEvents("i")
        recent.add([event(1, Type.RUN_RUNNING)])
        serve = partial(transport.serve_engine, echo, offered=of_engine(events=recent))
        address = await nursery.start(serve)
        made = await called(generated, address, "EngineService")
        nursery.cancel_scope.cancel()
    assert heard == [BeatSeen(number=1), BeatSeen(number=2)]
    assert made.pop("Session") == [2, 2]
    release = version("dagrun-core")
    assert made.pop("HealthCheck") == f'status: STATUS_SERVING\nrelease: "{release}"\n'
    assert made.pop("Check") == "status: SERVING\n"
    refused = 'reason: "nothing is executed here"\n'
    assert made.pop("ExecuteWorkflow") == made.pop("ExecuteSubWorkflow") == refused
    assert made.pop("StopWorkflow") == ""
    status = made.pop("GetEngineStatus")
    assert 'engine_id: "e1"' in status
    assert "state: STATE_IDLE" in status
    followed = made.pop("StreamWorkflowEvents")
    assert "run.running" in followed
    assert followed.endswith('last: true\n}\nposition: "i.1"\n')
    assert not made


async def test_every_call_to_an_orchestrator(generated):
    heard = []

    async def echo(channel):
        while True:
            heard.extend(await channel.receive())
            await channel.send([BeatSeen(number=len(heard))])

    async with grpc(port=0, accepts=right) as transport, trio.open_nursery() as nursery:
        serve = partial(transport.serve_orchestrator, echo, offered=of_orchestrator(right))
        address = await nursery.start(serve)
        made = await called(generated, address, "OrchestratorService")
        nursery.cancel_scope.cancel()
    chunk = LogChunk(
        run_id="r", node_id="", attempt=1, item=None, epoch=1, offset=7, data=b"x" * 1_000_000
    )
    assert heard == [Beat(number=1, held=()), chunk]
    assert made.pop("Attach") == [1, 1]
    assert made.pop("Check") == "status: SERVING\n"
    kept = 'runs {\n  kept {\n    run_id: "r"\n    epoch: 2\n  }\n}\n'
    assert made.pop("ReportStatus") == made.pop("StreamStatus") == kept
    assert made.pop("RegisterEngine").startswith("reason: ")
    assert not made
