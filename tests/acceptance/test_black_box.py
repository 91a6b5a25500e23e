"""What black-box users rely on: the commands as separate processes, what they read and print."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from dagrun.testing.programs import until

EXAMPLES = Path(__file__).parents[2] / "examples"


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


@pytest.mark.parametrize("command", [[], ["run"], ["runs"], ["runs", "list"]], ids=" ".join)
def test_every_command_tells_the_version_of_dagrun(dagrun, command):
    assert dagrun(*command, "--version").stdout == f"dagrun {version('dagrun-core')}\n"


def test_plugins_are_listed_with_what_they_offer(dagrun):
    items = json.loads(dagrun("plugins", "--json").stdout)["items"]
    offers = {item["name"]: item["offers"] for item in items}
    assert offers["builtin"]["executor"] == ["http", "python", "shell", "workflow"]
    assert offers["lua"]["executor"] == ["lua"]


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
