"""What black-box users rely on: the commands as separate processes."""

import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from dagrun.testing.programs import sleepers, until

EXAMPLES = Path(__file__).parents[2] / "examples"
HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


def seconds_of_children():
    """Give the processor time of ended child processes: a busy machine does not lengthen it."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


QUICK = "  nodes: [{id: a, executor: {type: lua, code: 'return {}'}}]\n"


@pytest.fixture
def pipeline(tmp_path):
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples")) / "pipeline.yaml"


def test_the_example_ends_in_a_database_and_a_report(dagrun, pipeline):
    done = dagrun("run", pipeline, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    states = {node["id"]: (node["status"], node["attempts"]) for node in result["nodes"]}
    assert states == {
        "find": ("succeeded", 1),
        "read": ("succeeded", 1),
        "summarise": ("succeeded", 1),
        "load": ("succeeded", 2),
        "report": ("succeeded", 1),
        "alarm": ("skipped", 0),
    }
    connection = sqlite3.connect(result["outputs"]["database"])
    (count,) = connection.execute("select count(*) from distributions").fetchone()
    connection.close()
    assert count == result["outputs"]["distributions"] > 10
    report = Path(result["outputs"]["report"]).read_text()
    assert f"{count} distributions" in report
    assert "MIT" in report


def test_the_branch_for_failures_of_the_example_runs_when_something_fails(dagrun, pipeline):
    done = dagrun("run", pipeline, "--input", "fail=true", "--json")
    assert done.returncode == 1
    nodes = {node["id"]: node for node in json.loads(done.stdout)["nodes"]}
    assert nodes["load"]["status"] == "failed"
    assert nodes["load"]["attempts"] == 3
    assert nodes["load"]["error"] == {
        "type": "OperationalError",
        "message": "database is locked",
    }
    assert nodes["alarm"]["status"] == "succeeded"
    assert nodes["report"]["status"] == "skipped"


def test_run_prints_the_result_on_stdout_and_progress_on_stderr(dagrun, write):
    file = write(
        """
  inputs: {type: object, properties: {n: {type: integer, default: 2}, s: {type: string}}}
  outputs: {n: "${nodes.a.n}", s: "${inputs.s}"}
  nodes:
    - id: a
      for_each: [1, 2]
      executor: {type: lua, code: "print('item ' .. item); return {n = item * inputs.n}"}
"""
    )
    done = dagrun("run", file, "-i", "n=5", "-i", "s=007")
    assert done.returncode == 0, done.stderr
    # ``nodes.a`` is an array, so ``nodes.a.n`` is nothing
    assert json.loads(done.stdout) == {"n": None, "s": "007"}
    assert "a  succeeded" in done.stderr
    listed = json.loads(dagrun("runs", "list", "--json").stdout)
    assert set(listed) == {"items", "next"}
    (run,) = listed["items"]
    shown = dagrun("runs", "show", run["run_id"], "--json")
    result = json.loads(shown.stdout)
    assert set(result) == {
        "run_id", "workflow_id", "version", "status", "outputs", "error", "duration",
        "started_at", "finished_at", "nodes", "inputs", "resumable", "rerun_of",
    }  # fmt: skip
    (node,) = result["nodes"]
    assert set(node) == {
        "id", "status", "attempts", "started_at", "finished_at", "outputs", "error", "items",
    }  # fmt: skip
    assert node["outputs"] == [{"n": 5}, {"n": 10}]
    assert node["items"][1] == {"index": 1, "status": "succeeded", "attempts": 1, "error": None}
    assert result["duration"] > 0
    logs = dagrun("runs", "logs", run["run_id"], "a", "--item", "1")
    assert "item 2" in logs.stdout
    assert "item 1" not in logs.stdout


def test_a_failed_run_exits_1_and_names_the_node(dagrun, write):
    file = write("  nodes: [{id: a, executor: {type: shell, command: 'echo no luck; exit 3'}}]\n")
    done = dagrun("run", file)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "node a: exit_code: exit code 3: no luck" in done.stderr
    assert "Traceback" not in done.stderr


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


def test_bytes_that_are_no_text_and_very_long_logs_are_kept_within_bounds(dagrun, write, tmp_path):
    file = write(
        "  nodes: [{id: a, executor: {type: shell,"
        " command: \"printf '\\\\377\\\\n'; yes | head -c 30000000\"}}]\n"
    )
    done = dagrun("run", file, "--json")
    assert done.returncode == 0, done.stderr
    logs = list((tmp_path / "data" / "logs").rglob("*.log"))
    assert [log.stat().st_size < 11_000_000 for log in logs] == [True]
    assert b"log cut" in logs[0].read_bytes()[-100:]


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


@pytest.mark.parametrize("command", [[], ["run"], ["runs"], ["runs", "list"]], ids=" ".join)
def test_every_command_tells_the_version_of_dagrun(dagrun, command):
    assert dagrun(*command, "--version").stdout == f"dagrun {version('dagrun-core')}\n"


def test_plugins_are_listed_with_what_they_offer(dagrun):
    items = json.loads(dagrun("plugins", "--json").stdout)["items"]
    offers = {item["name"]: item["offers"] for item in items}
    assert offers["builtin"]["executor"] == ["http", "python", "shell", "workflow"]
    assert offers["lua"]["executor"] == ["lua"]


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


def start_sleeper(tmp_path, start, write, marker):
    file = write(
        f"""
  nodes:
    - id: done
      executor: {{type: shell, command: "echo x >> {tmp_path}/effects"}}
    - id: sleeper
      dependencies: [done]
      executor: {{type: shell, command: "sleep {marker} & setsid sleep {marker} & sleep {marker}"}}
