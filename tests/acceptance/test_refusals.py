"""What is refused before it runs, and what fails by itself and harms nothing else."""

import json
import resource
import sqlite3

import pytest

HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


def seconds_of_children():
    """Give the processor time of ended child processes: a busy machine does not lengthen it."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


BAD = {
    "malformed": "a: [1,",
    "nul": "a: \0",
    "list": "- a\n- b\n",
    "date": "a: 2024-13-45\n",
    "tag": "a: !!python/object:os.system x\n",
    "duplicate key": HEAD + "  nodes: []\n  nodes: []\n",
    "unknown key": HEAD + "  nods: []\n",
    "alias bomb": "a: &a [x]\nb: [*a, *a]\n",
    "self alias": "a: &a [*a]\n",
    "deep": "[" * 100_000,
    "large": "a: '" + "x" * 10_000_000 + "'\n",
    "cycle": HEAD
    + "  nodes:\n"
    + "".join(
        f"    - {{id: {a}, dependencies: [{b}], executor: {{type: lua, code: x}}}}\n"
        for a, b in ("ab", "bc", "ca")
    ),
    "self edge": HEAD + "  nodes: [{id: a, dependencies: [a], executor: {type: lua, code: x}}]\n",
    "missing": HEAD + "  nodes: [{id: a, dependencies: [b], executor: {type: lua, code: x}}]\n",
    "cron": HEAD
    + "  nodes: [{id: a, executor: {type: lua, code: x}}]\n"
    + "  triggers: [{type: cron, schedule: '61 * * * *'}]\n",
    "path as id": HEAD + "  nodes: [{id: ../../etc, executor: {type: lua, code: x}}]\n",
    "empty id": HEAD + "  nodes: [{id: '', executor: {type: lua, code: x}}]\n",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_quickly_with_its_place_and_nothing_is_written(
    dagrun, tmp_path, name
):
    file = tmp_path / "bad.yaml"
    file.write_text(BAD[name])
    start = seconds_of_children()
    done = dagrun("run", file)
    assert seconds_of_children() - start < 1
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    first = done.stderr.splitlines()[0]
    assert first.startswith(f"{file}:")
    line, column = first.removeprefix(f"{file}:").split(":")[:2]
    assert int(line) >= 1
    assert int(column) >= 1
    assert not (tmp_path / "data").exists()


def test_errors_as_json_have_the_documented_shape(dagrun, tmp_path, write):
    file = write("  nodes: [{id: a, executor: {type: lau, code: x}}]\n")
    checked = dagrun("validate", file, "--json")
    assert checked.returncode == 2
    (error,) = json.loads(checked.stdout)["errors"]
    assert (error["line"], error["column"], error["suggestion"]) == (5, 36, "lua")
    assert error["path"] == "spec.nodes[0].executor.type"
    refused = json.loads(dagrun("run", file, "--json").stdout)
    assert refused["error"]["type"] == "definition"
    assert refused["error"]["errors"] == [error]
    unknown = dagrun("runs", "show", "nothing", "--json")
    assert (unknown.returncode, json.loads(unknown.stdout)["error"]["type"]) == (2, "not_found")
    assert dagrun("frobnicate").returncode == 2


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("head -c 100000000 /dev/zero > $DAGRUN_OUTPUT", "output"),
        ("echo '{\"x\": NaN}' > $DAGRUN_OUTPUT", "output"),
        ("printf '[%.0s' $(seq 5000) > $DAGRUN_OUTPUT", "output"),
        ("printf '\\377' > $DAGRUN_OUTPUT", "output"),
    ],
)
def test_an_output_that_cannot_be_kept_fails_its_node(dagrun, write, command, kind):
    spec = {"nodes": [{"id": "a", "executor": {"type": "shell", "command": command}}]}
    document = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": {"id": "w", "version": "1.0.0"},
        "spec": spec,
    }
    file = write("")
    file.write_text(json.dumps(document))
    done = dagrun("run", file, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["nodes"][0]["error"]["type"] == kind


def test_a_database_that_cannot_be_used_is_refused_by_name(dagrun, write, tmp_path):
    file = write("  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n")
    data = tmp_path / "data"
    data.mkdir()
    (data / "dagrun.db").write_bytes(b"\1\2\3" * 3000)
    done = dagrun("run", file)
    assert done.returncode == 2
    assert str(data / "dagrun.db") in done.stderr
    assert "move it away" in done.stderr
    (data / "dagrun.db").unlink()
    assert dagrun("run", file).returncode == 0
    connection = sqlite3.connect(data / "dagrun.db")
    connection.execute("pragma user_version = 99")
    connection.close()
    newer = dagrun("run", file)
    assert newer.returncode == 2
    assert "newer dagrun" in newer.stderr


def test_inputs_are_checked_against_the_schema(dagrun, write):
    file = write(
        "  inputs: {type: object, additionalProperties: false, properties: {n: {type: integer}}}\n"
        "  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n"
    )
    assert dagrun("run", file, "-i", "n=1").returncode == 0
    for wrong in ("n=x", "n=1.5", "m=1", "_n=1", "n"):
        done = dagrun("run", file, "-i", wrong)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


LUA = {
    "loop": "while true do end",
    "pcall loop": "while true do pcall(function() while true do end end) end",
    "c loop": "return {x = #string.rep('x', math.maxinteger)}",
    "pattern": "return {x = ('a'):rep(200):find(('a-'):rep(60) .. 'b')}",
    "memory": "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
    "escape": "return {x = os.execute('true')}",
}


def test_hostile_lua_fails_within_its_limit_and_leaves_others_alone(dagrun, write):
    nodes = [
        {"id": name.replace(" ", "-"), "timeout": "1s", "executor": {"type": "lua", "code": code}}
        for name, code in LUA.items()
    ]
    nodes.append({"id": "fine", "executor": {"type": "lua", "code": "return {x = 1}"}})
    file = write("  nodes: " + json.dumps(nodes) + "\n")
    done = dagrun("run", file, "--json")
    assert done.returncode == 1
    result = {node["id"]: node for node in json.loads(done.stdout)["nodes"]}
    assert result.pop("fine")["status"] == "succeeded"
    for node in result.values():
        assert node["status"] == "failed", node
        assert node["error"]["type"] in ("timeout", "memory", "lua", "output"), node
        assert seconds(node) < 1.5, node


def seconds(node):
    from datetime import datetime

    start, end = (datetime.fromisoformat(node[key]) for key in ("started_at", "finished_at"))
    return (end - start).total_seconds()


def test_a_damaged_journal_is_refused_with_what_to_do(dagrun, tmp_path, write):
    file = write("  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n")
    run_id = json.loads(dagrun("run", file, "--json").stdout)["run_id"]
    with sqlite3.connect(tmp_path / "data" / "dagrun.db") as connection:
        connection.execute("update events set node_id = 'b' where node_id = 'a'")
    connection.close()
    for command in ("show", "logs"):
        done = dagrun("runs", command, run_id)
        assert done.returncode == 2
        assert f"the journal of run {run_id} is damaged" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_run_that_is_nowhere_is_not_gone_on_with_and_nothing_is_made(dagrun, tmp_path):
    for run_id in ("0unknown", "../x", ""):
        done = dagrun("run", f"--resume={run_id}")
        assert done.returncode == 2
        assert "there is no run" in done.stderr
        assert not (tmp_path / "data").exists()


def test_code_that_does_not_compile_is_found_before_anything_runs(dagrun, tmp_path, write):
    (tmp_path / "beside.lua").write_text("local x = 1\nreturn }\n")
    file = write(
        """
  nodes:
    - {id: a, executor: {type: lua, code: "return {"}}
    - {id: b, executor: {type: python, code: "def ("}}
    - {id: c, executor: {type: lua, code: "return {a = '${not.ours}'}"}}
