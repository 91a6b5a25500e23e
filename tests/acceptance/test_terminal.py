"""What nodes, documents and files say cannot steer the user's terminal."""

import json

import pytest

from dagrun.testing.programs import on_terminal

TITLE = "\033[2J\033]0;title\007\u009b2J"
SAYS = r"printf '\033[2J\033]0;title\007\302\2332J\n'; exit 1"
FORGED = "a\033[31mb\nc"


@pytest.fixture
def failed(dagrun, write):
    """Give the id of a run whose node tried to wipe the screen, and what ``run`` printed."""
    node = {"id": "a", "executor": {"type": "shell", "command": SAYS}}
    file = write("  nodes: " + json.dumps([node]) + "\n")
    done = dagrun("run", file)
    assert done.returncode == 1
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    return run["run_id"], done.stderr


def is_tame(text):
    return all(character == "\n" or character.isprintable() for character in text)


def test_what_a_node_prints_is_told_without_its_control_characters(dagrun, failed):
    run_id, said = failed
    commands = (("runs", "show", run_id), ("events",), ("runs", "explain", run_id))
    for text in (said, *(dagrun(*command).stdout for command in commands)):
        assert r"exit code 1: \x1b[2J\x1b]0;title\x07\x9b2J" in text
        assert is_tame(text)
    assert is_tame(dagrun("runs", "watch", run_id).stderr)


def test_json_has_what_a_node_printed_as_it_was(dagrun, failed):
    run_id, _ = failed
    result = json.loads(dagrun("runs", "show", run_id, "--json").stdout)
    assert result["nodes"][0]["error"]["message"] == f"exit code 1: {TITLE}"


def test_logs_are_raw_in_a_pipe_and_harmless_on_a_terminal(dagrun, failed, tmp_path):
    run_id, _ = failed
    assert dagrun("runs", "logs", run_id).stdout == TITLE + "\n"
    assert shown_on_terminal("runs", "logs", run_id, folder=tmp_path) == (
        "\\x1b[2J\\x1b]0;title\\x07\\x9b2J\n"
    )


def test_lines_and_tabs_of_a_log_stay_lines_and_tabs_on_a_terminal(dagrun, write, tmp_path):
    node = {"id": "a", "executor": {"type": "shell", "command": r"printf 'a\tb\r\n50%%\r99%%\n\n'"}}
    run_id = json.loads(dagrun("run", write(f"  nodes: {json.dumps([node])}\n"), "--json").stdout)[
        "run_id"
    ]
    shown = shown_on_terminal("runs", "logs", run_id, folder=tmp_path)
    assert shown.replace(" " * 7, "\t") == "a\tb\n50%\\r99%\n\n"


def test_on_a_terminal_the_tree_says_what_a_node_printed_and_is_not_wiped(
    dagrun, failed, write, tmp_path
):
    shown = shown_on_terminal("run", tmp_path / "w.yaml", folder=tmp_path)
    assert r"\x1b[2J\x1b]0;title\x07\x9b2J" in shown
    assert "\033[2J" not in shown
    assert "\033]0;" not in shown
    assert "\u009b" not in shown


def test_a_key_of_a_document_cannot_forge_a_line(dagrun, tmp_path, write):
    node = {"id": "a", "executor": {"type": "lua", "code": ""}, "inputs": {FORGED: "${nope}"}}
    file = write("  nodes: " + json.dumps([node]) + "\n")
    for command in ("validate", "run"):
        done = dagrun(command, file)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert r"spec.nodes[0].inputs.a\x1b[31mb\nc: " in line
    (problem,) = json.loads(dagrun("validate", file, "--json").stdout)["errors"]
    assert problem["path"] == f"spec.nodes[0].inputs.{FORGED}"


def test_outputs_are_printed_as_json_that_a_terminal_can_take(dagrun, write):
    outputs = {"a": "\u009b2J\u202e\x7f\u2028é"}
    nodes = '  nodes: [{id: a, executor: {type: lua, code: ""}}]\n'
    file = write(f"  outputs: {json.dumps(outputs)}\n{nodes}")
    done = dagrun("run", file)
    assert json.loads(done.stdout) == outputs
    assert is_tame(done.stdout)
    assert "é" in done.stdout
    (run,) = json.loads(dagrun("runs", "list", "--json").stdout)["items"]
    for command in ("show", "watch"):
        assert is_tame(dagrun("runs", command, run["run_id"]).stdout)


def test_a_file_cannot_forge_a_line_with_its_name(dagrun, tmp_path):
    (tmp_path / "x\ndagrun: y.yaml").write_text("[")
    done = dagrun("validate", "x\ndagrun: y.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith(r"x\ndagrun: y.yaml:")
    missing = dagrun("run", "no\nfile.yaml", f"--parallel={FORGED}")
    assert len(missing.stderr.splitlines()) == 1
    assert is_tame(missing.stderr)


def shown_on_terminal(*arguments, folder):
    return on_terminal(*arguments, folder=folder).stdout.replace("\r\n", "\n")