"""
    )
    process = start("run", file, "--json")
    until(lambda: len(sleepers(marker)) == 3)
    return process


def test_ctrl_c_cancels_and_leaves_no_process(tmp_path, start, write):
    process = start_sleeper(tmp_path, start, write, 86401)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "cancelled"
    assert sleepers(86401) == []


def test_sigterm_leaves_the_run_to_be_resumed_and_no_process(dagrun, tmp_path, start, write):
    process = start_sleeper(tmp_path, start, write, 86402)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 130
    assert json.loads(out)["status"] == "running"
    assert "go on with: dagrun run --resume" in err
    assert sleepers(86402) == []


def test_kill_9_leaves_no_process_and_what_was_journaled_is_not_run_again(
    dagrun, tmp_path, start, write
):
    process = start_sleeper(tmp_path, start, write, 86403)
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    live = dagrun("run", "--resume", run["run_id"])
    assert live.returncode == 1
    assert f"process {process.pid}" in live.stderr
    process.kill()
    process.communicate()
    until(lambda: not sleepers(86403))
    shown = dagrun("runs", "show", run["run_id"])
    assert "go on with: dagrun run --resume" in shown.stdout
    resumed = start("run", "--resume", run["run_id"], "--json")
    until(lambda: len(sleepers(86403)) == 3)
    resumed.send_signal(signal.SIGINT)
    out, _ = resumed.communicate()
    states = {node["id"]: node["status"] for node in json.loads(out)["nodes"]}
    assert states == {"done": "succeeded", "sleeper": "cancelled"}
    assert (tmp_path / "effects").read_text() == "x\n"
    assert sleepers(86403) == []
    ended = dagrun("run", "--resume", run["run_id"])
    assert ended.returncode == 1
    assert "has ended: cancelled" in ended.stderr


def test_several_programs_use_one_data_directory_at_once(start, write):
    file = write("  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n")
    processes = [start("run", file, "--json") for _ in range(4)]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err


def shell_command(tmp_path, line, **env):
    """Run a line of shell in which ``$DAGRUN`` is the program."""
    return subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "DAGRUN": f"{sys.executable} -m dagrun",
            "DAGRUN_DATA_DIR": str(tmp_path / "data"),
            **env,
        },
        timeout=60,
        check=False,
    )


MANY = """
  nodes:
    - id: many
      for_each: [1, 2, 3]
      executor: {type: shell, command: "echo x >> %s/effects"}
    - id: last
      dependencies: [many]
      executor: {type: shell, command: "echo x >> %s/effects"}
