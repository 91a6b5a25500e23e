"""Signals and kills: what a command does about them, and what it leaves on the disk."""

import json
import os
import re
import signal
import sqlite3
import time

import pytest

from dagrun.testing.programs import sleepers, until

QUICK = "  nodes: [{id: a, executor: {type: lua, code: 'return {}'}}]\n"


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