"""
    )
    done = dagrun("validate", file)
    assert done.returncode == 2
    assert "w.yaml:7:25: spec.nodes[0].executor: code, line 1: unexpected symbol" in done.stderr
    assert "w.yaml:8:25: spec.nodes[1].executor: code, line 1: invalid syntax" in done.stderr
    assert "nodes[2]" not in done.stderr
    file = write("  nodes: [{id: a, executor: {type: lua, file: beside.lua}}]\n")
    done = dagrun("run", file)
    assert done.returncode == 2
    assert "w.yaml:5:29: spec.nodes[0].executor: code, line 2: unexpected symbol" in done.stderr
    file = write("  nodes: [{id: a, executor: {type: lua, file: missing.lua}}]\n")
    done = dagrun("validate", file)
    assert "w.yaml:5:47: spec.nodes[0].executor.file: " in done.stderr
    assert "missing.lua cannot be read: No such file or directory" in done.stderr


@pytest.mark.parametrize("flag", ["--cursor", "--workflow"])
def test_a_flag_that_is_no_id_is_refused(dagrun, write, flag):
    dagrun("run", write("  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n"))
    done = dagrun("runs", "list", f"{flag}=../\udcff")
    assert done.returncode == 2
    assert f"{flag}: " in done.stderr
    plain = dagrun("runs", "list", "--limit", "0", "--json=false")
    assert plain.returncode == 2
    assert plain.stdout == ""


def test_a_document_in_a_folder_that_is_no_text_is_refused_in_plain_words(dagrun, write, tmp_path):
    folder = tmp_path / "\udcff"
    folder.mkdir()
    file = write("  nodes: [{id: a, executor: {type: lua, code: 'return {}'}}]\n")
    done = dagrun("run", file.rename(folder / "w.yaml"))
    assert done.returncode == 2
    assert "is not UTF-8; rename it" in done.stderr
    assert "Traceback" not in done.stderr
