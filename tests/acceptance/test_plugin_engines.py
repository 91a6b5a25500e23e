"""An orchestrator and engines that are put together from plugins of somebody else.

All of it runs in processes of its own, in the environment where the plugins are installed. Each
kind of plugin is chosen by its variable.
"""

import json
import re
from functools import partial

import attrs
import pytest

from dagrun.testing.programs import launching, until
from dagrun.testing.roles import address_of, read_log

pytestmark = pytest.mark.timeout(900)  # pip builds and installs for the first of them

EXEC = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
CHOSEN = {
    "TRANSPORT_TYPE": "json",
    "LOAD_BALANCER_TYPE": "pinned",
    "DAGRUN_DISCOVERY": "file",
    "DAGRUN_SUBSCRIBERS": "file",
}

ORCHESTRATES = """
import logging, os, sys, trio
from dagrun.domain.workflow import ExecutorSpec, Node, Placement, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.submission import Submission
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read

logging.basicConfig(level="INFO", format="%(message)s")

async def main():
    command = 'echo "{\\\\"customer\\\\": \\\\"$CUSTOMER\\\\"}" > $DAGRUN_OUTPUT'
    options = {"command": command, "env": {"CUSTOMER": "${inputs.customer}"}}
    nodes = (Node(id="write", executor=ExecutorSpec(type="shell", options=options)),)
    placement = Placement(key="${inputs.customer}")
    bill = Workflow(id="bill", version="1.0.0", nodes=nodes, placement=placement)
    settings = read(OrchestratorSettings, {}, environ=os.environ)
    async with open_configured_orchestrator(load_plugins().registry, settings) as leading:
        while len(leading.engines()) < 2:
            await trio.sleep(0.02)
        for customer in sys.argv[1:]:
            submission = Submission(workflow=bill, inputs={"customer": customer})
            done = await leading.result(await leading.submit(submission))
            print(done.run_id, done.status, done.nodes[0].outputs["customer"], flush=True)

trio.run(main)
"""
"""An orchestrator that runs one workflow for each of some customers when it has two engines."""

CUSTOMERS = ("ada", "bob", "cyd", "dan") * 2


@attrs.frozen(kw_only=True)
class Seen:
    """What was to be seen of the runs."""

    results: list[tuple[str, ...]]
    """Run, status, and what its node gave."""

    events: list[dict[str, object]]
    log: str
    """Of the orchestrator."""

    engines: dict[str, str]
    """Name → address."""


@pytest.fixture(scope="module")
def seen(environment, tmp_path_factory):
    """Run the workflow with all that was chosen, once for all tests."""
    folder = tmp_path_factory.mktemp("roles")
    (folder / "data").mkdir()
    with launching(folder) as launch:
        start = partial(launch, "-c", EXEC, **CHOSEN)
        dagrun = environment.bin / "dagrun"
        engines = {
            name: start(
                *(dagrun, "engine", "--engine-id", name, "--port", "0"), "--data-dir", folder / name
            )
            for name in ("e1", "e2")
        }
        addresses = {name: address_of(engine) for name, engine in engines.items()}
        leads = launch(
            *("-c", EXEC, environment.bin / "python", "-c", ORCHESTRATES, *CUSTOMERS),
            **{**CHOSEN, "GRPC_PORT": "0"},
        )
        (folder / "data" / "engines.txt").write_text("\n".join(addresses.values()))
        printed, log = leads.communicate()
    events = (folder / "data" / "events.jsonl").read_text().splitlines()
    return Seen(
        results=[tuple(line.split()) for line in printed.splitlines()],
        events=list(map(json.loads, events)),
        log=log,
        engines=addresses,
    )


def test_a_transport_of_somebody_else_carries_runs(seen):
    """Without it there would be no run: no side knows another way to talk."""
    assert [result[1:] for result in seen.results] == [("succeeded", name) for name in CUSTOMERS]


def test_a_discovery_of_somebody_else_finds_the_engines(seen):
    assert sorted(re.findall(r"engine (\w+): joined", seen.log)) == ["e1", "e2"]


def test_a_balancer_of_somebody_else_chooses_the_engines(seen):
    """A new customer gets the engine whose turn it is, and stays there."""
    chosen = [event["engine_id"] for event in seen.events if event["type"] == "run.running"]
    first, second = chosen[:2]
    assert {first, second} == {"e1", "e2"}
    assert chosen == [first, second] * (len(CUSTOMERS) // 2)


def test_a_subscriber_of_somebody_else_gets_every_event(seen):
    types = {}
    for event in seen.events:
        types.setdefault(event.get("run_id"), []).append(event["type"])
    assert types.pop(None)[:2] == ["engine.joined"] * 2
    of_a_run = ["run.queued", "run.running", "node.running", "node.succeeded", "run.succeeded"]
    assert types == {run_id: of_a_run for run_id, *_ in seen.results}
    positions = [int(event["id"].partition(".")[0]) for event in seen.events]
    assert positions == sorted(positions)


def test_the_commands_take_them_from_the_environment(environment, tmp_path):
    """The same with the command of the orchestrator; here the engine dials it."""
    (tmp_path / "data").mkdir()
    with launching(tmp_path) as launch:
        start = partial(launch, "-c", EXEC, environment.bin / "dagrun", **CHOSEN)
        leads = start("orchestrator", "--grpc-port", "0")
        address = address_of(leads)
        engine = start(
            *("engine", "--engine-id", "e1", "--orchestrator", address),
            "--data-dir",
            tmp_path / "e1",
        )
        assert read_log(leads, "joined") == "engine e1: joined"
        until(lambda: "engine.joined" in (tmp_path / "data" / "events.jsonl").read_text())
        engine.terminate()
        assert engine.wait() == 0
