"""What the guard knows of its descendants, and what its own death leaves."""

import os
import resource
import signal
import subprocess

import pytest
import trio

from dagrun.errors import WorkerDied
from dagrun.services.guard import descendants, system
from dagrun.services.processes import open_processes
from dagrun.testing.executors import is_running, written_pid

LIMIT = 20.0  # seconds
ENV = {"PATH": "/usr/bin:/bin"}
HIDDEN = "setsid env -i /bin/sh -c 'echo $$ > pid; exec /bin/sleep 60' &"
WRITTEN = "while ! test -s pid; do sleep 0.01; done"


# what a finished program leaves behind


async def test_a_daemon_without_session_and_environment_is_gone_with_its_program(tmp_path):
    async with open_processes() as processes:
        await processes.spawn(["sleep", "60"], env=ENV, cwd="/")
        code = HIDDEN + WRITTEN
        process = await processes.spawn(["sh", "-c", code], env=ENV, cwd=str(tmp_path))
        assert await process.wait() == 0
        assert not is_running(await written_pid(tmp_path / "pid"))


async def test_a_guard_takes_no_mark_of_another_one_for_its_own(tmp_path):
    async with open_processes() as one, open_processes() as other:
        code = HIDDEN + "sleep 60"
        first = await one.spawn(["sh", "-c", code], env=ENV, cwd=str(tmp_path))
        second = await other.spawn(["sleep", "60"], env=ENV, cwd="/")
        marks = [
            resource.prlimit(pid, 10)[0]
            for pid in (first.pid, second.pid, await written_pid(tmp_path / "pid"))
        ]
        assert marks[0] == marks[2] != marks[1]


def test_a_daemon_that_may_not_be_killed_is_not_waited_for(monkeypatch):
    def refuse(*_):
        raise PermissionError

    child = descendants.Child(b"1", 10)
    child.code = 0
    guard = descendants.Descendants(0, None)
    monkeypatch.setattr(guard, "owner", lambda _: child)
    monkeypatch.setattr(os, "kill", refuse)
    guard.end_orphan(11)
    assert not child.left


def test_the_guard_ends_although_it_may_not_kill_what_is_left(monkeypatch):
    child = subprocess.Popen(["sleep", "60"])
    asked = []

    def refuse(pid, *_):
        asked.append(pid)
        raise PermissionError

    monkeypatch.setattr(system, "own_children", lambda: [child.pid])
    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(os, "killpg", refuse)
    system.kill_everything()
    monkeypatch.undo()
    child.kill()
    child.wait()
    assert asked == [child.pid] * 2


# the guard's own death


@pytest.mark.parametrize("code", [HIDDEN, "setsid sh -c 'echo $$ > pid; exec sleep 60' &"])
@pytest.mark.parametrize("victim", ["guard", "keeper"])
async def test_what_a_killed_guard_watched_is_gone(tmp_path, code, victim):
    async with open_processes() as processes:
        shell = f"{code}{WRITTEN}; echo $PPID > guard; sleep 60"
        process = await processes.spawn(["sh", "-c", shell], env=ENV, cwd=str(tmp_path))
        other = await processes.spawn(["sleep", "60"], env=ENV, cwd="/")
        pid, guard = await written_pid(tmp_path / "pid"), await written_pid(tmp_path / "guard")
        keeper = processes.statistics().guard
        assert keeper is not None
        os.kill(guard if victim == "guard" else keeper, signal.SIGKILL)
        with trio.fail_after(LIMIT):
            with pytest.raises(WorkerDied, match="was killed"):
                await process.wait()
            with pytest.raises(WorkerDied, match="was killed"):
                await other.wait()
        assert not any(map(is_running, (pid, process.pid, other.pid)))
        again = await processes.spawn(["true"], env=ENV, cwd="/")
        assert await again.wait() == 0


async def test_the_guard_and_its_keeper_end_with_the_last_use(tmp_path):
    async with open_processes() as processes:
        code = "echo $PPID > guard"
        await (await processes.spawn(["sh", "-c", code], env=ENV, cwd=str(tmp_path))).wait()
        keeper, guard = processes.statistics().guard, await written_pid(tmp_path / "guard")
        assert keeper != guard
    assert not is_running(keeper)
    assert not is_running(guard)
