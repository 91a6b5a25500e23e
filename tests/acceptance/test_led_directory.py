"""The commands of somebody who has started an orchestrator, and names no server."""

import json
import os

import pytest

from dagrun.builtin.leadership import LeaderLock
from dagrun.cli.app import run_command
from dagrun.testing.programs import until
from dagrun.testing.roles import address_of, free_port, lines_up_to, read_log

WAITS = """
  nodes:
    - {id: a, executor: {type: shell, command: "until test -e GATE; do sleep 0.05; done; echo opened"}}
"""
FAILS = """
  nodes:
    - {id: a, executor: {type: shell, command: "echo why; exit 3"}}
"""
PARENT = """
  nodes:
    - {id: c, executor: {type: workflow, id: w}}
"""


@pytest.fixture
def leads(start):
    """Start an orchestrator on the data directory of the test, and an engine elsewhere."""
    everywhere = ("--grpc-address", "0.0.0.0", "--insecure", "--subscribers", "log")
    role = start("orchestrator", *everywhere, GRPC_PORT="0")
    role.address = f"127.0.0.1:{address_of(role).rpartition(':')[2]}"
    start("engine", "--orchestrator", role.address, "--engine-id", "e1", "--data-dir", "engine")
    read_log(role, "engine e1: joined")
    return role


@pytest.fixture
def told(monkeypatch, tmp_path, capsys):
    """Call a command in this process, and give what it prints for programs."""
    monkeypatch.setenv("DAGRUN_DATA_DIR", str(tmp_path / "data"))

    def telling(*command):
        run_command([*map(str, command), "--json"])
        return json.loads(capsys.readouterr().out)

    return telling


def test_commands_find_the_orchestrator_that_leads_the_data_directory(
    leads, told, dagrun, write, capsys, monkeypatch, tmp_path
):
    gate = tmp_path / "gate"
    told("workflows", "register", write(WAITS.replace("GATE", str(gate))))
    heard = json.loads(lines_up_to(leads, "workflow.registered")[-1])
    assert (heard["workflow_id"], heard["data"]) == ("w", {"version": "1.0.0"})
    assert [one["id"] for one in told("engines", "list")["items"]] == ["e1"]
    started = dagrun("runs", "start", "w", "--data-dir", tmp_path / "data")
    run_id = started.stdout.strip()
    assert started.stderr == ""
    until(lambda: told("runs", "show", run_id)["status"] == "running")
    assert [one["run_id"] for one in told("runs", "list")["items"]] == [run_id]
    assert "engine e1 has it" in told("runs", "explain", run_id)["reasons"]
    assert told("runs", "cancel", run_id)["changed"]
    until(lambda: told("runs", "show", run_id)["status"] == "cancelled")

    gate.touch()
    refused = dagrun("runs", "retry", run_id, "--parallel", "2")
    assert (refused.returncode, f"{leads.address} runs this one again" in refused.stderr) == (
        2,
        True,
    )
    again = told("runs", "retry", run_id, "--wait")
    assert (again["status"], again["rerun_of"]) == ("succeeded", run_id)
    until(lambda: "opened" in str(told("runs", "logs", again["run_id"])["items"]))
    assert told("engines", "drain", "e1")["status"] == "draining"
    assert told("workflows", "delete", "w")["deleted"] == ["1.0.0"]
    read_log(leads, "workflow.deleted")

    here = json.loads(dagrun("run", write(FAILS), "--json").stdout)["run_id"]
    again = json.loads(dagrun("runs", "retry", here, "--json").stdout)
    assert (again["error"]["type"], again["rerun_of"]) == ("node_failed", here)

    told("workflows", "register", tmp_path / "w.yaml")
    monkeypatch.setenv("DAGRUN_DATA_DIR", str(tmp_path / "other"))
    monkeypatch.setattr("dagrun.cli.asking.SERVER", leads.address)
    hint = (
        f"{leads.address} is asked, since no orchestrator leads {tmp_path / 'other'}; "
        f"to let all commands ask it, set DAGRUN_SERVER={leads.address}"
    )
    assert run_command(["runs", "start", "w"]) == 0
    assert capsys.readouterr().err == f"dagrun: {hint}\n"
    missing = told("runs", "start", "x")["error"]
    assert missing["message"] == f"no workflow 'x' is registered; {hint}"


