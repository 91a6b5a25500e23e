"""A process that is killed at any point of any commit: nothing journaled is done again."""

import json
from collections import Counter

import pytest

from dagrun.testing import failpoints
from dagrun.testing.programs import COMMAND, call

NODE = """
    - id: {id}
      dependencies: [{dependencies}]
      executor:
        type: shell
        env: {{EFFECTS: "{effects}"}}
        code: |
          echo "$DAGRUN_NODE_ID start" >> "$EFFECTS"
          echo '{{"n": {n}}}' > "$DAGRUN_OUTPUT"
          echo "$DAGRUN_NODE_ID end" >> "$EFFECTS"
"""
HEAD = """apiVersion: dagrun/v1
kind: Workflow
metadata: {id: killed, version: 1.0.0}
spec:
  outputs: {total: "${nodes.a.n + nodes.b.n + nodes.c.n}"}
  nodes:"""


def make_document(folder):
    effects = folder / "effects"
    nodes = [("a", "", 1), ("b", "a", 2), ("c", "b", 4)]
    text = HEAD + "".join(
        NODE.format(id=name, dependencies=needs, n=n, effects=effects) for name, needs, n in nodes
    )
    file = folder / "killed.yaml"
    file.write_text(text)
    return file, effects


def dagrun(data, *arguments):
    return call(*COMMAND, *arguments, "--json", folder=data.parent)


def kill_at(data, file, point, number):
    return call(*failpoints.COMMAND, point, number, "run", file, folder=data.parent)


def journaled_ends(data, run_id):
    shown = dagrun(data, "runs", "show", run_id)
    return {
        node["id"] for node in json.loads(shown.stdout)["nodes"] if node["status"] == "succeeded"
    }


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("point", ["begun", "written", "committed"])
def test_a_run_goes_on_after_a_kill_at_any_point_of_a_commit(tmp_path, point, number):
    data = tmp_path / "data"
    file, effects = make_document(tmp_path)
    killed = kill_at(data, file, point, number)
    assert killed.returncode == -9, killed.stderr
    runs = json.loads(dagrun(data, "runs", "list").stdout)["items"]
    if not runs:
        assert number == 1
        assert point != "committed"
        assert not effects.exists()
        return
    (run,) = runs
    before = journaled_ends(data, run["run_id"])
    if run["status"] == "succeeded":
        assert (point, before) == ("committed", {"a", "b", "c"})
        return
    done = dagrun(data, "run", "--resume", run["run_id"])
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["outputs"] == {"total": 7}
    assert all(node["attempts"] == 1 for node in result["nodes"])
    starts = Counter(
        line.split()[0] for line in effects.read_text().splitlines() if "start" in line
    )
    assert all(starts[node] == 1 for node in before)
    assert all(1 <= starts[node] <= 2 for node in "abc")


HANDLED = """apiVersion: dagrun/v1
kind: Workflow
metadata: {id: killed, version: 1.0.0}
spec:
  env: {EFFECTS: "$EFFECTS"}
  handlers:
    failure: {executor: {type: shell, code: $CODE}}
    exit: {executor: {type: lua, code: "return {status = run.status, error = run.error.type}"}}
  nodes:
    - {id: a, executor: {type: shell, code: $CODE}}
    - {id: b, dependencies: [a], executor: {type: shell, command: "exit 3"}}
"""
CODE = '\'echo "$DAGRUN_NODE_ID" >> "$EFFECTS"\''


@pytest.mark.parametrize("number", [3, 4, 5, 6])
@pytest.mark.parametrize("point", ["begun", "committed"])
def test_handlers_go_on_after_a_kill_at_any_point_of_a_commit(tmp_path, point, number):
    data, effects, file = tmp_path / "data", tmp_path / "effects", tmp_path / "killed.yaml"
    file.write_text(HANDLED.replace("$CODE", CODE).replace("$EFFECTS", str(effects)))
    assert kill_at(data, file, point, number).returncode in (-9, 0)
    (run,) = json.loads(dagrun(data, "runs", "list").stdout)["items"]
    before = shown(data, run["run_id"])
    if run["status"] != "failed":
        done = dagrun(data, "run", "--resume", run["run_id"])
        assert done.returncode == 1, done.stderr
    result = shown(data, run["run_id"])
    assert (result["status"], result["error"]["type"]) == ("failed", "node_failed")
    assert [(h["event"], h["status"], h["attempts"]) for h in result["handlers"]] == [
        ("failure", "succeeded", 1),
        ("exit", "succeeded", 1),
    ]
    assert result["handlers"][1]["outputs"] == {"status": "failed", "error": "node_failed"}
    done_before = [part["id"] for part in parts(before) if part["status"] == "succeeded"]
    starts = Counter(effects.read_text().split())
    assert all(starts[name] == 1 for name in done_before if name in starts)
    assert all(1 <= starts[name] <= 2 for name in ("a", "handler:failure"))


def shown(data, run_id):
    return json.loads(dagrun(data, "runs", "show", run_id).stdout)


def parts(result):
    return [*result["nodes"], *result["handlers"]]
