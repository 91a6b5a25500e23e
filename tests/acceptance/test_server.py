"""The commands with a server: an orchestrator and an engine in processes of their own."""

import json
import re
import signal

import pytest

from dagrun.cli.app import run_command
from dagrun.testing.programs import COMMAND, call, until

DOCUMENT = """
  inputs: {type: object, properties: {n: {type: integer, default: 1}}}
  outputs: {n: "${nodes.a.n}"}
  nodes:
    - {id: a, executor: {type: lua, file: double.lua}}
"""
LUA = "return {n = inputs.n * 2}"
WAITS = """
  nodes:
    - {id: a, executor: {type: shell, command: "while ! test -e GATE; do sleep 0.05; done; echo opened"}}
    - {id: b, dependencies: [a], executor: {type: shell, command: "true"}}
"""
PARENT = """
  nodes:
    - {id: c, executor: {type: workflow, id: w}, inputs: {n: "${item}"}, for_each: [1, 2]}
"""


@pytest.fixture
def server(start, tmp_path):
    """Start an orchestrator, and give its address."""
    program = start("orchestrator", "--grpc-port", "0")
    while not (found := re.search(r"listening on ([\d.:]+)", program.read_line("stderr"))):
        pass
    return found[1]


@pytest.fixture
def engine(start, server):
    """Start an engine in the same data directory, and wait until it is attached."""
    program = start("engine", "--orchestrator", server, "--engine-id", "e1", "--labels", "zone=a")
    program.read_past("is attached", "stderr")
    return program


@pytest.fixture
def ask(server, tmp_path):
    """Ask the server."""

    def asking(*arguments, **environment):
        return call(*COMMAND, *arguments, folder=tmp_path, DAGRUN_SERVER=server, **environment)

    return asking


@pytest.fixture
def asked(ask):
    """Ask the server, and give what a program reads of the answer."""

    def asking(*arguments, **environment):
        done = ask(*arguments, "--json", **environment)
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)

    return asking


def identified(spec, workflow_id):
    return spec.read_text().replace("{id: w,", f"{{id: {workflow_id},")


def test_workflows_are_registered_started_and_looked_at(asked, ask, engine, write, tmp_path):
    (tmp_path / "double.lua").write_text(LUA)
    document = write(DOCUMENT)
    registered = {"workflow_id": "w", "version": "1.0.0"}
    assert asked("workflows", "register", document, "--metadata", "owner=me")["items"] == [
        {**registered, "created": True}
    ]
    assert asked("workflows", "register", document)["items"] == [{**registered, "created": False}]
    (listed,) = asked("workflows", "list")["items"]
    assert (listed["workflow_id"], listed["current"], listed["metadata"]) == (
        "w",
        True,
        {"owner": "me"},
    )
    shown = asked("workflows", "show", "w")
    assert shown["definition"]["nodes"][0]["executor"]["options"] == {"code": LUA}
    document.write_text(
        document.read_text().replace("1.0.0", "1.1.0").replace("default: 1", "default: 5")
    )
    asked("workflows", "register", document)
    assert [one["version"] for one in asked("workflows", "versions", "w")["items"]] == [
        "1.1.0",
        "1.0.0",
    ]
    changes = ask("workflows", "diff", "w", "1.0.0").stdout.splitlines()
    assert [line for line in changes if re.match(r"[+-] ", line) and "default" in line] == [
        '-        "default": 1,',
        '+        "default": 5,',
    ]

    done = asked("runs", "start", "w", "-i", "n=4", "--version", "1.0.0")
    assert (done["workflow_id"], done["status"] in ("queued", "running")) == ("w", True)
    waited = ask("runs", "start", "w", "--wait", "--json")
    result = json.loads(waited.stdout)
    assert (result["status"], result["outputs"], result["version"]) == (
        "succeeded",
        {"n": 10},
        "1.1.0",
    )
    assert result["inputs"] == {"n": 5}
    assert asked("runs", "show", result["run_id"]) == result
    listed = asked("runs", "list", "--workflow", "w")["items"]
    assert [one["run_id"] for one in listed] == [result["run_id"], done["run_id"]]
    shown = ask("runs", "show", result["run_id"]).stdout
    assert "✓ a  succeeded" in shown
    assert '"n": 10' in shown

    assert asked("workflows", "delete", "w", "1.0.0") == {"workflow_id": "w", "deleted": ["1.0.0"]}
    assert ask("workflows", "delete", "w", "1.0.0").returncode == 2


