"""Commands that look at runs of other processes, change them, and keep the house clean."""

import json
import shutil
import signal
import sqlite3
import time

import pytest
import trio

from dagrun import Node, Workflow, open_orchestrator, shell
from dagrun.testing.programs import until

TWO = """
  outputs: {said: "${nodes.b.exit_code}"}
  nodes:
    - {id: a, executor: {type: shell, command: "while ! test -e %(tmp)s/go-a; do sleep 0.05; done"}}
    - id: b
      dependencies: [a]
      executor: {type: shell, command: "while ! test -e %(tmp)s/go-b; do sleep 0.05; done"}
"""
QUICK = "  outputs: {x: 1}\n  nodes: [{id: a, executor: {type: lua, code: 'print(7) return {}'}}]\n"


class Two:
    """A run of two nodes in another process, each of which waits for a file.

    Where a test has to wait, it looks into the database: a command for each look takes long.
    """

    def __init__(self, dagrun, start, write, tmp_path):
        self.dagrun, self.tmp_path = dagrun, tmp_path
        self.file = write(TWO % {"tmp": tmp_path})
        self.process = start("run", self.file, "--json")
        until(lambda: self.statuses() == ["running"])
        self.run_id = self.newest()
        until(lambda: self.node_status("a") == "running")

    def ask(self, query, *values):
        """Give the rows of a query; none while there is no database."""
        file = self.tmp_path / "data" / "dagrun.db"
        if not file.exists():
            return []
        connection = sqlite3.connect(file)
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            return []  # the tables are being made
        finally:
            connection.close()

    def statuses(self):
        """Give the states of all runs, newest first."""
        return [status for (status,) in self.ask("select status from runs order by run_id desc")]

    def newest(self):
        return self.ask("select run_id from runs order by run_id desc limit 1")[0][0]

    def node_status(self, node_id):
        query = "select status from nodes where run_id = ? and node_id = ?"
        found = self.ask(query, self.run_id, node_id)
        return found[0][0] if found else None

    def show(self):
        return json.loads(self.dagrun("runs", "show", self.run_id, "--json").stdout)

    def go(self, *names):
        for name in names:
            (self.tmp_path / f"go-{name}").touch()


@pytest.fixture
def two(dagrun, start, write, tmp_path):
    return Two(dagrun, start, write, tmp_path)


def test_a_run_of_another_process_is_paused_explained_resumed_and_watched(two, dagrun, start):
    paused = dagrun("runs", "pause", two.run_id)
    assert (paused.returncode, paused.stdout) == (0, f"run {two.run_id} is paused\n")
    assert paused.stderr == f"dagrun: let it go on with: dagrun runs resume {two.run_id}\n"
    two.go("a")
    until(lambda: two.node_status("a") == "succeeded")
    time.sleep(0.3)
    assert (two.statuses(), two.node_status("b")) == (["paused"], None)
    reasons = json.loads(dagrun("runs", "explain", two.run_id, "--json").stdout)
    assert reasons["status"] == "paused"
    assert reasons["reasons"][0].startswith("the run is paused (requested)")
    assert f"process {two.process.pid} has it" in reasons["reasons"]
    watcher = start("runs", "watch", two.run_id)
    resumed = dagrun("runs", "resume", two.run_id, "--json")
    assert json.loads(resumed.stdout) == {
        "run_id": two.run_id,
        "changed": True,
        "status": json.loads(resumed.stdout)["status"],
    }
    two.go("b")
    out, err = watcher.communicate()
    assert (watcher.returncode, json.loads(out)) == (0, {"said": 0})
    assert "✓ b  succeeded" in err
    out, _ = two.process.communicate()
    assert (two.process.returncode, json.loads(out)["status"]) == (0, "succeeded")


def test_a_run_of_another_process_is_cancelled_and_nothing_of_it_is_left(two, dagrun):
    assert dagrun("runs", "cancel", two.run_id).returncode == 0
    two.process.communicate()
    assert two.process.returncode == 1
    assert two.show()["status"] == "cancelled"
    again = dagrun("runs", "cancel", two.run_id)
    assert again.returncode == 1
    assert (
        again.stderr == f"dagrun: run {two.run_id} cannot be cancelled: it is cancelled already\n"
    )


def test_a_run_that_was_cut_off_can_be_cancelled_and_only_resumed_by_its_command(two, dagrun):
    two.process.kill()
    two.process.communicate()
    for what in ("pause", "resume"):
        refused = dagrun("runs", what, two.run_id)
        assert refused.returncode == 1
        assert f"dagrun run --resume {two.run_id}" in refused.stderr
    explained = dagrun("runs", "explain", two.run_id).stdout.splitlines()
    assert explained[1] == f"its process has ended; go on with: dagrun run --resume {two.run_id}"
    watched = dagrun("runs", "watch", two.run_id)
    assert (watched.returncode, watched.stdout) == (1, "")
    assert "its process has ended" in watched.stderr
    assert dagrun("runs", "cancel", two.run_id).returncode == 0
    states = {node["id"]: node["status"] for node in two.show()["nodes"]}
    assert (two.show()["status"], states) == ("cancelled", {"a": "cancelled", "b": "cancelled"})


