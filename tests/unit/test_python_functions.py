"""Functions that Python nodes call: where they are found, and what is said of their errors."""

import sys

import pytest

from dagrun.errors import NodeError


@pytest.mark.parametrize("isolation", ["process", "inline"])
async def test_functions_beside_the_document_are_called_with_the_inputs(run, isolation):
    def call(name, **inputs):
        path = f"dagrun_test_tasks:{name}"
        return run({"inputs": inputs}, callable=path, isolation=isolation)

    assert await call("add", a=1, b=2) == {"sum": 3}
    assert await call("later", a=1) == {"a": 1}
    assert await call("nothing") == {}


@pytest.mark.parametrize("isolation", ["process", "inline"])
async def test_an_error_has_its_class_and_a_traceback_in_the_log(run, isolation):
    with pytest.raises(NodeError) as caught:
        await run(callable="dagrun_test_tasks:add", isolation=isolation)
    assert caught.value.type == "TypeError"
    assert "missing 2 required positional arguments" in run.log.text()
    with pytest.raises(NodeError):
        await run(callable="dagrun_test_tasks:fail", isolation=isolation)
    assert "in fail\n" in run.log.text()
    assert "Traceback" in run.log.text()


PLAIN = """
def now(a):
    return {"a": a}

async def later(a):
    return {"a": a}

def fail():
    raise LookupError("as told")
"""
NAMES_OF_OURS = ("dagrun", "json", "inspect", "traceback", "glob", "ctypes", "queue", "random")


async def test_modules_beside_the_document_do_not_take_the_place_of_the_workers_own(run, tmp_path):
    for name in NAMES_OF_OURS:
        (tmp_path / f"{name}.py").write_text("raise OSError('not meant for the worker')\n")
    (tmp_path / "plain.py").write_text(PLAIN)
    assert await run(code="outputs = {'a': 1}") == {"a": 1}
    for function in ("now", "later"):
        assert await run({"inputs": {"a": 1}}, callable=f"plain:{function}") == {"a": 1}
    with pytest.raises(NodeError) as caught:
        await run(callable="plain:fail")
    assert (caught.value.type, caught.value.message) == ("LookupError", "as told")


async def test_a_function_of_a_module_that_is_hidden_by_another_one_says_so(run, tmp_path):
    (tmp_path / "json.py").write_text("def f():\n    return {}\n")
    with pytest.raises(NodeError) as caught:
        await run(callable="json:f")
    assert caught.value.type == "ImportError"
    assert f"'json' cannot be imported from {tmp_path}" in caught.value.message
    assert "use another name" in caught.value.message
    with pytest.raises(NodeError, match="no attribute 'f'"):
        await run({"base": None}, callable="json:f")


async def test_a_module_beside_the_document_comes_before_one_that_is_installed(run, tmp_path):
    (tmp_path / "colorsys.py").write_text("def f():\n    return {'ours': True}\n")
    for _ in range(2):
        assert await run(callable="colorsys:f") == {"ours": True}
    assert await run(code="import sys\noutputs = {'first': sys.path[0]}") == {
        "first": str(tmp_path)
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"callable": "dagrun_test_tasks:fail"}, "in fail"),
        ({"callable": "no_such_module:f"}, "ModuleNotFoundError"),
        ({"code": "def f():\n    raise LookupError\nf()"}, "line 2, in f"),
    ],
)
async def test_a_traceback_shows_the_nodes_code_and_none_of_ours(run, options, said):
    with pytest.raises(NodeError):
        await run(**options)
    assert said in run.log.text()
    assert "python_child" not in run.log.text()
    assert "importlib" not in run.log.text()


@pytest.mark.parametrize("name", ["leave", "leave_in_a_task"])
async def test_an_inline_function_that_exits_fails_alone(run, name):
    with pytest.raises(NodeError) as caught:
        await run(callable=f"dagrun_test_tasks:{name}", isolation="inline")
    assert (caught.value.type, caught.value.message) == ("SystemExit", "3")


@pytest.mark.parametrize("isolation", ["process", "inline"])
async def test_what_a_function_imports_when_called_is_found_beside_the_document(
    run, tmp_path, isolation
):
    (tmp_path / "dagrun_test_helper.py").write_text("A = 1\n")
    assert await run(callable="dagrun_test_tasks:late", isolation=isolation) == {"a": 1}
    sys.modules.pop("dagrun_test_helper", None)


async def test_an_inline_function_is_never_that_of_another_folders_module(run, tmp_path):
    assert await run(callable="dagrun_test_tasks:nothing", isolation="inline") == {}
    other = tmp_path / "other"
    other.mkdir()
    (other / "dagrun_test_tasks.py").write_text("def nothing(): return {'other': 1}\n")
    with pytest.raises(NodeError, match="another module of that name is there") as caught:
        await run({"base": other}, callable="dagrun_test_tasks:nothing", isolation="inline")
    assert caught.value.type == "ImportError"
    inside = {"base": other}
    assert await run(inside, callable="dagrun_test_tasks:nothing") == {"other": 1}


async def test_what_an_inline_function_does_to_its_inputs_is_seen_by_nobody(run):
    inputs = {"rows": [1], "deep": {"a": [2]}}
    values = {"inputs": inputs}
    assert await run(values, callable="dagrun_test_tasks:spoil", isolation="inline") == {}
    assert inputs == {"rows": [1], "deep": {"a": [2]}}


async def test_an_inline_function_never_gets_the_helper_of_another_folder(run, tmp_path):
    for name, value in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "dagrun_test_shared.py").write_text(f"VALUE = {value}\n")
        text = "import dagrun_test_shared as s\ndef give(): return {'value': s.VALUE}\n"
        (folder / f"dagrun_test_{name}.py").write_text(text)
    one, two = ({"base": tmp_path / name} for name in ("one", "two"))
    inline = {"isolation": "inline"}
    assert await run(one, callable="dagrun_test_one:give", **inline) == {"value": 1}
    with pytest.raises(NodeError, match="'dagrun_test_shared' cannot be imported from") as caught:
        await run(two, callable="dagrun_test_two:give", **inline)
    assert caught.value.type == "ImportError"
    assert await run(two, callable="dagrun_test_two:give") == {"value": 2}
    assert await run(one, callable="dagrun_test_one:give", **inline) == {"value": 1}
    for name in ("shared", "one", "two"):
        sys.modules.pop(f"dagrun_test_{name}", None)


PROGRAM = """
import pathlib
import dagrun

def work():
    return {}

{opened}
"""
OPENED = {
    "sync": "with dagrun.open_sync_orchestrator(): pathlib.Path('twice').touch()",
    "trio": "async def main():\n"
    "    async with dagrun.open_orchestrator(): pathlib.Path('twice').touch()\n"
    "import trio; trio.run(main)",
}


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
async def test_a_program_that_a_worker_imports_is_not_started_once_more(run, tmp_path, opened):
    (tmp_path / "dagrun_test_program.py").write_text(PROGRAM.replace("{opened}", opened))
    with pytest.raises(NodeError, match=r'dagrun_test_program.*under `if __name__ == "__main__":`'):
        await run(callable="dagrun_test_program:work")
    assert not (tmp_path / "twice").exists()