"""


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "2>&1 >/dev/null | head -c 1"])
def test_a_run_does_not_depend_on_who_watches_it(dagrun, tmp_path, write, where):
    file = write(MANY % (tmp_path, tmp_path))
    done = shell_command(tmp_path, f"$DAGRUN run {file} {where}")
    assert "Traceback" not in done.stderr
    until(lambda: (tmp_path / "effects").read_text() == "x\n" * 4)
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert run["status"] == "succeeded"


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        ("> /dev/full", 1, "dagrun: standard output cannot be written"),
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("| true", 0, ""),
    ],
)
def test_a_standard_output_that_takes_nothing_gives_no_traceback(
    dagrun, tmp_path, write, where, code, said
):
    file = write("  outputs: {a: 1}\n  nodes: [{id: a, executor: {type: shell, command: ls}}]\n")
    for command in (f"run {file}", f"run --json {file}", "runs list", "plugins", "--help"):
        done = shell_command(tmp_path, f"$DAGRUN {command} {where}")
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr
        assert done.returncode == code, command
        assert said in done.stderr
    connection = sqlite3.connect(tmp_path / "data" / "dagrun.db")
    states = connection.execute("select status from runs").fetchall()
    connection.close()
    assert states == [("succeeded",)] * 2


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_what_an_encoding_cannot_say_is_escaped(dagrun, tmp_path, write, encoding):
    file = write(
        "  outputs: {a: żółw 🐢}\n  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n"
    )
    done = shell_command(tmp_path, f"$DAGRUN run {file} --json", PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout)["outputs"] == {"a": "żółw 🐢"}
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    show = f"$DAGRUN runs show {run['run_id']} > {tmp_path}/shown"
    shown = shell_command(tmp_path, show, PYTHONIOENCODING=encoding)
    assert shown.returncode == 0, shown.stderr
    assert "a  succeeded" in (tmp_path / "shown").read_text(encoding)


def test_what_an_inline_function_prints_does_not_get_into_the_result(dagrun, tmp_path, write):
    (tmp_path / "talkative.py").write_text("def talk():\n    print('hello')\n    return {'a': 1}\n")
    call = "{type: python, callable: 'talkative:talk', isolation: inline}"
    file = write(f"  outputs: {{a: '${{nodes.t.a}}'}}\n  nodes: [{{id: t, executor: {call}}}]\n")
    done = dagrun("run", file, "--json")
    assert json.loads(done.stdout)["outputs"] == {"a": 1}
    assert "hello" in done.stderr
    unread = shell_command(tmp_path, f"$DAGRUN run {file} --json 2>/dev/full")
    assert json.loads(unread.stdout)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("in.yaml", "s: yes\nn: 7  # seven\n", None),
        ("in.json", '{"s": "yes", "n": 7}', None),
        ("in.yaml", "s: [", "in.yaml:2:1"),
        ("in.yaml", "- 1\n", "in.yaml:1:1"),
        ("in.json", "s: yes", "in.json"),
        ("in.json", "[1]", "an object is needed"),
        ("in.json", '{"s": "a", "n": 1, "n": 2}', "in.json: the key 'n' stands here twice"),
        ("in.json", '{"s": {"n": 1, "n": 2}}', "in.json: the key 'n' stands here twice"),
        ("in.txt", '{"s": "a", "n": 1, "n": 2}', "in.txt:1:20: the key 'n' stands here twice"),
        ("in.json", '{"s": "a", "n": [NaN]}', "inputs.n: "),
    ],
)
def test_inputs_come_from_a_file_of_yaml_or_json(dagrun, tmp_path, write, name, text, said):
    (tmp_path / name).write_text(text)
    file = write(
        "  outputs: {s: '${inputs.s}', n: '${inputs.n}'}\n"
        "  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n"
    )
    done = dagrun("run", file, "--inputs-file", tmp_path / name)
    if said is None:
        assert json.loads(done.stdout) == {"s": "yes", "n": 7}
    else:
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def start_deaf(start, write, marker, kill_after="60s", **env):
    """Start a run whose one node does not care for SIGTERM."""
    file = write(
        f"""
  nodes:
    - id: deaf
      kill_after: {kill_after}
      executor: {{type: shell, command: "trap '' TERM; sleep {marker} & wait; wait"}}