def test_a_paused_run_that_was_cut_off_goes_on_with_resume(two, dagrun):
    assert dagrun("runs", "pause", two.run_id).returncode == 0
    two.process.kill()
    two.process.communicate()
    two.go("a", "b")
    done = dagrun("run", "--resume", two.run_id)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"said": 0})


def test_the_second_run_of_a_key_waits_for_the_first_one_in_another_process(
    two, dagrun, start, write
):
    spec = f"  concurrency: {{key: k}}\n{TWO % {'tmp': two.tmp_path}}".replace("\n\n", "\n")
    file = write(spec, "limited.yaml")
    first = start("run", file)
    until(lambda: two.statuses() == ["running", "running"])
    second = start("run", file)
    until(lambda: len(two.statuses()) == 3)
    newest = two.newest()
    time.sleep(1)
    assert two.statuses()[0] == "queued"
    reasons = dagrun("runs", "explain", newest).stdout
    assert "it waits for a slot of 'w/k', of which there are 1" in reasons
    assert f"has a slot of 'w/k': it is running (process {first.pid})" in reasons
    two.go("a", "b")
    assert first.wait() == 0
    assert second.wait() == 0
    assert "dagrun: waiting: it waits for a slot" in second.communicate()[1]


def test_a_run_that_holds_the_only_slot_and_was_cut_off_is_named(two, dagrun, start, write):
    file = write(f"  concurrency: {{key: k}}{TWO % {'tmp': two.tmp_path}}", "limited.yaml")
    first = start("run", file)
    until(lambda: two.statuses() == ["running", "running"])
    holder = two.newest()
    first.kill()
    first.communicate()
    second = start("run", file)
    until(lambda: len(two.statuses()) == 3)
    until(
        lambda: (
            "its process has ended; resume or cancel it"
            in dagrun("runs", "explain", two.newest()).stdout
        )
    )
    assert dagrun("runs", "cancel", holder).returncode == 0
    two.go("a", "b")
    assert second.wait() == 0


@pytest.mark.parametrize("what", ["watch", "cancel", "pause", "resume", "explain"])
@pytest.mark.parametrize("run_id", ["0unknown", "../../etc", ""])
def test_an_unknown_run_is_refused_and_nothing_is_made(dagrun, tmp_path, what, run_id):
    done = dagrun("runs", what, run_id)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no run" in done.stderr
    assert not (tmp_path / "data").exists()


# events


