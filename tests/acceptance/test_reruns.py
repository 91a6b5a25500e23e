"""``dagrun runs retry`` and ``rerun``, with an orchestrator and without."""

import json
import re

import pytest

from dagrun.testing.programs import COMMAND, call, until

SPEC = """
  inputs: {type: object, properties: {n: {type: integer, default: 2}}}
  outputs: {n: "${nodes.a.n}", items: "${nodes.each}"}
  nodes:
    - {id: a, executor: {type: lua, code: "return {n = inputs.n * 2}"}}
    - id: b
      dependencies: [a]
      executor: {type: shell, command: "echo b >> TMP/ran; test -e TMP/mended"}
    - id: each
      for_each: [1, 2]
      executor: {type: shell, command: "echo ${item} >> TMP/ran; test ${item} = 1 || test -e TMP/mended"}
    - {id: c, dependencies: [b, each], executor: {type: shell, command: "echo c >> TMP/ran"}}
"""
BLOCKED = """
  nodes:
    - {id: a, executor: {type: shell, command: "echo a >> TMP/ran"}}
    - id: b
      dependencies: [a]
      executor: {type: shell, command: "test -e TMP/mended || exit 1; touch TMP/waits; sleep 60"}
"""


@pytest.fixture
def ran(tmp_path):
    """Give what the nodes have noted since this was asked before, sorted."""

    def take():
        file = tmp_path / "ran"
        lines = sorted(file.read_text().split()) if file.exists() else []
        file.write_text("")
        return lines

    return take


@pytest.fixture
def document(write, tmp_path):
    return lambda spec: write(spec.replace("TMP", str(tmp_path)))


def failed(dagrun, file, *more):
    done = dagrun("run", file, *more, "--json")
    assert done.returncode == 1, done
    return json.loads(done.stdout)["run_id"]


def test_a_failed_run_is_retried_and_shown(dagrun, document, ran, tmp_path):
    file = document(SPEC)
    first = failed(dagrun, file, "-i", "n=3")
    assert ran() == ["1", "2", "b"]
    (tmp_path / "mended").touch()
    file.unlink()
    done = dagrun("runs", "retry", first)
    assert (done.returncode, json.loads(done.stdout)["n"]) == (0, 6)
    assert "✓ a  succeeded  kept\n" in done.stderr
    assert "2 of 2 items\n" in done.stderr
    assert ran() == ["2", "b", "c"]
    second, old = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert (second["rerun_of"], old["rerun_of"]) == (first, None)
    shown = json.loads(dagrun("runs", "show", second["run_id"], "--json").stdout)
    assert (shown["rerun_of"], shown["inputs"]) == (first, {"n": 3})
    assert [node.get("kept_from") for node in shown["nodes"]] == [first, None, None, None]
    assert [item["attempts"] for item in shown["nodes"][2]["items"]] == [0, 1]
    text = dagrun("runs", "show", second["run_id"]).stdout
    assert f"run again: {first}\n" in text
    assert "✓ a  succeeded  kept\n" in text
    silent = dagrun("runs", "logs", second["run_id"], "a").stderr
    assert silent == f"dagrun: a was kept: see what it wrote with: dagrun runs logs {first} a\n"
    told = dagrun("runs", "logs", second["run_id"], "a", "--follow").stderr
    assert told == silent
    log = f"see what it wrote with: dagrun runs logs {first} each --item 0\n"
    told = dagrun("runs", "logs", second["run_id"], "each", "--item", "0")
    assert (told.returncode, told.stderr) == (0, f"dagrun: item 0 of each was kept: {log}")
    told = dagrun("runs", "logs", second["run_id"], "each", "--item", "0", "--attempt", "1")
    attempt = f"dagrun: run {second['run_id']} has no attempt 1 of item 0 of each"
    assert (told.returncode, told.stderr) == (2, f"{attempt}: it was kept; {log}")
    events = dagrun("events", "--run", second["run_id"], "--json").stdout.splitlines()
    kept = [event for event in map(json.loads, events) if "kept_from" in event["data"]]
    assert {event["data"]["kept_from"] for event in kept} == {first}


def test_a_rerun_begins_with_a_node_or_with_all(dagrun, document, ran, tmp_path):
    (tmp_path / "mended").touch()
    first = json.loads(dagrun("run", document(SPEC), "--json").stdout)["run_id"]
    ran()
    from_c = json.loads(dagrun("runs", "rerun", first, "--from", "c", "--json").stdout)
    assert (from_c["status"], from_c["rerun_of"], ran()) == ("succeeded", first, ["c"])
    assert dagrun("runs", "rerun", first).returncode == 0
    assert ran() == ["1", "2", "b", "c"]