def test_a_wrong_document_is_told_with_its_places_and_inputs_with_their_names(ask, write):
    document = write("  nodes:\n    - {id: a, executer: {type: lua}}\n    - {id: a b}\n")
    done = ask("workflows", "register", document)
    assert done.returncode == 2
    assert f"{document}:6:7: spec.nodes[0]: the key 'executor'" in done.stderr
    assert f"{document}:7:" in done.stderr
    told = json.loads(ask("workflows", "register", document, "--json").stdout)["error"]
    assert told["type"] == "definition"
    assert {"line", "column", "path", "suggestion"} <= told["errors"][0].keys()
    ask("workflows", "register", write(DOCUMENT.replace("file: double.lua", "code: 'return {}'")))
    refused = ask("runs", "start", "w", "-i", "n=x")
    assert (refused.returncode, refused.stderr) == (2, "dagrun: inputs.n: 'x' is no integer\n")
    refused = ask("runs", "start", "w", "--priority", "99999999999")
    told = "dagrun: the priority must be a whole number from "
    assert (refused.returncode, refused.stderr.startswith(told)) == (2, True)


def test_of_several_documents_all_that_is_wrong_is_told_and_the_right_ones_are_registered(
    asked, ask, write, tmp_path
):
    wrong, missing = write("  nodes: 1\n", "wrong.yaml"), tmp_path / "missing.yaml"
    right = write(DOCUMENT.replace("file: double.lua", "code: 'return {}'"))
    other = write(DOCUMENT.replace("file: double.lua", "code: 'return {n = 1}'"), "other.yaml")
    done = ask("workflows", "register", wrong, right, other, missing)
    assert (done.returncode, done.stdout) == (2, "w 1.0.0 is registered\n")
    assert f"{other}: w 1.0.0 is registered" in done.stderr
    assert f"{wrong}:5:10: spec.nodes: " in done.stderr
    assert f"{missing}: it cannot be read" in done.stderr
    assert [one["workflow_id"] for one in asked("workflows", "list")["items"]] == ["w"]


def test_a_run_is_watched_paused_explained_and_cancelled(
    asked, ask, start, server, engine, write, tmp_path
):
    gate = tmp_path / "gate"
    asked("workflows", "register", write(WAITS.replace("GATE", str(gate))))
    run_id = ask("runs", "start", "w").stdout.strip()
    until(lambda: asked("runs", "show", run_id)["status"] == "running")
    reasons = asked("runs", "explain", run_id)["reasons"]
    assert "engine e1 has it" in reasons
    assert asked("runs", "pause", run_id)["changed"]
    until(lambda: asked("runs", "show", run_id)["status"] == "paused")
    again = ask("runs", "pause", run_id)
    assert (again.returncode, "is paused already" in again.stderr) == (1, True)
    watching = start("runs", "watch", run_id, "--json", "--server", server)
    following = start("runs", "logs", run_id, "--follow", "--server", server)
    gate.touch()
    assert asked("runs", "resume", run_id)["changed"]
    events = [json.loads(line)["type"] for line in watching.communicate()[0].splitlines()]
    assert events[0] == "run.queued"
    assert events[-1] == "run.succeeded"
    assert watching.returncode == 0
    assert following.communicate()[0] == "==> a, attempt 1 <==\nopened\n"
    assert asked("runs", "logs", run_id)["items"] == [
        {"node_id": "a", "item": None, "attempt": 1, "text": "opened\n"}
    ]
    assert "succeeded" in ask("runs", "watch", run_id).stderr

    gate.unlink()
    waiting = start("runs", "start", "w", "--wait", "--server", server)
    other = re.search(r"run (\w+): w 1.0.0", waiting.read_line("stderr"))[1]
    waiting.send_signal(signal.SIGINT)
    again = f"the run goes on; follow it with: dagrun runs watch {other} --server {server}"
    assert again in waiting.communicate()[1]
    assert waiting.returncode == 130
    assert asked("runs", "cancel", other)["changed"]
    assert ask("runs", "watch", other).returncode == 1
    assert asked("runs", "show", other)["status"] == "cancelled"
    assert ask("runs", "cancel", other).returncode == 1