def test_events_of_all_runs_are_printed_in_their_order(dagrun, write):
    dagrun("run", write(QUICK))
    dagrun("run", write("  nodes: [{id: a, executor: {type: shell, command: 'exit 4'}}]\n"))
    lines = [json.loads(x) for x in dagrun("events", "--json").stdout.splitlines()]
    assert [int(line["id"]) for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["type"] == "run.queued"
    assert set(lines[0]) == {
        "id", "type", "severity", "time", "run_id", "workflow_id", "node_id", "item", "engine_id",
        "attempt", "data",
    }  # fmt: skip
    assert all(line["time"].endswith("Z") for line in lines)
    errors = [
        json.loads(x) for x in dagrun("events", "--json", "--severity", "error").stdout.splitlines()
    ]
    assert [line["type"] for line in errors] == ["node.failed", "run.failed"]
    last = dagrun("events", "--limit", "1").stdout
    assert "run.failed" in last
    assert "exit code 4" in last
    rest = dagrun("events", "--after", lines[-3]["id"], "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in rest] == [line["id"] for line in lines[-2:]]
    some = dagrun("events", "--run", lines[0]["run_id"], "--type", "run", "--json").stdout
    assert [json.loads(line)["type"] for line in some.splitlines()] == [
        "run.queued",
        "run.running",
        "run.succeeded",
    ]


def test_events_are_followed_until_an_interrupt(dagrun, start, write):
    dagrun("run", write(QUICK))
    follower = start("events", "--follow", "--json", "--limit", "0")
    time.sleep(1)
    dagrun("run", write(QUICK))
    types = [json.loads(follower.read_line())["type"] for _ in range(5)]
    assert types[0] == "run.queued"
    assert types[-1] == "run.succeeded"
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate()
    assert (follower.returncode, err) == (130, "")


def test_who_follows_behind_an_event_misses_none_whatever_the_limit(dagrun, start, write):
    dagrun("run", write(QUICK))
    follower = start("events", "--follow", "--json", "--after", "0", "--limit", "1")
    ids = [json.loads(follower.read_line())["id"] for _ in range(5)]
    assert ids == ["1", "2", "3", "4", "5"]
    follower.send_signal(signal.SIGINT)
    follower.communicate()


def test_a_list_without_a_run_of_the_workflow_says_so(dagrun, write):
    dagrun("run", write(QUICK))
    done = dagrun("runs", "list", "--workflow", "w-mistyped")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "dagrun: there is no such run of w-mistyped\n"


def test_an_argument_too_many_is_named(dagrun):
    done = dagrun("runs", "list", "y")
    assert (done.returncode, "runs list: unexpected argument 'y'" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--severity", "loud", "--severity: 'loud' is none of info, warning, error, critical"),
        ("--after", "x", "--after: 'x' is no id of an event"),
        ("--limit", "-1", "--limit: a number from 0"),
        ("--run", "../x", "--run: '../x' is no id"),
        ("--run", "nope", "there is no run 'nope'"),
        ("--type", "run.faild", "no event is of the type 'run.faild' (did you mean 'run.failed'?)"),
        ("--type", "zzz", "no event is of the type 'zzz' (such as run, run.failed, node)"),
    ],
)
def test_a_wrong_option_of_events_is_refused(dagrun, flag, value, message):
    done = dagrun("events", f"{flag}={value}")
    assert done.returncode == 2
    assert message in done.stderr


# the house


def end_of_runs(tmp_path, days):
    """Let all runs have ended some days ago."""
    connection = sqlite3.connect(tmp_path / "data" / "dagrun.db")
    connection.execute(
        "update runs set finished_at = strftime('%Y-%m-%dT%H:%M:%S', 'now', ?) || '.000000+00:00'"
        " where finished_at is not null",
        (f"-{days} days",),
    )
    connection.commit()
    connection.close()


def test_old_runs_are_pruned_with_their_logs(dagrun, write, tmp_path):
    for _ in range(2):
        dagrun("run", write(QUICK))
    logs = tmp_path / "data" / "logs"
    assert len(list(logs.iterdir())) == 2
    assert dagrun("runs", "prune").stdout == "0 runs are deleted\n"
    end_of_runs(tmp_path, 8)
    (logs / "0orphan").mkdir()
    done = dagrun("runs", "prune", "--older-than", "7d", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"pruned": 2})
    assert json.loads(dagrun("runs", "list", "--json").stdout)["items"] == []
    assert list(logs.iterdir()) == []


def test_a_run_deletes_runs_that_are_older_than_the_retention(dagrun, write, tmp_path):
    dagrun("run", write(QUICK))
    end_of_runs(tmp_path, 29)
    dagrun("run", write(QUICK))
    assert len(json.loads(dagrun("runs", "list", "--json").stdout)["items"]) == 2
    dagrun("run", write(QUICK), "--retention", "forever")
    end_of_runs(tmp_path, 31)
    dagrun("run", write(QUICK), "--retention", "forever")
    assert len(json.loads(dagrun("runs", "list", "--json").stdout)["items"]) == 4
    dagrun("run", write(QUICK))
    assert len(json.loads(dagrun("runs", "list", "--json").stdout)["items"]) == 2


def test_scratch_directories_of_ended_runs_are_swept_and_no_others(two, dagrun, write, tmp_path):
    scratch = tmp_path / "data" / "scratch"
    ended = json.loads(dagrun("run", write(QUICK), "--json").stdout)["run_id"]
    kept = {two.run_id, "0of-a-program-that-keeps-runs-in-memory"}
    for name in (ended, *kept, "no id"):
        (scratch / name).mkdir(exist_ok=True)
    dagrun("run", write(QUICK))
    assert {path.name for path in scratch.iterdir()} == {*kept, "no id"}
    (scratch / ended).mkdir()
    assert dagrun("runs", "prune").returncode == 0
    assert {path.name for path in scratch.iterdir()} == {*kept, "no id"}
    two.process.kill()
    two.process.communicate()
    assert dagrun("runs", "prune").returncode == 0  # nobody is there who could know the other one
    assert {path.name for path in scratch.iterdir()} == {two.run_id, "no id"}


