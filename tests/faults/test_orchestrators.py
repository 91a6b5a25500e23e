"""Orchestrators that end, one way or the other, and what goes on behind them."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from dagrun.testing.programs import COMMAND, call, until
from dagrun.testing.roles import address_of, free_port, logged, read_log

SUBMITS = """
import os, trio
from dagrun.domain.workflow import Durability, ExecutorSpec, Node, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.submission import Submission
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.settings.reading import read

def shell(node_id, command, *dependencies):
    executor = ExecutorSpec(type="shell", options={"command": command})
    fields = {"dependencies": dependencies, "durability": Durability.BATCHED}
    return Node(id=node_id, executor=executor, **fields)

async def main():
    here = os.getcwd()
    nodes = (
        shell("a", f"echo a >> {here}/marks; until [ -e {here}/go ]; do sleep 0.05; done"),
        shell("b", f"echo b >> {here}/marks", "a"),
    )
    document = Workflow(id="w", version="1.0.0", nodes=nodes)
    settings = read(OrchestratorSettings, {}, environ=os.environ)
    async with open_configured_orchestrator(load_plugins().registry, settings) as leading:
        print(await leading.submit(Submission(workflow=document, inputs={})), flush=True)
        await trio.sleep_forever()

trio.run(main)
"""
"""An orchestrator that starts a run of two nodes, the first of which waits for the file ``go``."""


@pytest.fixture
def port():
    return str(free_port())


@pytest.fixture
def orchestrator(launch, port):
    return lambda *arguments, **environment: launch(
        *COMMAND, "orchestrator", *arguments, GRPC_PORT=port, **environment
    )


@pytest.fixture
def engine(launch, port, tmp_path):
    def start(name="e1", *arguments, **environment):
        given = ("--orchestrator", f"127.0.0.1:{port}", "--data-dir", tmp_path / name)
        return launch(*COMMAND, "engine", "--engine-id", name, *given, *arguments, **environment)

    return start


@pytest.fixture
def submits(launch, port):
    """Start an orchestrator of the test's own that has submitted a run; give both."""

    def start(**environment):
        program = launch("-c", SUBMITS, GRPC_PORT=port, **environment)
        return program, program.read_line()

    return start


@pytest.fixture
def show(tmp_path):
    def read(run_id):
        shown = call(*COMMAND, "runs", "show", run_id, "--json", folder=tmp_path)
        return json.loads(shown.stdout)

    return read


def marks(tmp_path):
    file = tmp_path / "marks"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_second_orchestrator_waits_and_takes_over_when_the_first_one_ends(orchestrator, how):
    first = orchestrator()
    address = address_of(first)
    second = orchestrator()
    assert f"process {first.pid} is the orchestrator of" in read_log(second, "waiting")
    first.send_signal(how)
    assert first.wait() == (0 if how == signal.SIGTERM else -how)
    assert address_of(second) == address
    second.send_signal(signal.SIGINT)
    _, err = second.communicate()
    assert second.returncode == 0
    assert [entry["event"] for entry in logged(err)] == ["stopped"]


def test_one_that_waits_for_the_lead_ends_when_it_is_told_to(orchestrator):
    address_of(orchestrator())
    second = orchestrator()
    read_log(second, "waiting")
    second.send_signal(signal.SIGTERM)
    assert second.wait() == 0


def test_an_engine_that_comes_first_waits_for_its_orchestrator(orchestrator, engine):
    waits = engine()
    read_log(waits, "no orchestrator")
    leads = orchestrator()
    address_of(leads)
    read_log(waits, "engine e1 is attached")
    read_log(leads, "engine e1: joined")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_does_not_feel_an_outage_of_the_orchestrator_of_less_than_two_thirds_of_a_lease(
    submits, orchestrator, engine, show, tmp_path, how
):
    first, run_id = submits(DAGRUN_LEASE="20")
    works = engine()
    until(lambda: marks(tmp_path) == ["a"])
    until(lambda: show(run_id)["status"] == "running")  # the node is batched: it may come first
    first.send_signal(how)
    first.wait()
    read_log(works, "no orchestrator")
    (tmp_path / "go").touch()
    until(lambda: marks(tmp_path) == ["a", "b"])
    assert show(run_id)["status"] == "running"
    address_of(orchestrator(DAGRUN_LEASE="20"))
    until(lambda: show(run_id)["status"] == "succeeded")
    assert marks(tmp_path) == ["a", "b"]
    assert [node["attempts"] for node in show(run_id)["nodes"]] == [1, 1]


def test_in_an_outage_that_is_longer_an_engine_stops_its_nodes_and_makes_them_again_behind_it(
    submits, orchestrator, engine, show, tmp_path
):
    first, run_id = submits(DAGRUN_LEASE="1.5")
    works = engine()
    until(lambda: marks(tmp_path) == ["a"])
    first.kill()
    read_log(works, "the orchestrator was not heard for too long")
    (tmp_path / "go").touch()
    address_of(orchestrator(DAGRUN_LEASE="1.5"))
    until(lambda: show(run_id)["status"] == "succeeded")
    assert marks(tmp_path) == ["a", "a", "b"]
    assert [node["attempts"] for node in show(run_id)["nodes"]] == [1, 1]


def test_a_node_that_is_killed_with_its_engine_leaves_no_process(submits, engine, tmp_path):
    submits()
    works = engine()
    until(lambda: marks(tmp_path) == ["a"])
    assert waiting_for(tmp_path / "go")
    works.kill()
    works.wait()
    until(lambda: not waiting_for(tmp_path / "go"))


def waiting_for(file):
    """Give the processes that name a file in their commands."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if os.fsencode(file) in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def test_an_engine_that_is_told_to_end_is_gone_at_once_and_not_lost(orchestrator, engine, tmp_path):
    leads = orchestrator(DAGRUN_LEASE="600")
    server = ("--server", address_of(leads))
    works = engine()
    read_log(works, "engine e1 is attached")
    works.send_signal(signal.SIGTERM)
    assert works.wait() == 0
    listed = call(*COMMAND, "engines", "list", "--json", *server, folder=tmp_path)
    assert json.loads(listed.stdout)["items"] == []
    leads.send_signal(signal.SIGTERM)
    _, err = leads.communicate()
    assert "engine e1: lost" not in [entry["event"] for entry in logged(err)]