def test_what_is_asked_of_a_run_whose_engine_is_frozen_is_said_to_come(
    asked, ask, engine, write, tmp_path
):
    asked("workflows", "register", write(WAITS.replace("GATE", str(tmp_path / "gate"))))
    run_id = ask("runs", "start", "w").stdout.strip()
    until(lambda: asked("runs", "show", run_id)["status"] == "running")
    engine.send_signal(signal.SIGSTOP)
    later = "as soon as an engine takes up the request"
    try:
        for what, said in (("pause", "paused"), ("cancel", "cancelled")):
            first, second = ask("runs", what, run_id), ask("runs", what, run_id)
            assert (first.returncode, first.stdout) == (0, f"run {run_id} will be {said} {later}\n")
            assert second.returncode == 1
            assert "waits for an engine already" in second.stderr
            reasons = ask("runs", "explain", run_id).stdout.splitlines()
            assert reasons[1].startswith(f"it is to be {said}")
            assert reasons[1].endswith(later)
        paused = ask("runs", "pause", run_id)
        assert (paused.returncode, "a request to pause or cancel it" in paused.stderr) == (1, True)
    finally:
        engine.send_signal(signal.SIGCONT)
    until(lambda: asked("runs", "show", run_id)["status"] == "cancelled")


def test_what_an_engine_does_at_once_is_said_to_be_done(asked, ask, engine, write, tmp_path):
    asked("workflows", "register", write(WAITS.replace("GATE", str(tmp_path / "gate"))))
    run_id = ask("runs", "start", "w").stdout.strip()
    until(lambda: asked("runs", "show", run_id)["status"] == "running")
    assert ask("runs", "pause", run_id).stdout == f"run {run_id} is paused\n"
    assert ask("runs", "cancel", run_id).stdout == f"run {run_id} is cancelled\n"


LOOKS = (
    "runs list",
    "runs list --status cut-off --json",
    "runs list --workflow none",
    "runs show {failed}",
    "runs show {cut off} --json",
    "runs show {cut off}",
    "runs logs {failed}",
    "runs logs {failed} b",
    "runs logs {cut off} --follow --json",
    "runs explain {failed}",
    "runs explain {cut off} --json",
    "runs watch {cut off}",
    "runs watch {failed} --json",
    "runs tree {failed}",
    "runs pause {cut off} --json",
    "runs cancel {failed}",
    "events --limit 3",
    "events --json --type run --run={failed}",
    "workflows list --json",
    "workflows show w",
)
FAILS = """
  nodes:
    - {id: a, executor: {type: shell, command: "echo why; exit 3"}}
    - {id: b, executor: {type: shell, command: "true"}}
"""


def cut_off(start, tmp_path, document):
    """Give the id of a run that has a log, and whose process was killed."""
    process = start("run", document)
    logs = tmp_path / "data" / "logs"
    before = set(logs.iterdir())
    until(lambda: any((path / "a").exists() for path in set(logs.iterdir()) - before))
    process.kill()
    process.wait()
    (found,) = set(logs.iterdir()) - before
    return found.name