async def test_what_a_living_program_keeps_in_memory_is_left_its_logs_and_scratch(
    dagrun, write, tmp_path
):
    await trio.to_thread.run_sync(dagrun, "run", write(QUICK))  # so that there is a database
    data, go = tmp_path / "data", tmp_path / "go"
    wait = Node("a", executor=shell(f"echo text > file; echo text; until test -e {go}; do :; done"))
    async with open_orchestrator(data_dir=data, store="memory") as orchestrator:
        await orchestrator.register_workflow(Workflow("mine", "1.0.0", nodes=[wait]))
        run = await orchestrator.start_workflow("mine")
        left = [data / "logs" / run.run_id / "a" / "1.log", data / "scratch" / run.run_id / "file"]
        await trio.to_thread.run_sync(until, lambda: all(path.exists() for path in left))
        pruned = await trio.to_thread.run_sync(dagrun, "runs", "prune", "--older-than", "0s")
        assert pruned.stdout == "1 runs are deleted\n"
        assert [path.read_text() for path in left] == ["text\n", "text\n"]
        go.touch()
        assert (await run.result()).status == "succeeded"
    assert left[0].exists()
    await trio.to_thread.run_sync(dagrun, "runs", "prune")
    assert list((data / "logs").iterdir()) == []


async def test_a_run_with_a_young_key_is_kept_so_that_the_key_gives_it_again(dagrun, tmp_path):
    data = tmp_path / "data"
    workflow = Workflow("mine", "1.0.0", nodes=[Node("a", executor=shell("echo text"))])

    async def ask(orchestrator):
        await orchestrator.register_workflow(workflow)
        return (await orchestrator.execute_workflow("mine", idempotency_key="k")).run_id

    async with open_orchestrator(data_dir=data) as orchestrator:
        first = await ask(orchestrator)
        pruned = await trio.to_thread.run_sync(dagrun, "runs", "prune", "--older-than", "0s")
        assert pruned.stdout == "0 runs are deleted\n"
        assert (data / "logs" / first / "a" / "1.log").exists()
        assert await ask(orchestrator) == first


def test_the_scratch_directory_goes_with_its_run(dagrun, write, tmp_path):
    run_id = json.loads(dagrun("run", write(QUICK), "--json").stdout)["run_id"]
    (tmp_path / "data" / "scratch" / run_id).mkdir(parents=True)
    (tmp_path / "data" / "scratch" / run_id / "file").touch()
    end_of_runs(tmp_path, 8)
    assert dagrun("runs", "prune", "--older-than", "7d").stdout == "1 runs are deleted\n"
    assert list((tmp_path / "data" / "scratch").iterdir()) == []


@pytest.mark.parametrize("age", ["soon", "-1", "forever", "5"])
def test_a_wrong_age_is_refused(dagrun, age):
    done = dagrun("runs", "prune", f"--older-than={age}")
    assert done.returncode == 2
    assert "--older-than" in done.stderr


def test_a_backup_is_taken_beside_a_run_and_brought_back(two, dagrun, tmp_path):
    copy = tmp_path / "copy.db"
    assert dagrun("backup", copy).returncode == 0
    assert dagrun("backup", copy).returncode == 1
    in_use = dagrun("backup", copy, "--restore")
    assert in_use.returncode == 1
    assert f"is used by process {two.process.pid}" in in_use.stderr
    two.go("a", "b")
    two.process.communicate()
    restored = dagrun("backup", copy, "--restore")
    assert restored.returncode == 0, restored.stderr
    assert (tmp_path / "data" / "dagrun.db.replaced").exists()
    assert two.statuses() == ["running"]  # as when the copy was made
    assert json.loads(dagrun("run", "--resume", two.run_id).stdout) == {"said": 0}
    twice = dagrun("backup", copy, "--restore")
    assert twice.returncode == 1
    assert "dagrun.db.replaced is there from an earlier restore" in twice.stderr


def test_a_backup_brings_a_lost_data_directory_back(dagrun, write, tmp_path):
    dagrun("run", write(QUICK))
    before = dagrun("runs", "list", "--json").stdout
    dagrun("backup", tmp_path / "copy.db")
    shutil.rmtree(tmp_path / "data")
    assert dagrun("backup", tmp_path / "copy.db", "--restore").returncode == 0
    assert dagrun("runs", "list", "--json").stdout == before


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"garbage", "damaged, or no database"), (None, "No such file"), (b"", "it is empty")],
)
def test_what_is_no_backup_is_refused_and_the_database_stays(
    dagrun, write, tmp_path, content, message
):
    dagrun("run", write(QUICK))
    before = dagrun("runs", "list", "--json").stdout
    if content is not None:
        (tmp_path / "bad.db").write_bytes(content)
    done = dagrun("backup", tmp_path / "bad.db", "--restore")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert dagrun("runs", "list", "--json").stdout == before
    left = {path.name for path in (tmp_path / "data").iterdir()}
    assert left == {"dagrun.db", "logs", "owners", "restore.lock"}


def test_without_a_database_there_is_nothing_to_copy(dagrun, tmp_path):
    done = dagrun("backup", tmp_path / "copy.db")
    assert done.returncode == 2
    assert "no run was ever started" in done.stderr
    assert not (tmp_path / "copy.db").exists()
