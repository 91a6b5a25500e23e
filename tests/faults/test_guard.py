# ruff: noqa: ASYNC110, ASYNC240 — polls what other processes do
"""Faults of real processes: whatever happens to the engine, no child outlives it."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from dagrun.builtin.shell import ShellExecutor, ShellOptions
from dagrun.errors import WorkerDied
from dagrun.services.attachment.lease import boot_time
from dagrun.services.node_logs import NodeLogs
from dagrun.services.processes import open_processes
from dagrun.testing.executors import FakeContext, is_running, written_pid
from dagrun.testing.programs import until

LIMIT = 10  # seconds
ENV = {"PATH": "/usr/bin:/bin"}
ENGINE = """
import sys, trio
from dagrun.services.processes import open_processes

async def main():
    async with open_processes() as processes:
        process = await processes.spawn(
            sys.argv[2:], env={"PATH": "/usr/bin:/bin"}, cwd=sys.argv[1]
        )
        open(sys.argv[1] + "/guard", "w").write(f"{processes.statistics().guard}\\n")
        await process.wait()
        await trio.sleep_forever()

trio.run(main)
"""
SURVIVORS = {
    "plain": "echo $$ > pid; exec sleep 60",
    "nohup": "nohup sh -c 'echo $$ > pid; exec sleep 60' & wait",
    "session": "setsid sh -c 'echo $$ > pid; exec sleep 60' & wait",
    "double fork": "(setsid sh -c 'setsid sh -c \"echo \\$\\$ > pid; exec sleep 60\" & exit') & sleep 9",
    "no environment": "(setsid env -i /bin/sh -c 'echo $$ > pid; exec /bin/sleep 60' &) ; sleep 9",
    "deaf": "trap '' TERM INT HUP; echo $$ > pid; while :; do sleep 60; done",
}
UNMARKED = """
import os, resource, subprocess, time
resource.setrlimit(10, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
subprocess.Popen(["sh", "-c", "echo $$ > pid; exec sleep 60"], start_new_session=True)
while not os.path.exists("pid"):
    time.sleep(0.01)
os._exit(0)
"""
C_LOOP = "open('pid', 'w').write(f'{__import__(\"os\").getpid()}\\n'); sum(range(10**18))"


@pytest.fixture
def start_engine(tmp_path):
    """Start engines with a program each; they are killed with the test."""
    engines = []

    def start(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", ENGINE, str(tmp_path), *argv]
        engines.append(subprocess.Popen(command, start_new_session=True, **options))
        return engines[-1]

    yield start
    for engine in engines:
        engine.kill()
        engine.wait(LIMIT)


async def gone(pid: int) -> bool:
    with trio.move_on_after(LIMIT):
        while is_running(pid):
            await trio.sleep(0.002)
        return True
    return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("code", SURVIVORS.values(), ids=SURVIVORS)
async def test_no_child_survives_the_engine(start_engine, tmp_path, code, how):
    engine = start_engine("sh", "-c", code)
    pid, guard = await written_pid(tmp_path / "pid"), await written_pid(tmp_path / "guard")
    engine.send_signal(how)
    engine.wait(LIMIT)
    assert await gone(pid)
    assert await gone(guard)


async def test_a_loop_in_c_does_not_survive_the_engine(start_engine, tmp_path):
    engine = start_engine(sys.executable, "-c", C_LOOP)
    pid = await written_pid(tmp_path / "pid")
    engine.kill()
    engine.wait(LIMIT)
    assert await gone(pid)


async def test_control_c_for_the_whole_group_leaves_nothing(start_engine, tmp_path):
    engine = start_engine("sh", "-c", SURVIVORS["deaf"])
    pid, guard = await written_pid(tmp_path / "pid"), await written_pid(tmp_path / "guard")
    os.killpg(engine.pid, signal.SIGINT)
    engine.wait(LIMIT)
    assert await gone(pid)
    assert await gone(guard)


async def test_the_guard_holds_nothing_open_that_the_engine_inherited(start_engine, tmp_path):
    reader, writer = os.pipe()
    engine = start_engine("sh", "-c", SURVIVORS["plain"], pass_fds=[writer])
    os.close(writer)
    await written_pid(tmp_path / "pid")
    guard = await written_pid(tmp_path / "guard")
    held = {str(path.readlink()) for path in Path(f"/proc/{guard}/fd").iterdir()}
    assert str(Path(f"/proc/self/fd/{reader}").readlink()) not in held
    engine.kill()
    engine.wait(LIMIT)
    os.close(reader)
    assert await gone(guard)


@pytest.mark.parametrize("name", ["nohup", "session", "double fork"])
async def test_what_a_finished_program_left_behind_is_gone_at_once(tmp_path, name):
    code = (
        SURVIVORS[name].removesuffix("wait").removesuffix("sleep 9")
        + " while ! test -s pid; do sleep 0.01; done"
    )
    async with open_processes() as processes:
        process = await processes.spawn(["sh", "-c", code], env=ENV, cwd=str(tmp_path))
        other = await processes.spawn(["sleep", "60"], env=ENV, cwd="/")
        assert await process.wait() == 0
        assert not is_running(await written_pid(tmp_path / "pid"))
        assert is_running(other.pid)


async def test_an_orphan_of_unknown_origin_lives_as_long_as_its_parent_might(tmp_path):
    async with open_processes() as processes:
        other = await processes.spawn(["sleep", "60"], env=ENV, cwd="/")
        argv = [sys.executable, "-c", UNMARKED]
        process = await processes.spawn(argv, env=ENV, cwd=str(tmp_path))
        await process.wait()
        pid = await written_pid(tmp_path / "pid")
        assert is_running(pid)
        other.signal(signal.SIGTERM)
        assert await other.wait() == -signal.SIGTERM
        assert await gone(pid)


async def test_a_daemon_of_a_program_that_still_runs_is_left_alone(tmp_path):
    code = "(setsid sh -c 'echo $$ > pid; exec sleep 60' &); sleep 60"
    async with open_processes() as processes:
        process = await processes.spawn(["sh", "-c", code], env=ENV, cwd=str(tmp_path))
        pid = await written_pid(tmp_path / "pid")
        await (await processes.spawn(["true"], env=ENV, cwd="/")).wait()
        assert is_running(pid)
        process.signal(signal.SIGKILL)
        await process.wait()
        assert not is_running(pid)


async def test_children_of_a_killed_guard_end_and_the_next_child_gets_a_new_one(tmp_path):
    async with open_processes() as processes:
        process = await processes.spawn(["sleep", "60"], env=ENV, cwd="/")
        guard = processes.statistics().guard
        os.kill(guard, signal.SIGKILL)
        with pytest.raises(WorkerDied):
            await process.wait()
        assert await gone(process.pid)
        again = await processes.spawn(["true"], env=ENV, cwd="/")
        assert await again.wait() == 0
        assert processes.statistics().guard != guard


async def test_a_cancelled_spawn_leaves_no_child(tmp_path):
    async with open_processes() as processes:
        for number in range(20):
            with trio.CancelScope() as scope:
                scope.cancel()
                code = f"echo $$ > {number}; exec sleep 60"
                await processes.spawn(["sh", "-c", code], env=ENV, cwd=str(tmp_path))
            assert scope.cancelled_caught
        assert processes.statistics().running == 0
    for path in tmp_path.iterdir():
        assert not path.read_text() or not is_running(int(path.read_text()))


async def test_a_deaf_program_is_killed_after_its_time_and_its_children_with_it(tmp_path):
    options = ShellOptions(code=SURVIVORS["deaf"].replace("while", "echo deaf; while"))
    async with open_processes() as processes:
        context = FakeContext(
            options=options, scratch=tmp_path, processes=processes, kill_after=0.3
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ShellExecutor().execute, context)
            pid = await written_pid(tmp_path / "pid")
            while not context.log.text():  # its log is read when its start is over
                await trio.sleep(0.005)
            begin = time.monotonic()
            nursery.cancel_scope.cancel()
        assert 0.3 <= time.monotonic() - begin < LIMIT
        assert not is_running(pid)


async def test_endless_output_is_kept_within_the_cap(tmp_path):
    logs = NodeLogs(tmp_path / "logs", cap=100_000)
    options = ShellOptions(code="yes | head -c 50000000")
    async with open_processes() as processes:
        context = FakeContext(options=options, scratch=tmp_path, processes=processes)
        context.log = logs.open("run", "node", 1)
        await ShellExecutor().execute(context)
    data = logs.read("run", "node", 1)
    assert len(data) < 100_100
    assert data.endswith(b"[dagrun: log cut, 100000 bytes are allowed]\n")


async def test_more_requests_than_the_socket_holds_are_all_carried_out():
    env = {**ENV, "PADDING": "x" * 100_000}
    codes = []

    async def one(processes, number):
        reader, writer = os.pipe()
        process = await processes.spawn(
            ["sh", "-c", f"exit {number}"], env=env, cwd="/", stdout=writer
        )
        os.close(writer)
        codes.append(await process.wait() - number)
        os.close(reader)

    async with open_processes() as processes, trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(one, processes, number)
    assert codes == [0] * 40


async def test_a_variable_that_no_process_can_have_fails_its_spawn_only():
    async with open_processes() as processes:
        for name in ("", "A=B"):
            with pytest.raises(OSError, match="no name of a variable"):
                await processes.spawn(["true"], env={**ENV, name: "x"}, cwd="/")
        assert await (await processes.spawn(["true"], env=ENV, cwd="/")).wait() == 0


async def test_the_guard_itself_outlives_a_variable_without_a_name(monkeypatch):
    plain = {**ENV}
    async with open_processes() as processes:
        await processes.spawn(["true"], env=ENV, cwd="/")
        guard = processes.statistics().guard
        from dagrun.services import processes as module

        made = module._spawn_frame

        def nameless(number, argv, env, cwd, stdio):
            return _with_field(made(number, argv, env, cwd, stdio), b"=x")

        monkeypatch.setattr(module, "_spawn_frame", nameless)
        with pytest.raises(OSError, match="Invalid argument"):
            await processes.spawn(["true"], env=plain, cwd="/")
        monkeypatch.undo()
        assert await (await processes.spawn(["true"], env=ENV, cwd="/")).wait() == 0
        assert processes.statistics().guard == guard


def _with_field(frame: bytes, field: bytes) -> bytes:
    body = frame[4:] + b"\0" + field
    return len(body).to_bytes(4, "little") + body


async def test_all_children_can_be_killed_at_once_and_none_starts_afterwards(tmp_path):
    async with open_processes() as processes:
        command = ["sh", "-c", "trap '' TERM; echo $$ > pid; sleep 60"]
        process = await processes.spawn(command, env=ENV, cwd=str(tmp_path))
        pid = await written_pid(tmp_path / "pid")
        processes.kill_all()
        with pytest.raises(WorkerDied):
            await process.wait()
        assert not is_running(pid)
        with pytest.raises(WorkerDied, match="none is started any more"):
            await processes.spawn(command, env=ENV, cwd=str(tmp_path))


FENCED = """
import trio
from dagrun.services.attachment.lease import boot_time
from dagrun.services.processes import open_processes

async def main():
    async with open_processes() as processes:
        child = await processes.spawn(["sleep", "60"], env={"PATH": "/bin:/usr/bin"}, cwd="/")
        processes.fence_at(boot_time() + 1)
        print(child.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


async def test_at_the_time_of_the_fence_all_children_are_killed_unless_it_is_put_off():
    async with open_processes() as processes:
        child = await processes.spawn(["sleep", "60"], env=ENV, cwd="/")
        processes.fence_at(boot_time() + 3.0)
        await trio.sleep(1.5)
        processes.fence_at(boot_time() + 3.0)
        await trio.sleep(2.0)
        assert is_running(child.pid)
        with trio.fail_after(LIMIT), pytest.raises(WorkerDied):
            await child.wait()
        assert not is_running(child.pid)


async def test_behind_a_fence_a_new_guard_starts_children_that_live_when_it_is_taken_away():
    async with open_processes() as processes:
        child = await processes.spawn(["sleep", "60"], env=ENV, cwd="/")
        processes.fence_at(boot_time() - 1)
        with trio.fail_after(LIMIT), pytest.raises(WorkerDied):
            await child.wait()
        processes.fence_at(math.inf)
        child = await processes.spawn(["true"], env=ENV, cwd="/")
        with trio.fail_after(LIMIT):
            assert await child.wait() == 0


def test_the_children_of_a_frozen_program_are_killed_at_the_fence(launch):
    program = launch("-c", FENCED)
    child = int(program.read_line())
    program.send_signal(signal.SIGSTOP)
    until(lambda: not is_running(child), limit=LIMIT)
    program.send_signal(signal.SIGCONT)