def test_a_run_outlasts_its_orchestrator_and_nobody_but_the_next_one_takes_it(
    leads, told, start, write, tmp_path
):
    gate = tmp_path / "gate"
    told("workflows", "register", write(WAITS.replace("GATE", str(gate))))
    run_id = told("runs", "start", "w")["run_id"]
    until(lambda: told("runs", "show", run_id)["status"] == "running")
    watching = start("runs", "watch", run_id, "--json")
    asking = start("runs", "watch", run_id, "--server", leads.address)
    following = start("events", "--follow", "--type", "node", DAGRUN_SERVER=leads.address)
    watching.read_past("node.running")
    asking.read_past(run_id, "stderr")
    last = following.read_line().partition(" ")[0]
    leads.kill()
    leads.wait()
    for program, words in (
        (asking, f"dagrun runs watch {run_id} --server {leads.address}"),
        (following, f"dagrun events --follow --type node --after {last}"),
    ):
        complaint = program.communicate()[1]
        assert program.returncode == 3
        assert complaint.endswith(f"when it answers again, go on with: {words}\n")
    hint = (
        "its orchestrator has ended, and the next one goes on with it; start one with: "
        f"dagrun orchestrator --data-dir {tmp_path / 'data'}"
    )
    for command in (("runs", "cancel"), ("runs", "pause"), ("run", "--resume")):
        error = told(*command, run_id)["error"]
        assert (error["type"], error["message"]) == ("conflict", f"run {run_id}: {hint}")
    assert hint in told("runs", "explain", run_id)["reasons"]
    assert [run["resumable"] for run in told("runs", "list")["items"]] == [False]
    start("orchestrator", "--grpc-port", leads.address.rpartition(":")[2])
    gate.touch()
    assert "run.succeeded" in watching.communicate()[0]
    assert watching.returncode == 0


@pytest.fixture
def family(leads, told, start, write, tmp_path):
    """Give a run whose process was killed, and its child, which was cut off with it."""
    told("workflows", "register", write(WAITS.replace("GATE", str(tmp_path / "gate"))))
    document = write(PARENT, "parent.yaml")
    document.write_text(document.read_text().replace("{id: w,", "{id: parent,"))
    process = start("run", document)
    until(lambda: [one["status"] for one in told("runs", "list")["items"]] == ["running"] * 2)
    child, parent = (one["run_id"] for one in told("runs", "list")["items"])
    process.kill()
    process.wait()
    return parent, child


def is_cancelled(told, *runs):
    return all(told("runs", "show", run)["status"] == "cancelled" for run in runs)


def test_a_run_that_was_cut_off_with_its_child_is_cancelled_by_the_orchestrator(
    leads, told, family
):
    assert told("runs", "cancel", family[0], "--server", leads.address)["changed"]
    until(lambda: is_cancelled(told, *family))


def test_it_is_cancelled_too_if_the_orchestrator_dies_behind_its_answer(leads, told, start, family):
    assert told("runs", "cancel", family[0], "--server", leads.address)["changed"]
    leads.kill()
    leads.wait()
    start("orchestrator", "--grpc-port", leads.address.rpartition(":")[2])
    until(lambda: is_cancelled(told, *family))


def test_a_child_that_another_process_goes_on_with_is_told_of_its_parents_end(
    leads, told, start, family
):
    parent, child = family
    resumed = start("run", "--resume", child)
    until(lambda: not told("runs", "list", "--workflow", "w")["items"][0]["resumable"])
    assert told("runs", "cancel", parent, "--server", leads.address)["changed"]
    resumed.wait()
    until(lambda: is_cancelled(told, parent, child))


def test_what_needs_an_orchestrator_says_that_none_leads_the_directory(told, tmp_path):
    (tmp_path / "orchestrator.lock").write_text("1\n127.0.0.1:1\n")  # of one that has ended
    for command in (("runs", "start", "w"), ("engines", "list"), ("engines", "drain", "e")):
        error = told(*command, "--data-dir", tmp_path)["error"]
        assert error["type"] == "configuration"
        assert error["message"].endswith(
            f"none leads {tmp_path}: start one with: dagrun orchestrator --data-dir {tmp_path}"
        )


def test_an_idempotency_key_that_is_empty_is_not_taken_for_none(told):
    for command in (("runs", "start"), ("runs", "retry")):
        error = told(*command, "w", "--idempotency-key", "")["error"]
        assert error["message"] == "--idempotency-key: a text is needed"


def test_one_that_does_not_listen_yet_is_waited_for_by_who_asks(told, tmp_path):
    with LeaderLock(tmp_path / "data"):
        for command in (("runs", "start", "w"), ("engines", "list", "--token", "t")):
            error = told(*command)["error"]
            assert error["type"] == "unreachable"
            assert f"process {os.getpid()} begins to lead" in error["message"]


def test_the_usual_address_is_asked_if_none_leads_the_directory(monkeypatch, told, tmp_path):
    monkeypatch.setattr("dagrun.cli.asking.SERVER", f"127.0.0.1:{free_port()}")
    error = told("runs", "start", "w")["error"]
    assert error["type"] == "unreachable"
    assert error["message"].endswith(
        "start an orchestrator with: dagrun orchestrator, or name one with --server host:port, or "
        "DAGRUN_SERVER"
    )