def test_an_answer_is_the_same_with_a_server_and_without(
    ask, asked, capsys, server, engine, start, write, tmp_path
):
    def told(*command):
        return (run_command(command), *capsys.readouterr())

    asked("workflows", "register", write(FAILS))
    failed = json.loads(ask("runs", "start", "w", "--wait", "--json").stdout)["run_id"]
    until(lambda: "why" in ask("runs", "logs", failed).stdout)  # it comes behind the end
    waits = FAILS.replace("exit 3", "until test -e gate; do sleep 0.05; done")
    ids = {"failed": failed, "cut off": cut_off(start, tmp_path, write(waits, "waits.yaml"))}
    for line in LOOKS:
        command = [word.format_map(ids) for word in re.split(r" (?![^{]*})", line)]
        here = told(*command, "--data-dir", str(tmp_path / "data"))
        assert told(*command, "--server", server) == here, line
        assert any(here[1:]), line
    listed = asked("runs", "list", "--status", "cut-off")["items"]
    assert [run["run_id"] for run in listed] == [ids["cut off"]]
    assert ask("runs", "show", failed).stdout.endswith(f"dagrun runs logs {failed} a\n")


def test_children_are_shown_below_their_parents(asked, ask, engine, write):
    child = write(DOCUMENT.replace("file: double.lua", f"code: '{LUA}'"))
    parent = write(PARENT, "parent.yaml")
    parent.write_text(identified(parent, "p"))
    asked("workflows", "register", child, parent)
    done = json.loads(ask("runs", "start", "p", "--wait", "--json").stdout)
    assert done["status"] == "succeeded", done
    tree = asked("runs", "tree", done["run_id"])
    assert sorted((one["node_id"], one["item"], one["status"]) for one in tree["children"]) == [
        ("c", 0, "succeeded"),
        ("c", 1, "succeeded"),
    ]
    lines = ask("runs", "tree", done["run_id"]).stdout.splitlines()
    assert sorted(line.split(":")[0] for line in lines[1:]) == ["  c[0]", "  c[1]"]
    local = call(*COMMAND, "runs", "tree", done["run_id"], "--json", folder=child.parent)
    assert json.loads(local.stdout) == tree
    (listed,) = asked("runs", "list", "--top-level")["items"]
    assert listed["run_id"] == done["run_id"]
    below = f"dagrun runs tree {done['run_id']} lists them\n"
    assert ask("runs", "logs", done["run_id"]).stderr.endswith(below)
    (first,) = (one["run_id"] for one in tree["children"] if one["item"] == 0)
    told = ask("runs", "logs", done["run_id"], "c", "--item", "0", "--follow").stderr
    assert told.endswith(f"see: dagrun runs logs {first}\n")
    refused = ask("workflows", "delete", "w", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["dependents"] == ["p 1.0.0"]
    assert ask("workflows", "delete", "w", "--force").returncode == 0


def test_engines_are_listed_and_drained(asked, ask, engine):
    (shown,) = asked("engines", "list")["items"]
    assert shown.pop("address").startswith("127.0.0.1:")
    assert shown == {
        "id": "e1",
        "status": "idle",
        "capacity": 10,
        "active_runs": 0,
        "labels": {"zone": "a"},
    }
    assert asked("engines", "drain", "e1")["status"] == "draining"
    assert "draining" in ask("engines", "list").stdout
    assert asked("engines", "undrain", "e1")["status"] == "idle"
    assert ask("engines", "drain", "none").returncode == 2


def test_a_run_that_waits_for_a_drained_engine_is_told_how_that_takes_runs_again(
    asked, ask, engine, write
):
    asked(
        "workflows", "register", write("  nodes: [{id: a, executor: {type: shell, command: ls}}]\n")
    )
    asked("engines", "drain", "e1")
    run_id = ask("runs", "start", "w").stdout.strip()
    undrain = "engines undrain e1"
    assert ask("runs", "explain", run_id).stdout.splitlines()[1] == (
        f"it waits for an engine: e1 is draining; let e1 take runs again with: dagrun {undrain}"
    )
    asked(*undrain.split())
    assert ask("runs", "watch", run_id).returncode == 0


def test_events_are_printed_and_followed(asked, ask, start, server, engine, write):
    asked(
        "workflows",
        "register",
        write(DOCUMENT.replace("file: double.lua", "code: 'return {n = 1}'")),
    )
    following = start("events", "--follow", "--json", "--type", "run", "--server", server)

    def followed(run_id):
        while (event := json.loads(following.read_line()))["type"] != "run.succeeded":
            assert event["run_id"] == run_id
        return event["run_id"] == run_id

    for _when in ("perhaps before it follows", "while it follows"):
        assert followed(json.loads(ask("runs", "start", "w", "--wait", "--json").stdout)["run_id"])
    lines = ask("events", "--json", "--limit", "2").stdout.splitlines()
    assert json.loads(lines[-1])["type"] == "run.succeeded"
    first = ask("events", "--after", "0", "--limit", "1").stdout
    assert "run.queued" in first


def test_a_server_that_is_not_there_ends_a_command_with_3(dagrun):
    for command in (
        ("runs", "list"),
        ("runs", "start", "w"),
        ("workflows", "list"),
        ("engines", "list"),
        ("events",),
    ):
        done = dagrun(*command, "--server", "127.0.0.1:1", "--json")
        assert done.returncode == 3, done
        assert json.loads(done.stdout)["error"]["type"] == "unreachable"


def test_a_command_asks_a_server_or_looks_into_a_directory(dagrun, tmp_path):
    both = dagrun("runs", "list", "--server", "127.0.0.1:1", "--data-dir", tmp_path)
    assert (both.returncode, "--data-dir" in both.stderr) == (2, True)
    named = call(
        *COMMAND,
        "runs",
        "list",
        "--data-dir",
        tmp_path,
        folder=tmp_path,
        DAGRUN_SERVER="127.0.0.1:1",
    )
    assert named.returncode == 0
    wrong = dagrun("runs", "list", "--server", "nowhere")
    assert (wrong.returncode, "--server" in wrong.stderr) == (2, True)


def test_workflows_of_the_data_directory_are_managed_without_a_server(dagrun, write, tmp_path):
    document = write(DOCUMENT.replace("file: double.lua", "code: 'return {}'"))
    assert dagrun("workflows", "register", document).stdout == "w 1.0.0 is registered\n"
    assert dagrun("workflows", "list").stdout.startswith("w  1.0.0  ")
    document.write_text(document.read_text().replace("return {}", "return {n = 1}"))
    changed = dagrun("workflows", "register", document)
    assert (changed.returncode, "another content" in changed.stderr) == (1, True)
    assert dagrun("workflows", "delete", "w").stdout == "w: 1.0.0 is deleted\n"
    assert dagrun("workflows", "show", "w").returncode == 2


def test_tokens_decide_who_may_do_what(dagrun, ask, asked, tmp_path):
    assert asked("runs", "list")["items"] == []
    made = {
        role: json.loads(dagrun("tokens", "create", role, "--json").stdout)
        for role in ("viewer", "admin")
    }
    until(lambda: ask("runs", "list").returncode == 1)
    assert "dagrun tokens create" in ask("runs", "list").stderr
    assert asked("runs", "list", DAGRUN_TOKEN=made["viewer"]["token"])["items"] == []
    refused = ask("engines", "drain", "e", "--json", DAGRUN_TOKEN=made["viewer"]["token"])
    assert json.loads(refused.stdout)["error"]["type"] == "not_allowed"
    drained = ask("engines", "drain", "e", DAGRUN_TOKEN=made["admin"]["token"])
    assert (drained.returncode, "no engine 'e'" in drained.stderr) == (2, True)
    listed = json.loads(dagrun("tokens", "list", "--json").stdout)["items"]
    assert [one["role"] for one in listed] == ["viewer", "admin"]
    assert all({"token", "hash"}.isdisjoint(one) for one in listed)
    assert dagrun("tokens", "revoke", made["viewer"]["token_id"]).returncode == 0
    until(lambda: ask("runs", "list", DAGRUN_TOKEN=made["viewer"]["token"]).returncode == 1)
    assert dagrun("tokens", "revoke", made["viewer"]["token_id"]).returncode == 1
    assert dagrun("tokens", "revoke", "none").returncode == 2
    assert "revoked" in dagrun("tokens", "list").stdout
    database = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("dagrun.db*"))
    assert made["admin"]["token"].encode() not in database


