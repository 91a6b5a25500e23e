"""Who has nothing of dagrun but its protocol can manage an orchestrator."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from dagrun.ports.tokens import Role
from dagrun.services.gate import token_hash
from dagrun.testing.managed import managed
from dagrun.testing.stores.tokens import token
from dagrun_grpc import grpc

PROTO = Path(__file__).parents[3] / "proto"
CLIENT = Path(__file__).with_name("third_party.py")
LIMIT = 60.0
EXECUTED = ["run.running", "node.running", "node.succeeded", "run.succeeded"]


def generate(folder):
    """Make a client's code, as its author would."""
    folder.mkdir()
    files = [str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto")]
    places = (f"--proto_path={PROTO}", f"--python_out={folder}", f"--grpc_python_out={folder}")
    command = [sys.executable, "-m", "grpc_tools.protoc", *places, *files]
    subprocess.run(command, check=True, timeout=LIMIT)
    for package in ("dagrun", "dagrun/v1"):  # else the dagrun that is installed here is found
        (folder / package / "__init__.py").touch()


def transport():
    """Make one that shows the token, for the engine."""
    return grpc(port=0, token="secret")


async def test_a_client_of_grpcio_calls_every_method(tmp_path):
    code = tmp_path / "code"
    await trio.to_thread.run_sync(generate, code)
    with trio.fail_after(LIMIT):
        async with managed(tmp_path / "data", transport, listens=True) as world:
            await world.leading.store.add_token(
                token("a", role=Role.ADMIN, hash=token_hash("secret"))
            )
            addresses = (world.address, "secret", world.engine_address)
            command = [sys.executable, str(CLIENT), str(code), *addresses]
            call = partial(subprocess.run, command, capture_output=True, text=True, timeout=LIMIT)
            done = await trio.to_thread.run_sync(call)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (reason,) = told.pop("reasons")
    assert "succeeded" in reason
    assert {line for _, line in told.pop("problems")} >= {1, 2}
    assert told.pop("undrained") in ("idle", "running")
    code, text, kind, message = told.pop("refusal")
    assert (code, kind) == ("NOT_FOUND", "not_found")
    assert text == message == "there is no run 'none'"
    assert told == {
        "event": "run.succeeded",
        "created": True,
        "updated": "1.1.0",
        "workflows": ["1.1.0"],
        "versions": [["1.1.0", ""], ["1.0.0", '{"team":"x"}']],
        "definition": "a",
        "run": ["succeeded", {"n": 2}, {"k": 1}],
        "same": True,
        "runs": ["succeeded"],
        "journal": "run.succeeded",
        "run_workflow": "1.1.0",
        "logs": ["text"],
        "events": ["run.queued"],
        "again": [True, False],
        "retried": True,
        "child": [True, 1, False],
        "children": 1,
        "paused": True,
        "resumed": True,
        "cancelled": True,
        "engine": ["e1", 10, {"zone": "a"}],
        "drained": "draining",
        "deleted": ["1.1.0", "1.0.0"],
        "large": True,
        "too_large": ["RESOURCE_EXHAUSTED", True],
        "followed": EXECUTED,
        "more": "run.running",
        "has": True,
        "reported": [2, [True], ["draining"]],
        "streamed": [2, 2, ["running"]],
        "registered": False,
        "executed": [False, False, False],
        "health": 1,
        "not_called": ["Attach", "Session"],  # see test_official
    }
