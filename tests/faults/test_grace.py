# ruff: noqa: ASYNC110, ASYNC220 — starts an engine to kill it, and polls what it left
"""The time between SIGTERM and SIGKILL belongs to the whole group, not to its leader only."""

import subprocess
import sys

import pytest
import trio

from dagrun.builtin.python import PythonExecutor
from dagrun.builtin.shell import ShellExecutor
from dagrun.services.processes import open_processes
from dagrun.testing.context import open_context, options_of
from dagrun.testing.executors import is_running, written_pid
from dagrun.workers.terminate import terminate

LIMIT = 20.0  # seconds
ENV = {"PATH": "/usr/bin:/bin"}
CLEAN = """
import os, signal, sys, time
def clean(*_):
    time.sleep(0.3)
    open("cleaned", "w").close()
    sys.exit()
signal.signal(signal.SIGTERM, clean)
open("pid", "w").write(f"{os.getpid()}\\n")
time.sleep(60)
"""
DEAF = "sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 0.1; done'; echo done"
ASIDE = f"""
import os, subprocess, sys, time
wait = "import os\\nwhile not os.path.exists('aside'): pass"
child = subprocess.Popen([sys.executable, "-c", wait + {CLEAN!r}])
os.setsid()
open("aside", "w").write(f"{{os.getpid()}}\\n")
if sys.argv[1] == "reap":
    child.wait()
time.sleep(60)
"""
ENGINE = """
import os, sys, trio
from pathlib import Path
from dagrun.services.processes import open_processes
from dagrun.testing.executors import written_pid
from dagrun.workers.terminate import terminate

async def main():
    async with open_processes() as processes:
        process = await processes.spawn(sys.argv[1:], env={"PATH": "/usr/bin:/bin"}, cwd=os.getcwd())
        await written_pid(Path("pid"))
        open("terminating", "w").write("1\\n")
        await terminate(process, kill_after=60)

trio.run(main)
"""


async def stop(processes, folder, code, *, kill_after):
    """Start a program, terminate it when it is there, and give the seconds that this took."""
    argv = ["sh", "-c", code, sys.executable]
    process = await processes.spawn(argv, env=ENV, cwd=str(folder))
    pid = await written_pid(folder / "pid")
    begin = trio.current_time()
    with trio.fail_after(LIMIT):
        await terminate(process, kill_after=kill_after)
    assert not is_running(pid)
    return trio.current_time() - begin


def sh_python(code):
    return f"\"$0\" -c '{code}'; echo done"


@pytest.mark.parametrize("code", [sh_python(CLEAN), f"exec {sh_python(CLEAN)}"])
async def test_a_program_below_a_shell_has_the_time_that_one_in_its_place_has(tmp_path, code):
    async with open_processes() as processes:
        assert await stop(processes, tmp_path, code, kill_after=60) < LIMIT
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("executor", [ShellExecutor, PythonExecutor])
async def test_a_stopped_node_waits_for_what_its_programs_do_at_the_end(tmp_path, executor):
    (tmp_path / "clean.py").write_text(CLEAN)
    run = f"import subprocess; subprocess.run(['{sys.executable}', 'clean.py'])"
    code = f"{sys.executable} clean.py; echo" if executor is ShellExecutor else run
    options = options_of(executor, code=code, cwd=str(tmp_path))
    async with open_context(options, tmp_path, kill_after=LIMIT) as context:
        async with PythonExecutor() as python, trio.open_nursery() as nursery:
            kind = python if executor is PythonExecutor else ShellExecutor()
            nursery.start_soon(kind.execute, context)
            pid = await written_pid(tmp_path / "pid")
            nursery.cancel_scope.cancel()
        assert not is_running(pid)
    assert (tmp_path / "cleaned").exists()


async def test_the_rest_of_a_group_is_killed_when_its_time_is_over(tmp_path):
    async with open_processes() as processes:
        assert await stop(processes, tmp_path, DEAF, kill_after=0.5) >= 0.5


async def test_a_group_that_ended_unseen_is_not_waited_for(tmp_path):
    (tmp_path / "aside.py").write_text(ASIDE)
    async with open_processes() as processes:
        code = '"$0" aside.py reap & while :; do sleep 0.1; done'
        assert await stop(processes, tmp_path, code, kill_after=60) < LIMIT
        assert not is_running(await written_pid(tmp_path / "aside"))
    assert (tmp_path / "cleaned").exists()


async def test_a_zombie_that_nobody_reaps_keeps_no_group_after_its_time(tmp_path):
    (tmp_path / "aside.py").write_text(ASIDE)
    async with open_processes() as processes:
        code = '"$0" aside.py leave & while :; do sleep 0.1; done'
        assert 1 <= await stop(processes, tmp_path, code, kill_after=1) < LIMIT
        assert not is_running(await written_pid(tmp_path / "aside"))


async def test_a_group_on_its_way_out_does_not_keep_what_others_left(tmp_path):
    async with open_processes() as processes, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: stop(processes, tmp_path, DEAF, kill_after=2))
        await written_pid(tmp_path / "pid")
        code = "setsid sleep 60 & echo $! > other"
        other = await processes.spawn(["sh", "-c", code], env=ENV, cwd=str(tmp_path))
        assert await other.wait() == 0
        assert not is_running(await written_pid(tmp_path / "other"))
        assert processes.statistics().running == 1


async def test_the_death_of_the_engine_ends_that_time(tmp_path):
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, "sh", "-c", DEAF], cwd=tmp_path, start_new_session=True
    )
    try:
        pid = await written_pid(tmp_path / "pid")
        await written_pid(tmp_path / "terminating")
        await trio.sleep(0.2)
        assert is_running(pid)
    finally:
        engine.kill()
        engine.wait()
    with trio.fail_after(LIMIT):
        while is_running(pid):
            await trio.sleep(0.01)


async def test_a_program_that_has_ended_can_be_terminated(tmp_path):
    async with open_processes() as processes:
        process = await processes.spawn(["true"], env=ENV, cwd=str(tmp_path))
        process.terminate()
        await process.wait()
        process.terminate()
        await terminate(process, kill_after=60)
