"""Handlers as users meet them: the commands as separate processes, their signals and crashes."""

import json
import os
import signal

import pytest

from dagrun.testing.programs import sleepers, until


@pytest.fixture
def write(write, tmp_path):
    return lambda spec: write(spec.replace("$TMP", str(tmp_path)))


ALL_KINDS = """
  inputs: {type: object, properties: {bad: {type: boolean, default: false}}}
  outputs: {n: "${nodes.a.n}"}
  handlers:
    success:
      executor:
        type: lua
        code: |
          print(run.status, run.error == nil, nodes.a.n, env.WHO)
          return {status = run.status, bad = nodes.bad or json.null, n = nodes.a.n}
      env: {WHO: "${run.workflow_id}"}
    failure:
      executor:
        type: shell
        code: |
          echo "$DAGRUN_RUN_STATUS/$DAGRUN_RUN_ERROR_TYPE/$DAGRUN_RUN_ERROR"
          cp "$DAGRUN_INPUTS" "$DAGRUN_OUTPUT"
      inputs: {why: "${run.error.message}", n: "${nodes.a.n}", bad: "${nodes.bad}"}
    exit:
      executor:
        type: python
        code: |
          outputs = {"status": run["status"], "error": run["error"], "nodes": nodes,
                     "env": env["DAGRUN_RUN_STATUS"], "inputs": inputs}
  nodes:
    - {id: a, executor: {type: lua, code: "return {n = 3}"}}
    - {id: bad, dependencies: [a], when: "inputs.bad", executor: {type: shell, command: "exit 7"}}
"""