"""
    )
    process = start("run", file, "--json", **env)
    until(lambda: sleepers(marker))
    return process


def test_a_second_ctrl_c_ends_at_once_and_a_resume_does_what_it_says(dagrun, start, write):
    process = start_deaf(start, write, 86411)
    process.send_signal(signal.SIGINT)
    process.read_past("cancelling; press Ctrl-C again to end at once", "stderr")
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    until(lambda: run["run_id"] and "cancelling" in dagrun("runs", "list").stdout)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=5)
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "cancelling"
    command = f"finish cancelling it with: dagrun run --resume {run['run_id']}"
    assert f"dagrun: stopped; {command}\n" in err
    assert sleepers(86411) == []
    assert f"its process has ended; {command}\n" in dagrun("runs", "show", run["run_id"]).stdout
    assert f"its process has ended; {command}\n" in dagrun("runs", "explain", run["run_id"]).stdout
    assert f"its process has ended; {command}\n" in dagrun("runs", "watch", run["run_id"]).stderr
    resumed = json.loads(dagrun("run", "--resume", run["run_id"], "--json").stdout)
    assert resumed["status"] == "cancelled"


def test_sigterm_waits_for_nodes_as_long_as_the_grace_and_no_longer(start, write):
    process = start_deaf(start, write, 86412, DAGRUN_GRACE="0.5")
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    out, err = process.communicate(timeout=5)
    assert time.monotonic() - begin > 0.4
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "running"
    assert "dagrun: stopping; waits for deaf, 0.50s at most; a second signal ends all" in err
    assert "go on with: dagrun run --resume" in err
    assert sleepers(86412) == []


@pytest.fixture
def ended(dagrun, start, tmp_path, write):
    """Give a process whose run has ended, and whose result nobody has read yet."""
    file = write("""
  nodes:
    - id: a
      executor:
        type: shell
        command: [sh, -c, 'head -c 500000 /dev/zero | tr "\\0" x | sed "s/.*/{\\"x\\": \\"&\\"}/" > "$DAGRUN_OUTPUT"']
""")
    process = start("run", file, "--json", PYTHONUNBUFFERED="1")

    def is_succeeded():
        if not (tmp_path / "data" / "dagrun.db").exists():
            return False
        items = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
        return [run["status"] for run in items] == ["succeeded"]

    until(is_succeeded)
    time.sleep(0.5)  # until it writes to a pipe that is full
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_behind_the_end_of_a_run_does_not_hide_its_result(ended, number):
    ended.send_signal(number)
    out, err = ended.communicate()
    assert ended.returncode == 0, err
    assert json.loads(out)["status"] == "succeeded"


def test_a_signal_ends_dagrun_though_nobody_reads_its_result(ended):
    ended.send_signal(signal.SIGTERM)
    assert ended.wait() == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_interpreter_ends_changes_no_exit_code(dagrun, tmp_path, write, number):
    (tmp_path / "dagrun_test_late.py").write_text(f"""
import os
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {int(number)})
late = Late()
def work():
    return {{}}
""")
    call = "{type: python, callable: 'dagrun_test_late:work', isolation: inline}"
    done = dagrun("run", write(f"  nodes: [{{id: a, executor: {call}}}]\n"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "succeeded"


def test_while_the_database_is_held_it_says_so_and_signals_still_act(
    dagrun, tmp_path, start, write
):
    process = start_deaf(start, write, 86413)
    holder = sqlite3.connect(tmp_path / "data" / "dagrun.db", isolation_level=None)
    holder.execute("begin immediate")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=5)
    holder.close()
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "cancelling"
    assert "dagrun: stopped; go on with: dagrun run --resume" in err  # nothing of it is on disk
    until(lambda: not sleepers(86413))
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert run["status"] == "running"


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


def test_logs_come_in_the_order_of_starts_and_unaltered(dagrun, write):
    file = write(
        r"""
  nodes:
    - id: b
      dependencies: [a]
      executor: {type: shell, command: "printf 'second\n'"}
    - id: a
      executor: {type: shell, command: "printf '10%%\r20%%\fx\n'"}
