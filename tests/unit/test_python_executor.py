# ruff: noqa: ASYNC110 — polls what other processes do
import sys
import time
from functools import partial
from itertools import chain, repeat

import pytest
import trio

from dagrun.builtin.python import PythonExecutor, PythonOptions
from dagrun.errors import NodeError, WorkerDied
from dagrun.services.processes import open_processes
from dagrun.testing.executors import (
    ExecutorSuite,
    FakeContext,
    is_running,
    outputs_of,
    written_pid,
)
from dagrun.workers import python_child

MODULE = """
import trio

def add(a, b):
    return {"sum": a + b}

async def later(a):
    await trio.sleep(0)
    return {"a": a}

def spoil(rows, deep):
    rows.append(9)
    deep['a'].clear()

def nothing():
    pass

def fail():
    raise LookupError("as told")

def leave():
    raise SystemExit(3)

async def leave_in_a_task():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, leave)

def late():
    import dagrun_test_helper
    return {"a": dagrun_test_helper.A}

def polite(path):
    import pathlib, signal, sys, time
    def stop(*_):
        pathlib.Path(path).write_text("stopped in order")
        sys.exit()
    signal.signal(signal.SIGTERM, stop)
    pathlib.Path(path).write_text("ready")
    time.sleep(60)
"""


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


@pytest.fixture
async def run(tmp_path, monkeypatch):
    """Give a function that executes a node; the workers live as long as the test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "dagrun_test_tasks", raising=False)
    (tmp_path / "dagrun_test_tasks.py").write_text(MODULE)
    async with open_processes() as processes, PythonExecutor() as executor:

        async def execute(context_values=None, **options):
            values = context_values or {}
            context = FakeContext(
                options=PythonOptions(**options),
                processes=processes,
                **{"base": tmp_path, "scratch": tmp_path, **values},
            )
            execute.log = context.log
            return outputs_of(await executor.execute(context))

        yield execute


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


@pytest.mark.parametrize("code", ["def (", "x = '\\0", "return 1", "a\0b"])
def test_code_that_cannot_be_compiled_is_refused(code):
    with pytest.raises(ValueError, match="code"):
        PythonOptions(code=code)


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


@pytest.mark.parametrize(("kill_after", "left"), [(5, "stopped in order"), (0, "ready")])
async def test_a_cancelled_function_may_end_in_order_within_kill_after(
    run, tmp_path, kill_after, left
):
    path = tmp_path / "state"
    values = {"inputs": {"path": str(path)}, "kill_after": kill_after}
    async with trio.open_nursery() as nursery:
        call = partial(run, values, callable="dagrun_test_tasks:polite")
        nursery.start_soon(call)
        with trio.fail_after(10):
            while not path.exists() or path.read_text() != "ready":
                await trio.sleep(0.01)
        started = time.monotonic()
        nursery.cancel_scope.cancel()
    assert path.read_text() == left
    assert time.monotonic() - started < 4


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


async def test_what_is_printed_is_in_the_log_at_once_and_so_is_where_code_was_stopped(
    run, tmp_path
):
    code = f"print('begun')\nopen({str(tmp_path / 'pid')!r}, 'w').write('1\\n')\nsum(range(10**18))"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run, {"kill_after": 5}, code=code))
        await written_pid(tmp_path / "pid")
        with trio.fail_after(10):
            while "begun" not in run.log.text():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert 'File "<code>", line 3 in <module>' in run.log.text()


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


CHILD = "import subprocess\np = subprocess.Popen(['sleep', '60'])\noutputs = {'pid': p.pid}"
DAEMON = """
import subprocess
shell = "setsid sleep 60 > /dev/null 2>&1 & echo $!"
outputs = {"pid": int(subprocess.check_output(["sh", "-c", shell]))}
"""


@pytest.mark.parametrize("code", [CHILD, DAEMON])
async def test_processes_that_a_node_leaves_behind_are_gone_when_it_ends(run, code):
    assert not is_running((await run(code=code))["pid"])


SIGNALS = "outputs = {'s': str(signal.getsignal(signal.SIGTERM))}"
LEFT = {
    "alarm": (
        "import signal; signal.alarm(1)",
        "import time; time.sleep(1.2); outputs = {'s': 'ok'}",
    ),
    "timer": (
        "import signal; signal.setitimer(signal.ITIMER_PROF, 0.05, 0.05)",
        "sum(range(20_000_000)); outputs = {'s': 'ok'}",
    ),
    "handler": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "import signal\n" + SIGNALS,
    ),
    "blocked": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
        "import signal; outputs = {'s': str(signal.pthread_sigmask(signal.SIG_BLOCK, []))}",
    ),
    "umask": ("import os; os.umask(0)", "import os; outputs = {'s': os.umask(0)}"),
    "limit": (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))",
        "import resource; outputs = {'s': resource.getrlimit(resource.RLIMIT_FSIZE)}",
    ),
    "depth": (
        "import sys; sys.setrecursionlimit(60)",
        "import sys; outputs = {'s': sys.getrecursionlimit()}",
    ),
    "json": ("import json; json.dumps = lambda *a, **k: '{\"evil\": 1}'", "outputs = {'s': 'ok'}"),
    "no stderr": (
        "import sys; sys.stderr = None",
        "import sys; outputs = {'s': sys.stderr is None}",
    ),
}
STREAMS = {
    "closed": "import os; os.close(1); os.close(2)",
    "closed object": "import sys; sys.stdout.close()",
    "detached": "import sys; sys.modules['json'].kept = sys.stdout.detach()",
    "wrapped": "import sys, io; sys.stdout = io.TextIOWrapper(sys.stdout.buffer)",
    "in memory": "import sys, io; sys.stdout = sys.__stdout__ = io.StringIO()",
    "a file": "import os; os.dup2(os.open('others', os.O_CREAT | os.O_WRONLY), 1)",
    "nothing": "import sys; del sys.stdout",
}


@pytest.mark.parametrize(("first", "second"), LEFT.values(), ids=LEFT)
async def test_what_a_node_changes_of_its_process_does_not_meet_the_next_one(run, first, second):
    expected = await run(code=second)
    await run(code=first)
    assert await run(code=second) == expected


@pytest.mark.parametrize("first", STREAMS.values(), ids=STREAMS)
async def test_what_a_node_does_to_its_standard_streams_does_not_meet_the_next_one(
    run, tmp_path, first
):
    await run(code=first)
    code = "f = open('report', 'w'); print('for the log', flush=True)\nimport sys; sys.stdin.read()"
    await run(code=code)
    assert run.log.text() == "for the log\n"
    assert (tmp_path / "report").read_text() == ""


async def test_a_worker_in_which_all_can_be_set_back_is_used_again(run):
    code = "import os, signal, threading\nthread = threading.Thread(target=print)\nthread.start()\n"
    code += "thread.join(); os.umask(7); signal.alarm(60); outputs = {'pid': os.getpid()}"
    assert (await run(code=code))["pid"] == (await run(code=code))["pid"]


@pytest.mark.parametrize(
    "left",
    [
        "import _thread, time; _thread.start_new_thread(time.sleep, (60,))",
        "import threading as t; t.Thread(target=os.read, args=(os.pipe()[0], 1), daemon=True).start()",
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
        "os.close(0)",
    ],
)
async def test_a_worker_in_which_something_stays_is_not_used_again(run, left):
    code = "import os; outputs = {'pid': os.getpid()}\n"
    pid = (await run(code=f"{code}import time\n{left}"))["pid"]
    assert (await run(code=code))["pid"] != pid


def test_a_thread_is_waited_for_until_it_has_begun(monkeypatch):
    begun = chain([False, False], repeat(True))  # this process may have any number of threads
    monkeypatch.setattr(python_child, "SETTLED", set())
    monkeypatch.setattr(python_child, "runs", lambda task: True)
    monkeypatch.setattr(python_child, "python_threads", lambda: next(begun))
    assert python_child.leftovers()


def test_a_thread_that_a_library_keeps_busy_is_not_waited_for_again(monkeypatch):
    monkeypatch.setattr(python_child, "SETTLED", set())
    monkeypatch.setattr(python_child, "SETTLE", 0.01)
    looks = []
    monkeypatch.setattr(python_child, "runs", lambda task: looks.append(task) or True)
    monkeypatch.setattr(python_child, "python_threads", lambda: False)
    python_child.settle(["1"])
    seen = len(looks)
    python_child.settle(["1"])
    assert len(looks) == seen > 0


async def test_a_node_that_ignored_sigterm_lets_the_next_one_say_where_it_was_stopped(
    run, tmp_path
):
    await run(code="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    code = f"open({str(tmp_path / 'pid')!r}, 'w').write('1\\n')\nsum(range(10**18))"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run, {"kill_after": 5}, code=code))
        await written_pid(tmp_path / "pid")
        nursery.cancel_scope.cancel()
    assert 'File "<code>", line 2 in <module>' in run.log.text()


async def test_a_function_may_print_more_than_a_pipe_holds_when_it_is_stopped(run, tmp_path):
    code = """
