"""What the commands say to somebody who does not know them yet."""

import json

import pytest

INPUTS = "  inputs: {type: object, required: [must], properties: {must: {}, deep: {}}}\n"
QUIET = """
  nodes:
    - {id: a, executor: {type: shell, command: ["false"]}, allow_failure: true}
    - {id: each, for_each: [1, 2], executor: {type: shell, command: [test, "${item}", -eq, "1"]}}
    - {id: loud, executor: {type: shell, command: "echo hello; exit 3"}}
"""


@pytest.fixture
def quiet(dagrun, write):
    """Give the id of a run of which two nodes failed without a word."""
    return json.loads(dagrun("run", write(QUIET), "--json").stdout)["run_id"]


def test_a_missing_input_comes_with_how_to_give_it(dagrun, write):
    file = write(INPUTS + QUIET)
    told = dagrun("run", file)
    message = "dagrun: inputs.must: it is needed, and not given; give it with -i must=…\n"
    assert (told.returncode, told.stderr) == (2, message)
    told = dagrun("run", file, "must=1")
    assert told.stderr == (
        "dagrun: run: unexpected argument 'must=1'. Give an input with: -i must=1\n"
    )


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["logs", "x y", "a"], "dagrun runs logs 'x y' a"),
        (["list"], "dagrun runs list"),
        (["w.yaml", "-i", "a=1"], "dagrun run w.yaml -i a=1"),
        (["help"], "dagrun --help"),
    ],
)
def test_a_command_that_is_another_one_comes_with_that(dagrun, words, meant):
    told = dagrun(*words)
    message = f"dagrun: there is no command {words[0]!r}. Did you mean: {meant}\n"
    assert (told.returncode, told.stderr) == (2, message)


@pytest.mark.parametrize("command", ["show", "logs", "explain", "cancel", "pause", "watch"])
def test_a_run_that_is_not_there_comes_with_where_it_was_looked_for(
    dagrun, quiet, tmp_path, command
):
    told = dagrun("runs", command, "abc")
    message = f"dagrun: there is no run 'abc' in {tmp_path / 'data'}\n"
    assert (told.returncode, told.stderr) == (2, message)


def test_the_same_holds_when_it_is_to_be_resumed(dagrun, quiet, tmp_path):
    told = dagrun("run", "--resume", "abc")
    assert told.stderr == f"dagrun: there is no run 'abc' in {tmp_path / 'data'}\n"


def test_the_inputs_of_a_run_are_shown(dagrun, write):
    file = write(
        '  outputs: {s: "${inputs.s}"}\n  nodes: [{id: a, executor: {type: lua, code: ""}}]'
    )
    run_id = json.loads(dagrun("run", file, "-i", "s=Ada", "-i", "n=[1]", "--json").stdout)[
        "run_id"
    ]
    shown = dagrun("runs", "show", run_id)
    assert 'inputs: {\n  "s": "Ada",\n  "n": [\n    1\n  ]\n}\n' in shown.stdout
    assert json.loads(dagrun("runs", "show", run_id, "--json").stdout)["inputs"] == {
        "s": "Ada",
        "n": [1],
    }


def test_logs_of_what_wrote_nothing_say_so_and_how_it_went(dagrun, quiet):
    told = dagrun("runs", "logs", quiet, "a")
    assert (told.returncode, told.stdout) == (0, "")
    assert told.stderr == "dagrun: a wrote nothing; it has failed: exit_code: exit code 1\n"
    told = dagrun("runs", "logs", quiet, "each", "--item", "0")
    assert told.stderr == "dagrun: item 0 of each wrote nothing; it has succeeded\n"
    assert dagrun("runs", "logs", quiet, "a", "--json").stderr == ""
    assert dagrun("runs", "logs", quiet, "loud").stderr == ""


def test_a_run_that_wrote_nothing_at_all_says_so(dagrun, write):
    file = write("  nodes: [{id: a, executor: {type: lua, code: ''}}]")
    run_id = json.loads(dagrun("run", file, "--json").stdout)["run_id"]
    assert dagrun("runs", "logs", run_id).stderr == (
        f"dagrun: no node of run {run_id} wrote anything\n"
    )


def test_items_are_said_to_be_counted_from_0(dagrun, quiet):
    told = dagrun("runs", "logs", quiet, "each", "--item", "2")
    assert told.stderr == (
        f"dagrun: run {quiet} has no item 2 of each; "
        "items are counted from 0, and the last one is 1\n"
    )


def test_an_item_that_was_never_started_is_said_to_be_so(dagrun, write):
    file = write(
        """
  nodes:
    - {id: a, for_each: [1, 2, 3], max_parallel: 1, executor: {type: shell, command: "false"}}
"""
    )
    run_id = json.loads(dagrun("run", file, "--json").stdout)["run_id"]
    told = dagrun("runs", "logs", run_id, "a", "--item", "2")
    assert told.stderr == f"dagrun: run {run_id} has no log of item 2 of a: it was never started\n"
    told = dagrun("runs", "logs", run_id, "a", "--item", "3")
    assert told.stderr.endswith("; items are counted from 0, and the last one is 2\n")
    told = dagrun("runs", "logs", run_id, "a", "--follow")
    assert (told.returncode, told.stdout) == (0, "")
    assert told.stderr.startswith("dagrun: a wrote nothing; it has failed: ")


@pytest.mark.parametrize("command", ["show", "explain"])
def test_what_failed_leads_to_its_log(dagrun, quiet, command):
    told = dagrun("runs", command, quiet).stdout.splitlines()
    assert told[-1] == f"see what loud wrote with: dagrun runs logs {quiet} loud"


@pytest.mark.parametrize("given", ["${nodes.a.outputs.x}", "${#nodes.a.outputs.rows + 1}"])
def test_outputs_are_told_to_stand_in_the_node_itself(dagrun, write, given):
    spec = """
  outputs: {x: "GIVEN"}
  nodes: [{id: a, outputs: OF, executor: {type: lua, code: "return {outputs = {x = 1, rows = {}}}"}}]
""".replace("GIVEN", given)
    told = dagrun("validate", write(spec.replace("OF", "{type: object}")))
    assert "spec.outputs.x: the outputs stand in nodes.a itself, without .outputs" in told.stderr
    for fine in (
        spec.replace("OF", "{properties: {outputs: {}}}"),
        spec.replace("OF", "{type: object}").replace("a.outputs.", "a['outputs']."),
    ):
        assert dagrun("validate", write(fine)).returncode == 0
