"""What a Python node leaves in its worker, and how it is stopped: the next one notices nothing."""

import time
from functools import partial
from itertools import chain, repeat

import pytest
import trio

from dagrun.testing.elsewhere import until
from dagrun.testing.executors import is_running, written_pid
from dagrun.workers import python_child


@pytest.mark.parametrize(("kill_after", "left"), [(5, "stopped in order"), (0, "ready")])
async def test_a_cancelled_function_may_end_in_order_within_kill_after(
    run, tmp_path, kill_after, left
):
    path = tmp_path / "state"
    values = {"inputs": {"path": str(path)}, "kill_after": kill_after}
    async with trio.open_nursery() as nursery:
        call = partial(run, values, callable="dagrun_test_tasks:polite")
        nursery.start_soon(call)
        await until(lambda: path.exists() and path.read_text() == "ready")
        started = time.monotonic()
        nursery.cancel_scope.cancel()
    assert path.read_text() == left
    assert time.monotonic() - started < 4


async def test_what_is_printed_is_in_the_log_at_once_and_so_is_where_code_was_stopped(
    run, tmp_path
):
    code = f"print('begun')\nopen({str(tmp_path / 'pid')!r}, 'w').write('1\\n')\nsum(range(10**18))"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run, {"kill_after": 5}, code=code))
        await written_pid(tmp_path / "pid")
        await until(lambda: "begun" in run.log.text())
        nursery.cancel_scope.cancel()
    assert 'File "<code>", line 3 in <module>' in run.log.text()


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