@pytest.mark.parametrize("role", ["engine", "viewer"])
def test_who_may_not_start_runs_is_told_at_once_which_role_may(dagrun, ask, asked, write, role):
    document = write(DOCUMENT.replace("file: double.lua", "code: 'return {}'"))
    asked("workflows", "register", document)
    token = dagrun("tokens", "create", role).stdout.strip()
    until(lambda: ask("runs", "list").returncode == 1)
    refused = ask("runs", "start", "w", DAGRUN_TOKEN=token)
    told = f"dagrun: this needs the role operator, and the token's is {role}\n"
    assert (refused.returncode, refused.stderr) == (1, told)


@pytest.mark.parametrize(
    "arguments",
    [
        ("boss",),
        ("viewer", "--expires", "soon"),
        ("viewer", "--expires", "0"),
        ("viewer", "--note", "a\nb"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(dagrun, arguments):
    assert dagrun("tokens", "create", *arguments).returncode == 2


def test_an_engine_needs_a_token_once_there_is_one(dagrun, start, server, asked):
    token = dagrun("tokens", "create", "engine").stdout.strip()
    stranger = start("engine", "--orchestrator", server, "--engine-id", "e1")
    stranger.read_past("token", "stderr")
    known = start("engine", "--orchestrator", server, "--engine-id", "e2", DAGRUN_TOKEN=token)
    known.read_past("is attached", "stderr")
    admin = dagrun("tokens", "create", "viewer").stdout.strip()
    until(
        lambda: (
            [one["id"] for one in asked("engines", "list", DAGRUN_TOKEN=admin)["items"]] == ["e2"]
        )
    )


FAIL_AND_WARN = """
  handlers: {exit: {executor: {type: shell, command: "echo handled; exit 2"}}}
  nodes:
    - {id: quiet, executor: {type: shell, command: "exit 1"}}
    - {id: loud, executor: {type: shell, command: "echo on my way; sleep 0.2; exit 1"}}
"""


@pytest.mark.usefixtures("engine")
def test_a_run_that_is_waited_for_ends_with_what_run_says_of_its_end(ask, dagrun, write):
    document = write(FAIL_AND_WARN)
    here = dagrun("run", document)
    assert ask("workflows", "register", document).returncode == 0
    there = ask("runs", "start", "w", "--wait")
    progress, said = split(there.stderr)
    run_id = re.search(r"run (\w+): w 1.0.0", progress[0])[1]
    assert "✗ loud" in progress[-3]
    assert said == [
        "dagrun: node quiet: exit_code: exit code 1",
        "dagrun: 2 nodes failed: quiet, loud",
        f"dagrun: see what it wrote with: dagrun runs logs {run_id} loud",
        "dagrun: warning: handler:exit failed: exit code 2: handled",
        f"dagrun: see what it wrote with: dagrun runs logs {run_id} handler:exit",
    ]
    assert (there.returncode, there.stdout) == (here.returncode, here.stdout) == (1, "")
    first = re.search(r"runs logs (\w+) loud", here.stderr)[1]
    assert [line.replace(first, run_id) for line in split(here.stderr)[1]] == said


def split(text):
    """Give the lines of the progress, and those behind them."""
    lines = text.splitlines()
    return [[line for line in lines if line.startswith("dagrun: ") is own] for own in (False, True)]


def test_a_file_that_cannot_be_sent_is_told_of_as_validate_tells_of_it(dagrun, write, tmp_path):
    document = write(DOCUMENT)
    for content in (None, b"\xff", b"-" * (10 * 1024 * 1024 + 1)):
        if content is not None:
            (tmp_path / "double.lua").write_bytes(content)
        told = dagrun("workflows", "register", document)
        assert (told.returncode, "cannot be read: " in told.stderr) == (2, True)
        assert told.stderr.removeprefix("dagrun: ") == dagrun("validate", document).stderr
