"""``dagrun runs logs --follow``: what nodes write in another process, while they write it."""

import json
import signal
import sqlite3
import time
from contextlib import closing

import pytest

STEPS = """
  handlers: {exit: {executor: {type: shell, command: "echo handled"}}}
  nodes:
    - id: a
      retry: {max_attempts: 2, first_delay: 0}
      executor:
        type: shell
        command: |
          echo "try $DAGRUN_ATTEMPT"
          until test -e %(tmp)s/go-$DAGRUN_ATTEMPT; do sleep 0.02; done
          echo "done $DAGRUN_ATTEMPT"
          test $DAGRUN_ATTEMPT = 2
    - id: b
      dependencies: [a]
      for_each: [x, y]
      max_parallel: 1
      executor: {type: shell, command: "printf ${item}"}
"""


class Follower:
    def __init__(self, process):
        self.process = process

    def read(self, count=1):
        """Give the next objects, which are waited for."""
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]

    def end(self):
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def steps(start, write, tmp_path):
    """Start a run in another process; give the process and the run's id."""
    process = start("run", write(STEPS % {"tmp": tmp_path}))
    end = time.monotonic() + 20
    while not list(tmp_path.glob("data/logs/*/a/1.log")):
        assert time.monotonic() < end, "it did not start"
        time.sleep(0.05)
    with closing(sqlite3.connect(tmp_path / "data" / "dagrun.db")) as connection:
        return process, connection.execute("select run_id from runs").fetchone()[0]


@pytest.fixture
def follow(start, steps):
    return lambda *arguments: Follower(start("runs", "logs", steps[1], *arguments, "--follow"))


def piece(node_id, text, attempt=1, item=None):
    return {"node_id": node_id, "item": item, "attempt": attempt, "text": text}


def test_logs_are_followed_through_attempts_items_and_handlers_to_the_end(
    steps, follow, dagrun, tmp_path
):
    follower = follow("--json")
    people, narrow = follow(), follow("a", "--attempt", "2")
    assert follower.read() == [piece("a", "try 1\n")]
    (tmp_path / "go-1").touch()
    assert follower.read(2) == [piece("a", "done 1\n"), piece("a", "try 2\n", 2)]
    (tmp_path / "go-2").touch()
    code, out, err = follower.end()
    assert (code, err) == (0, "")
    assert [json.loads(line) for line in out.splitlines()] == [
        piece("a", "done 2\n", 2),
        piece("b", "x", item=0),
        piece("b", "y", item=1),
        piece("handler:exit", "handled\n"),
    ]
    whole = dagrun("runs", "logs", steps[1]).stdout
    assert whole.startswith("==> a, attempt 1 <==\ntry 1\ndone 1\n==> a, attempt 2 <==\ntry 2\n")
    assert people.end() == (0, whole, "")
    assert narrow.end() == (0, "try 2\ndone 2\n", "")
    assert dagrun("runs", "logs", steps[1], "-f").stdout == whole


def test_following_ends_with_the_process_of_the_run_and_says_how_to_go_on(
    steps, follow, dagrun, tmp_path
):
    process, run_id = steps
    follower = follow("--json")
    assert follower.read() == [piece("a", "try 1\n")]
    process.kill()
    said = f"dagrun: its process has ended; go on with: dagrun run --resume {run_id}\n"
    assert follower.end() == (0, "", said)
    with (tmp_path / "data" / "logs" / run_id / "a" / "1.log").open("a") as log:
        log.write("half a line")
    again = dagrun("runs", "logs", run_id, "a", "--follow")
    assert (again.returncode, again.stdout) == (0, "try 1\nhalf a line\n")


def test_an_interrupt_ends_following_and_leaves_the_run(steps, follow, tmp_path):
    follower = follow("a")
    assert follower.process.stdout.readline() == "try 1\n"
    follower.process.send_signal(signal.SIGINT)
    assert follower.end() == (130, "", "")
    for number in (1, 2):
        (tmp_path / f"go-{number}").touch()
    assert steps[0].wait(20) == 0


def test_what_can_never_be_written_is_refused_at_once_or_in_the_end(steps, follow, tmp_path):
    unknown, handler, third = follow("nope"), follow("handler:failure"), follow("--attempt", "3")
    run_id = steps[1]
    assert unknown.end() == (2, "", f"dagrun: run {run_id} has no node 'nope'\n")
    assert handler.end()[0] == 2
    for number in (1, 2):
        (tmp_path / f"go-{number}").touch()
    assert third.end() == (2, "", f"dagrun: run {run_id} has no attempt 3\n")


def test_a_log_over_its_limit_is_followed_up_to_the_marker(start, dagrun, write):
    much = "head -c 11000000 /dev/zero | tr '\\\\0' x; echo unseen"
    dagrun("run", write(f'  nodes: [{{id: a, executor: {{type: shell, command: "{much}"}}}}]\n'))
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    out = dagrun("runs", "logs", run["run_id"], "a", "--follow", "--json").stdout
    text = "".join(json.loads(line)["text"] for line in out.splitlines())
    assert text.strip("x") == "\n[dagrun: log cut, 10485760 bytes are allowed]\n"
    assert len(out.splitlines()) > 100