import pathlib, signal, sys, time
def stop(*_):
    print("x" * 300_000, flush=True)
    pathlib.Path("said").touch()
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path("pid").write_text("1\\n")
time.sleep(60)
"""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run, {"kill_after": 5}, code=code))
        await written_pid(tmp_path / "pid")
        nursery.cancel_scope.cancel()
    assert (tmp_path / "said").exists()
    assert run.log.text().count("x") >= 300_000


async def test_a_forked_child_that_comes_to_the_end_gives_no_outputs(run):
    code = "import os, time\nif os.fork() == 0: outputs = {'from': 'child'}\n"
    code += "else: time.sleep(0.2); outputs = {'from': 'parent'}"
    assert await run(code=code) == {"from": "parent"}
    assert await run(code="outputs = {'from': 'the next'}") == {"from": "the next"}


@pytest.mark.parametrize(("how", "status"), [("sys.exit(0)", 0), ("sys.exit(3)", 3), ("1 / 0", 1)])
async def test_a_forked_child_that_exits_does_not_fail_its_node(run, how, status):
    code = f"import os, sys\nif os.fork() == 0: {how}\n"
    code += "outputs = {'status': os.waitstatus_to_exitcode(os.wait()[1])}"
    assert await run(code=code) == {"status": status}


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


async def test_one_node_does_not_see_the_environment_of_another(run):
    await run(code="import os; os.environ['LEFT'] = '1'; os.chdir('/')")
    code = "import os; outputs = {'left': os.environ.get('LEFT'), 'cwd': os.getcwd()}"
    assert (await run(code=code))["left"] is None


async def test_an_endless_c_loop_is_cancelled(run, tmp_path):
    code = "open('pid', 'w').write(f'{__import__(\"os\").getpid()}\\n'); sum(range(10**18))"
    begin = time.monotonic()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run, code=code))
        pid = await written_pid(tmp_path / "pid")
        nursery.cancel_scope.cancel()
    assert not is_running(pid)
    assert time.monotonic() - begin < 5


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