"""
    )
    run_id = json.loads(dagrun("run", file, "--json").stdout)["run_id"]
    done = subprocess.run(
        [sys.executable, "-m", "dagrun", "runs", "logs", run_id],  # as bytes
        capture_output=True,
        env={**os.environ, "DAGRUN_DATA_DIR": str(file.parent / "data")},
        timeout=60,
        check=True,
    )
    first, second = b"10%\r20%\x0cx\n", b"second\n"
    heads = b"==> a, attempt 1 <==\n", b"==> b, attempt 1 <==\n"
    assert done.stdout == heads[0] + first + heads[1] + second


def test_inputs_come_from_standard_input(tmp_path, write):
    file = write(
        "  outputs: {n: '${inputs.n}'}\n"
        "  nodes: [{id: a, executor: {type: shell, command: 'true'}}]\n"
    )
    done = shell_command(tmp_path, f"echo 'n: 7' | $DAGRUN run {file} --inputs-file - -i m=1")
    assert json.loads(done.stdout) == {"n": 7}


COUNTED = "; items are counted from 0, and the last one is 1"


def test_what_was_never_tried_has_no_log_and_the_answer_says_so(dagrun, write):
    file = write(
        """
  nodes:
    - id: a
      for_each: [1, 2]
      retry: {max_attempts: 2, first_delay: 10ms}
      executor: {type: shell, command: "echo hello; test ${item} = 1 -o $DAGRUN_ATTEMPT = 2"}
    - {id: quiet, executor: {type: shell, command: "true"}}