def test_what_cannot_be_run_again_is_refused_with_what_to_do(dagrun, document, tmp_path):
    (tmp_path / "mended").touch()
    first = json.loads(dagrun("run", document(SPEC), "--json").stdout)["run_id"]
    told = dagrun("runs", "retry", first)
    assert told.returncode == 1
    assert told.stderr.endswith(f"run it again with: dagrun runs rerun {first}\n")
    told = dagrun("runs", "rerun", first, "--from", "x", "--json")
    assert (told.returncode, json.loads(told.stdout)["error"]["type"]) == (2, "not_found")
    for command in ("retry", "rerun"):
        told = dagrun("runs", command, "abc")
        message = f"dagrun: there is no run 'abc' in {tmp_path / 'data'}\n"
        assert (told.returncode, told.stderr) == (2, message)
        assert dagrun("runs", command, first, "--idempotency-key", "k").returncode == 2
        told = dagrun("runs", command, first, "--parallel", "2", "--server", "127.0.0.1:1")
        message = (
            "dagrun: --parallel is for runs in this process; 127.0.0.1:1 runs this one again\n"
        )
        assert (told.returncode, told.stderr) == (2, message)
    assert len(json.loads(dagrun("runs", "list", "--json").stdout)["items"]) == 1


def test_a_retry_that_was_killed_is_resumed_with_what_it_kept(
    dagrun, start, document, ran, tmp_path
):
    first = failed(dagrun, document(BLOCKED))
    assert ran() == ["a"]
    (tmp_path / "mended").touch()
    process = start("runs", "retry", first)
    until((tmp_path / "waits").exists)
    process.kill()
    process.wait()
    (cut_off,) = json.loads(dagrun("runs", "list", "--status", "cut-off", "--json").stdout)["items"]
    assert cut_off["rerun_of"] == first
    process = start("run", "--resume", cut_off["run_id"])
    process.read_past("a  succeeded  kept", "stderr")
    process.terminate()
    process.wait()
    assert ran() == []


def test_a_retry_that_is_stopped_while_it_waits_for_its_turn_says_how_to_go_on(
    dagrun, start, document, tmp_path
):
    file = document("  concurrency: {key: k, limit: 1}" + BLOCKED)
    first = failed(dagrun, file)
    (tmp_path / "mended").touch()
    start("run", file)
    until((tmp_path / "waits").exists)
    process = start("runs", "retry", first)
    process.read_past("it waits for a slot", "stderr")
    process.terminate()
    _, told = process.communicate()
    items = json.loads(dagrun("runs", "list", "--status", "cut-off", "--json").stdout)["items"]
    (waits,) = [item["run_id"] for item in items]
    assert process.returncode == 130
    assert told.endswith(f"dagrun: stopped; go on with: dagrun run --resume {waits}\n")


@pytest.fixture
def server(start):
    """Start an orchestrator and an engine, and give the address."""
    program = start("orchestrator", "--grpc-port", "0")
    while not (found := re.search(r"listening on ([\d.:]+)", program.read_line("stderr"))):
        pass
    engine = start("engine", "--orchestrator", found[1], "--engine-id", "e1")
    engine.read_past("is attached", "stderr")
    return found[1]


def test_an_orchestrator_runs_runs_again(server, document, ran, tmp_path):
    def ask(*arguments):
        return call(*COMMAND, *arguments, folder=tmp_path, DAGRUN_SERVER=server)

    assert ask("workflows", "register", document(SPEC)).returncode == 0
    waited = ask("runs", "start", "w", "--wait", "--json")
    first = json.loads(waited.stdout)["run_id"]
    assert (waited.returncode, ran()) == (1, ["1", "2", "b"])
    (tmp_path / "mended").touch()
    done = ask("runs", "retry", first, "--wait", "--json", "--idempotency-key", "k")
    second = json.loads(done.stdout)
    assert (done.returncode, second["status"], second["rerun_of"]) == (0, "succeeded", first)
    assert second["nodes"][0]["kept_from"] == first
    assert ran() == ["2", "b", "c"]
    again = ask("runs", "retry", first, "--idempotency-key", "k")
    assert again.stdout == f"{second['run_id']}\n"
    third = json.loads(ask("runs", "rerun", first, "--from", "c", "--json").stdout)
    assert (third["rerun_of"], third["workflow_id"]) == (first, "w")
    told = ask("runs", "retry", second["run_id"])
    assert (told.returncode, "there is nothing to retry" in told.stderr) == (1, True)
    told = ask("runs", "rerun", first, "--from", "x")
    assert (told.returncode, told.stderr) == (2, f"dagrun: run {first} has no node 'x'\n")
    assert f"run again: {first}\n" in ask("runs", "show", third["run_id"]).stdout