def test_handlers_of_all_executors_see_a_success(dagrun, write):
    done = dagrun("run", write(ALL_KINDS), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [node["id"] for node in result["nodes"]] == ["a", "bad"]
    own, last = result["handlers"]
    assert (own["event"], own["id"], own["status"]) == ("success", "handler:success", "succeeded")
    assert own["outputs"] == {"status": "succeeded", "n": 3, "bad": None}
    assert (last["event"], last["attempts"], last["error"]) == ("exit", 1, None)
    assert last["outputs"] == {
        "status": "succeeded",
        "error": None,
        "nodes": {"a": {"n": 3}, "bad": None},
        "env": "succeeded",
        "inputs": {"bad": False},
    }
    shown = dagrun("runs", "show", result["run_id"], "--json")
    more = {"inputs": {"bad": False}, "resumable": False}
    assert json.loads(shown.stdout) == {**result, **more}
    logs = dagrun("runs", "logs", result["run_id"], "handler:success")
    assert logs.stdout == "succeeded\ttrue\t3\tw\n"
    assert dagrun("runs", "logs", result["run_id"], "handler:failure").returncode == 2


def test_handlers_see_a_failure_and_its_error(dagrun, write):
    done = dagrun("run", write(ALL_KINDS), "-i", "bad=true", "--json")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    why = "node bad: exit_code: exit code 7"
    assert (result["status"], result["error"]["message"]) == ("failed", why)
    own, last = result["handlers"]
    assert own["outputs"] == {"why": why, "n": 3, "bad": None, "exit_code": 0}
    assert last["outputs"]["error"] == {"type": "node_failed", "message": why}
    shown = dagrun("runs", "show", result["run_id"])
    assert "✓ handler:failure  succeeded" in shown.stdout
    logs = dagrun("runs", "logs", result["run_id"])
    assert logs.stdout == f"failed/node_failed/{why}\n"


def test_a_handler_that_fails_is_warned_of_and_changes_nothing(dagrun, write):
    file = write(
        """
  outputs: {n: 1}
  handlers:
    success: {executor: {type: shell, command: "echo no luck; exit 3"}}
    exit: {executor: {type: shell, command: "head -c 100000000 /dev/zero > $DAGRUN_OUTPUT"}}
  nodes: [{id: a, executor: {type: shell, command: "true"}}]
"""
    )
    done = dagrun("run", file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"n": 1}
    assert "✗ handler:success  failed" in done.stderr
    assert "dagrun: warning: handler:success failed: exit code 3: no luck" in done.stderr
    assert "dagrun: warning: handler:exit failed: the file DAGRUN_OUTPUT is refused" in done.stderr
    run_id = json.loads(dagrun("runs", "list", "--json").stdout)["items"][0]["run_id"]
    assert f"dagrun runs logs {run_id} handler:success" in done.stderr
    assert dagrun("runs", "logs", run_id, "handler:success").stdout == "no luck\n"


def test_a_run_and_a_handler_that_take_too_long_are_both_stopped(dagrun, write):
    file = write(
        """
  timeout: 300ms
  handlers:
    failure: {timeout: 2s, executor: {type: shell, command: "echo $DAGRUN_RUN_STATUS; sleep 86511"}}
  nodes: [{id: a, executor: {type: shell, command: "sleep 86511"}}]
"""
    )
    done = dagrun("run", file, "--json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["error"]["type"] == "timeout"
    assert result["nodes"][0]["status"] == "cancelled"
    assert result["handlers"][0]["error"] == {
        "type": "timeout",
        "message": "the attempt took longer than 2.00s",
    }
    assert dagrun("runs", "logs", result["run_id"]).stdout.endswith("failed\n")
    assert sleepers(86511) == []


SLOW = """
  handlers:
    cancelled:
      executor: {type: shell, command: "echo cancelled >> $TMP/effects; $WAIT"}
    failure:
      executor: {type: shell, command: "echo failure >> $TMP/effects; $WAIT"}
    exit:
      executor: {type: shell, command: "echo exit >> $TMP/effects"}
  nodes:
    - {id: a, executor: {type: shell, command: "echo a >> $TMP/effects; $NODE"}}
"""


def slow(node, wait):
    return SLOW.replace("$NODE", node).replace("$WAIT", wait)


def test_ctrl_c_cancels_and_then_runs_the_handlers(tmp_path, write, start):
    process = start("run", write(slow("sleep 86512", "true")), "--json")
    until(lambda: sleepers(86512))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, err
    result = json.loads(out)
    assert (result["status"], result["nodes"][0]["status"]) == ("cancelled", "cancelled")
    assert [handler["status"] for handler in result["handlers"]] == ["succeeded"] * 2
    assert (tmp_path / "effects").read_text() == "a\ncancelled\nexit\n"
    assert sleepers(86512) == []


def test_ctrl_c_while_handlers_run_lets_them_end_and_keeps_the_result(tmp_path, write, start):
    wait = "until [ -e $TMP/go ]; do sleep 0.02; done"
    process = start("run", write(slow("exit 5", wait)), "--json")
    until(lambda: "failure" in effects(tmp_path))
    process.send_signal(signal.SIGINT)
    process.read_past("its handlers go on; press Ctrl-C again to end at once", "stderr")
    (tmp_path / "go").touch()
    out, err = process.communicate()
    assert process.returncode == 1, err
    result = json.loads(out)
    assert (result["status"], result["error"]["type"]) == ("failed", "node_failed")
    assert effects(tmp_path) == ["a", "failure", "exit"]


def effects(tmp_path):
    file = tmp_path / "effects"
    return file.read_text().split() if file.exists() else []


def test_a_second_ctrl_c_ends_handlers_at_once_and_they_can_be_gone_on_with(
    tmp_path, dagrun, write, start
):
    process = start("run", write(slow("sleep 86513", "sleep 86514")), "--json")
    until(lambda: sleepers(86513))
    process.send_signal(signal.SIGINT)
    until(lambda: sleepers(86514))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "ending"
    until(lambda: not sleepers(86514))
    (run,) = json.loads(dagrun("runs", "list", "--status", "ending", "--json").stdout)["items"]
    assert (run["status"], run["resumable"]) == ("ending", True)
    assert "ending (cancelled)" in dagrun("runs", "show", run["run_id"]).stdout


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_handler_that_was_cut_off_runs_again_and_nothing_else_does(
    tmp_path, dagrun, write, start, how
):
    process = start("run", write(slow("exit 5", "sleep 86515")), "--json")
    until(lambda: sleepers(86515))
    process.send_signal(how)
    process.communicate()
    until(lambda: not sleepers(86515))
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    assert (run["status"], run["error"], run["resumable"]) == ("ending", None, True)
    second = start("run", "--resume", run["run_id"], "--json")
    until(lambda: effects(tmp_path) == ["a", "failure", "failure"])
    until(lambda: sleepers(86515))
    os.kill(sleepers(86515)[0], signal.SIGKILL)  # now the handler itself fails
    out, err = second.communicate()
    assert second.returncode == 1, err
    result = json.loads(out)
    assert (result["status"], result["error"]["message"]) == (
        "failed",
        "node a: exit_code: exit code 5",
    )
    own, last = result["handlers"]
    assert (own["status"], own["attempts"]) == ("failed", 1)
    assert last["status"] == "succeeded"
    assert effects(tmp_path) == ["a", "failure", "failure", "exit"]


def test_what_is_wrong_with_handlers_is_said_by_validate(dagrun, write):
    file = write(
        """
  nodes: [{id: a, executor: {type: lua, code: "return {}"}}]
  handlers:
    failur: {executor: {type: lua, code: "return {}"}}
    success: {executor: {type: lau, code: "return {}"}}
    failure: {executor: {type: lua, code: "return {"}}
    cancelled: {executor: {type: shell, command: "${nodes.b}", comand: x}, retry: {max_attempts: 2}}
    exit: {executor: {type: lua, file: missing.lua}, timeout: soon}
"""
    )
    done = dagrun("validate", file)
    assert done.returncode == 2
    for said in (
        "w.yaml:8:5: spec.handlers.failur: 'failur' is none of success, failure, cancelled, exit",
        "spec.handlers.success.executor.type: no executor is called 'lau'",
        "spec.handlers.failure.executor: code, line 1: unexpected symbol",
        "spec.handlers.cancelled.executor.comand: the key 'comand' is not known here",
        "spec.handlers.cancelled.executor.command: there is no node 'b'",
        "spec.handlers.cancelled.retry: the key 'retry' is not known here",
        "spec.handlers.exit.timeout: 'soon' is no duration",
    ):
        assert said in done.stderr + done.stdout, (said, done.stdout, done.stderr)
    file = write(
        "  nodes: [{id: a, executor: {type: lua, code: 'return {}'}}]\n"
        "  handlers: {exit: {executor: {type: lua, file: missing.lua}}}\n"
    )
    assert "spec.handlers.exit.executor.file: " in dagrun("validate", file).stderr


def test_outputs_that_do_not_fit_their_schema_fail_the_node_with_the_place(dagrun, write):
    file = write(
        """
  nodes:
    - id: a
      outputs: {required: [rows], properties: {rows: {items: {type: integer}}}}
      executor: {type: lua, code: 'return {rows = {1, "x"}}'}
"""
    )
    done = dagrun("run", file, "--json")
    assert done.returncode == 1
    (node,) = json.loads(done.stdout)["nodes"]
    assert node["error"] == {
        "type": "output_schema",
        "message": "outputs.rows[1]: 'x' is not of type 'integer'",
    }
