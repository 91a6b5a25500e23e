"""The executor ``python``: what code sees and gives, and how it fails."""

import pytest

from dagrun.builtin.python import PythonExecutor, PythonOptions
from dagrun.errors import NodeError, WorkerDied
from dagrun.testing.executors import ExecutorSuite


class TestPythonKeepsWhatAnExecutorPromises(ExecutorSuite):
    def executor(self):
        return PythonExecutor()

    def gives(self):
        return PythonOptions(code="outputs = {'answer': 42}")

    def fails(self):
        return PythonOptions(code="raise KeyError('x')"), "KeyError"

    def prints(self):
        return PythonOptions(code="print('hello from the node')")

    def hangs(self):
        return PythonOptions(
            code="import os\nopen('pid', 'w').write(f'{os.getpid()}\\n')\nsum(range(10**18))"
        )

    def works(self):
        return PythonOptions(callable="trio:sleep_forever", isolation="inline")

    def floods(self):
        return PythonOptions(code="outputs = {'a': 'a' * 1_100_000}")

    def tells_environment(self):
        return PythonOptions(code="import os\noutputs = {'names': list(os.environ)}")

    def tells_secret(self):
        return PythonOptions(
            code="import json, os\n"
            "json.kept = getattr(json, 'kept', None) or os.environ.get('API_KEY')\n"
            "outputs = {'value': json.kept}"
        )


@pytest.mark.parametrize("code", ["def (", "x = '\\0", "return 1", "a\0b"])
def test_code_that_cannot_be_compiled_is_refused(code):
    with pytest.raises(ValueError, match="code"):
        PythonOptions(code=code)


async def test_code_sees_inputs_nodes_and_item(run):
    values = {"inputs": {"a": 1}, "nodes": {"x": {"b": 2}, "y": None}, "item": [3]}
    code = "outputs = {'all': [inputs, nodes, item]}"
    assert await run(values, code=code) == {"all": [{"a": 1}, {"x": {"b": 2}, "y": None}, [3]]}


async def test_code_sees_its_run_and_the_variables_that_it_has(run):
    values = {"attempt": 3, "document_env": {"LEVEL": "info"}}
    code = "import os; outputs = {'run': run, 'same': env == {k: os.environ[k] for k in env}, 'level': env['LEVEL']}"
    seen = await run(values, code=code)
    assert (seen["run"]["id"], seen["run"]["attempt"]) == ("run-1", 3)
    assert (seen["same"], seen["level"]) == (True, "info")


@pytest.mark.parametrize("value", ["float('nan')", "object()", "{1, 2}", "'\\ud800'"])
async def test_what_json_cannot_hold_fails(run, value):
    with pytest.raises(NodeError) as caught:
        await run(code=f"outputs = {{'a': {value}}}")
    assert caught.value.type == "output"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("{1: 'a', '1': 'b'}", "1"),
        ("{'deep': [{}, {None: 0, 'null': 1}]}", "null"),
        ("{'a': {True: {}, 'true': {}}}", "true"),
        ("{1.5: 0, '1.5': 0}", "1.5"),
    ],
)
async def test_keys_that_would_become_one_fail_the_node_and_lose_nothing(run, value, key):
    with pytest.raises(NodeError) as caught:
        await run(code=f"outputs = {value}")
    assert (caught.value.type, caught.value.message) == (
        "output",
        f"two keys of the result are both {key!r} in JSON",
    )


async def test_keys_that_are_no_text_are_written_as_one_where_they_stay_apart(run):
    value = "{1: 'a', '2': {True: [], None: 10 ** 400}}"
    outputs = await run(code=f"outputs = {value}")
    assert outputs == {"1": "a", "2": {"true": [], "null": 10**400}}


async def test_a_result_that_is_no_mapping_fails(run):
    with pytest.raises(NodeError, match="no mapping but list"):
        await run(code="outputs = [1]")


@pytest.mark.parametrize(("cwd", "file"), [(".", "here"), ("sub", "sub/here"), (None, None)])
async def test_code_works_in_its_scratch_directory_or_beside_the_document(run, tmp_path, cwd, file):
    (tmp_path / "sub").mkdir()
    (tmp_path / "scratch").mkdir()
    values = {"scratch": tmp_path / "scratch"}
    await run(values, code="open('here', 'w')", cwd=cwd)
    assert (tmp_path / (file or "scratch/here")).exists()


async def test_a_missing_working_directory_fails_the_node_alone(run):
    with pytest.raises(NodeError, match=r"No such file or directory: '.*/nowhere'"):
        await run(code="outputs = {}", cwd="nowhere")
    assert await run(code="outputs = {'a': 1}") == {"a": 1}


async def test_code_that_exits_fails_alone(run):
    with pytest.raises(NodeError) as caught:
        await run(code="import sys; sys.exit(3)")
    assert caught.value.type == "SystemExit"
    with pytest.raises(WorkerDied, match="exit code 4"):
        await run(code="import os; os._exit(4)")
    assert await run(code="outputs = {'a': 1}") == {"a": 1}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ValueError('a \\ud800 b')", "a ? b"),
        ("Bad(1)", "(its text cannot be had: RuntimeError)"),
        ("Bad(SystemExit())", "(its text cannot be had: SystemExit)"),
    ],
)
async def test_an_error_whose_text_is_no_text_fails_its_node_alone(run, error, message):
    code = "class Bad(Exception):\n  def __str__(self): raise RuntimeError if self.args[0] == 1 else self.args[0]\n"
    with pytest.raises(NodeError) as caught:
        await run(code=f"{code}raise {error}")
    assert caught.value.message == message


async def test_an_error_is_told_although_nothing_can_be_printed(run):
    with pytest.raises(NodeError) as caught:
        await run(code="import sys; sys.stderr = None; raise LookupError('why')")
    assert (caught.value.type, caught.value.message) == ("LookupError", "why")


async def test_outputs_are_given_although_what_is_printed_cannot_be_flushed(run):
    code = "class O:\n  def write(s, t): pass\n  def flush(s): raise RuntimeError\n"
    code += "import sys; sys.stdout = O(); outputs = {'a': 1}"
    assert await run(code=code) == {"a": 1}


def test_inline_nodes_occupy_no_process():
    assert PythonExecutor.uses_process(PythonOptions(code="1"))
    assert not PythonExecutor.uses_process(PythonOptions(callable="a:b", isolation="inline"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"callable": "a:b", "code": "1"},
        {"callable": "ab"},
        {"code": "1", "isolation": "inline"},
        {"callable": "a:b", "cwd": ".", "isolation": "inline"},
        {"code": "1", "cwd": "a\0b"},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"callable|cwd"):
        PythonOptions(**options)