"""
    )
    run_id = json.loads(dagrun("run", file, "--json").stdout)["run_id"]
    never = {
        ("a", "--item", 2): f"item 2 of a{COUNTED}",
        ("a", "--attempt", 3): "attempt 3 of a",
        ("a", "--item", 0, "--attempt", 2): "attempt 2 of item 0 of a",
        ("quiet", "--item", 0): "item 0 of quiet",
        ("quiet", "--attempt", 2): "attempt 2 of quiet",
        ("quiet", "--attempt", 0): "attempt 0 of quiet",
        ("--item", 77): f"item 77{COUNTED}",
        ("--attempt", 3): "attempt 3",
        ("--item", 0, "--attempt", 2): "attempt 2 of item 0",
    }
    for arguments, what in never.items():
        done = dagrun("runs", "logs", run_id, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"dagrun: run {run_id} has no {what}\n"
    for arguments in (
        ["a", "--item", 1],
        ["a", "--attempt", 1],
        ["a", "--attempt", 2],
        ["a", "--item", 1, "--attempt", 2],
        ["quiet", "--attempt", 1],
        ["--item", 1],
        ["--attempt", 2],
    ):
        assert dagrun("runs", "logs", run_id, *arguments).returncode == 0
    assert "==> a[1], attempt 1 <==\nhello\n" in dagrun("runs", "logs", run_id).stdout


def test_files_beside_the_logs_that_are_none_are_left_alone(dagrun, tmp_path, write):
    file = write("  nodes: [{id: a, executor: {type: shell, command: echo hello}}]\n")
    run_id = json.loads(dagrun("run", file, "--json").stdout)["run_id"]
    for name in ("foo.log", "-1.log", "1-.log", "1-2-3.log", "\u0661.log", "0.5.log"):
        (tmp_path / "data" / "logs" / run_id / "a" / name).write_text("not of dagrun")
    done = dagrun("runs", "logs", run_id)
    assert (done.returncode, done.stdout) == (0, "hello\n")


def test_a_run_that_is_nowhere_is_not_gone_on_with_and_nothing_is_made(dagrun, tmp_path):
    for run_id in ("0unknown", "../x", ""):
        done = dagrun("run", f"--resume={run_id}")
        assert done.returncode == 2
        assert "there is no run" in done.stderr
        assert not (tmp_path / "data").exists()


def test_the_database_is_for_its_user_alone(dagrun, tmp_path, start, write):
    (tmp_path / "data").mkdir(mode=0o755)
    process = start_deaf(start, write, 86416)
    files = [tmp_path / "data" / f"dagrun.db{suffix}" for suffix in ("", "-wal", "-shm")]
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * 3
    process.kill()
    process.communicate()
    for file in files:
        file.chmod(0o644)  # as an older dagrun made them
    assert dagrun("runs", "list").returncode == 0
    assert oct(files[0].stat().st_mode & 0o777) == "0o600"
    assert dagrun("backup", tmp_path / "copy.db").returncode == 0
    assert oct((tmp_path / "copy.db").stat().st_mode & 0o777) == "0o600"


def test_a_run_that_was_cut_off_is_listed_as_such(dagrun, start, write):
    process = start_deaf(start, write, 86414)
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert (run["status"], run["resumable"]) == ("running", False)
    process.kill()
    process.communicate()
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert (run["status"], run["resumable"]) == ("running", True)
    assert "cut-off" in dagrun("runs", "list").stdout


def test_a_run_that_was_cut_off_is_shown_as_such_and_its_time_stands_still(dagrun, start, write):
    process = start_deaf(start, write, 86415)
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    live = json.loads(dagrun("runs", "show", run["run_id"], "--json").stdout)
    assert (live["status"], live["resumable"]) == ("running", False)
    shown = dagrun("runs", "show", run["run_id"]).stdout
    assert re.match(r"w 1\.0\.0  running  [\d.]+s  \(\w+\)\n  ● deaf  running  [\d.]+s\n$", shown)
    process.kill()
    process.communicate()
    dead = json.loads(dagrun("runs", "show", run["run_id"], "--json").stdout)
    assert (dead["status"], dead["resumable"]) == ("running", True)
    assert dagrun("runs", "show", run["run_id"]).stdout == (
        f"w 1.0.0  cut-off  ({run['run_id']})\n  ■ deaf  cut-off\n"
        f"its process has ended; go on with: dagrun run --resume {run['run_id']}\n"
    )
    assert json.loads(dagrun("run", write(QUICK), "--json").stdout)["status"] == "succeeded"
    (newest, _) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    ended = json.loads(dagrun("runs", "show", newest["run_id"], "--json").stdout)
    assert ended["resumable"] is False


def test_signals_end_dagrun_with_130_while_it_reads_its_document(tmp_path, start):
    for number in (signal.SIGTERM, signal.SIGINT):
        fifo = tmp_path / f"{number}.yaml"
        os.mkfifo(fifo)
        process = start("run", fifo)
        with fifo.open("wb"):  # which waits until it is read
            time.sleep(0.2)
            process.send_signal(number)
            _, err = process.communicate()
        assert (process.returncode, err) == (130, "")


def test_a_failed_run_tells_how_many_nodes_failed_and_whose_log_to_read(dagrun, write):
    file = write(
        """
  nodes:
    - {id: quiet, executor: {type: shell, command: "exit 1"}}
    - {id: loud, executor: {type: shell, command: "echo why; exit 1"}}
    - {id: lost, executor: {type: shell, cwd: nodir, command: "true"}}
    - {id: items, for_each: [1], executor: {type: shell, command: "exit 1"},
       retry: {max_attempts: 2, first_delay: 10ms, jitter: 0}}
"""
    )
    done = dagrun("run", file)
    assert "4 nodes failed: quiet, loud, lost, items" in done.stderr
    assert done.stderr.rstrip().endswith(" loud")
    assert "nodir' is none" in done.stderr
    assert "↻ items[0]  retrying  exit_code: exit code 1; again in 0.01s" in done.stderr


def test_a_failure_that_is_allowed_is_not_told_as_the_reason(dagrun, write):
    allowed = """
  nodes:
    - {id: a, allow_failure: true, executor: {type: shell, command: "echo fine; exit 1"}}
"""
    file = write(
        allowed
        + '    - {id: b, dependencies: [a], executor: {type: shell, command: "echo no; exit 1"}}\n'
    )
    done = dagrun("run", file)
    assert "dagrun: node b: exit_code: exit code 1: no\n" in done.stderr
    assert "nodes failed" not in done.stderr
    assert done.stderr.rstrip().endswith(" b")
    late = '    - {id: b, dependencies: [a], executor: {type: shell, command: "sleep 60"}}\n'
    done = dagrun("run", write("  timeout: 0.5s" + allowed + late))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "dagrun: the run took longer than 0.50s"


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
