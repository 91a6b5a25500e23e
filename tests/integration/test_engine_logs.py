"""What nodes write on engines in other processes, read where the orchestrator is."""

import json
import os
import signal
import threading
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import ExecutorSpec, Node, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.ports.frames import LOG_WINDOW
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.submission import Submission
from dagrun.services.node_logs import NodeLogs, log_file
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.testing.programs import COMMAND, LIMIT, call

CAP = 10 * 1024 * 1024
CUT = b"\n[dagrun: log cut, %d bytes are allowed]\n" % CAP
LEASE = 6.0  # seconds; a busy machine delays no heartbeat for as long
AGAIN = "\n[dagrun: cut off here, and made again]\n"


def shell(node_id, command, **fields):
    executor = ExecutorSpec(type="shell", options={"command": command})
    return Node(id=node_id, executor=executor, **fields)


def workflow(*nodes):
    return Workflow(id="w", version="1.0.0", nodes=nodes)


class House:
    """An orchestrator in this process, and engines beside it."""

    def __init__(self, leading, launch, folder):
        self.leading, self.launch, self.folder = leading, launch, folder
        self.logs = NodeLogs(folder / "data" / "logs")

    def start(self, name="e1", data_dir=None, **environment):
        given = ("--engine-id", name, "--data-dir", data_dir or self.folder / name)
        dialled = ("--orchestrator", self.leading.addresses[0])
        return self.launch(*COMMAND, "engine", *given, *dialled, **environment)

    async def submit(self, *nodes):
        return await self.leading.submit(Submission(workflow=workflow(*nodes), inputs={}))

    async def result(self, run_id):
        with trio.fail_after(3 * LIMIT):
            return await self.leading.result(run_id)

    async def reads(self, run_id, node_id, wanted):
        """Wait until a log is as it should be."""
        with trio.move_on_after(LIMIT):
            while self.logs.read(run_id, node_id, 1) != wanted:  # noqa: ASYNC110 — another process
                await trio.sleep(0.02)
            return
        pytest.fail(f"{self.logs.read(run_id, node_id, 1)[-2000:]!r}")

    async def shown(self, *arguments):
        """Give what ``dagrun runs logs`` prints."""

        def show():
            return call(*COMMAND, "runs", "logs", *arguments, folder=self.folder).stdout

        return await trio.to_thread.run_sync(show)

    def left(self, engine="e1"):
        """Give the files and folders that engines have, but for those of their lives."""
        root = self.folder / engine / "engines"
        there = [  # as far as the engine does not delete them meanwhile
            Path(folder, name).relative_to(root).parts[1:]
            for folder, folders, files in os.walk(root)
            for name in (*folders, *files)
        ]
        return sorted(str(Path(*parts)) for parts in there if len(parts) > 1)


@pytest.fixture
def open_house(launch, tmp_path):
    @asynccontextmanager
    async def opening(lease=30.0):
        settings = OrchestratorSettings(data_dir=tmp_path / "data", grpc_port=0, lease=lease)
        async with open_configured_orchestrator(load_plugins().registry, settings) as leading:
            yield House(leading, launch, tmp_path)

    return opening


async def until(condition, limit=LIMIT):
    with trio.fail_after(limit):
        while not condition():  # noqa: ASYNC110 — other processes do it
            await trio.sleep(0.02)


async def test_what_a_node_writes_elsewhere_is_read_where_the_orchestrator_is(open_house):
    async with open_house() as house:
        run_id = await house.submit(shell("a", "echo one; echo two >&2"))
        house.start()
        assert (await house.result(run_id)).status is RunStatus.SUCCEEDED
        await house.reads(run_id, "a", b"one\ntwo\n")
        assert await house.shown(run_id, "a") == "one\ntwo\n"
        assert not [path for path in house.left() if "scratch" in path]


async def test_it_is_followed_to_its_end(open_house, tmp_path):
    async with open_house() as house:
        wait = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
        run_id = await house.submit(shell("a", f"echo one; {wait}; seq 100000"))
        house.start()
        follower = house.launch(*COMMAND, "runs", "logs", run_id, "a", "--follow")
        assert await trio.to_thread.run_sync(follower.read_line) == "one"
        (tmp_path / "go").touch()
        rest, _ = await trio.to_thread.run_sync(follower.communicate)
        assert rest.split() == [str(n) for n in range(1, 100_001)]
        assert follower.returncode == 0


async def test_what_an_engine_wrote_until_it_was_killed_stands_before_what_the_next_one_wrote(
    open_house, tmp_path
):
    async with open_house(lease=1.5) as house:
        script = (
            f"if [ -e {tmp_path}/again ]; then echo second; "
            f"else touch {tmp_path}/again; echo first; sleep 60; fi"
        )
        run_id = await house.submit(shell("a", script))
        first = house.start("e1")
        await house.reads(run_id, "a", b"first\n")
        first.kill()
        house.start("e2")
        assert (await house.result(run_id)).status is RunStatus.SUCCEEDED
        await house.reads(run_id, "a", f"first\n{AGAIN}second\n".encode())
        assert await house.shown(run_id, "a") == f"first\n{AGAIN}second\n"
        assert {path.name for path in house.logs._folder(run_id, "a").iterdir()} == {
            "1@1.log",
            "1@2.log",
        }


async def test_what_comes_behind_the_end_of_its_run_is_followed_too(open_house, tmp_path, nursery):
    async with open_house() as house:
        keep = house.leading.fleet.log_came

        async def keep_late(chunk, kept):
            await trio.sleep(1.5)
            keep(chunk, kept)

        house.leading.fleet.log_came = partial(nursery.start_soon, keep_late)
        run_id = await house.submit(
            shell("a", f"until [ -e {tmp_path}/go ]; do sleep 0.1; done; echo it")
        )
        house.start()
        follower = house.launch(*COMMAND, "runs", "logs", run_id, "a", "--follow", "--json")
        await trio.sleep(1)
        (tmp_path / "go").write_text("")
        await house.result(run_id)
        shown, _ = await trio.to_thread.run_sync(follower.communicate)
        assert [json.loads(line)["text"] for line in shown.splitlines()] == ["it\n"]


async def test_an_engine_that_gets_a_run_again_begins_its_log_anew(open_house, tmp_path):
    async with open_house(lease=1.5) as house:
        script = (
            f"if [ -e {tmp_path}/again ]; then echo second; "
            f"else touch {tmp_path}/again; echo first; sleep 60; fi"
        )
        run_id = await house.submit(shell("a", script))
        engine = house.start()
        await house.reads(run_id, "a", b"first\n")
        engine.send_signal(signal.SIGSTOP)
        await until(lambda: house.leading.dispatcher.statistics().running == 0)
        engine.send_signal(signal.SIGCONT)
        assert (await house.result(run_id)).status is RunStatus.SUCCEEDED
        await house.reads(run_id, "a", f"first\n{AGAIN}second\n".encode())


async def test_logs_survive_streams_that_break(open_house, tmp_path):
    async with open_house() as house:
        wait = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
        run_id = await house.submit(shell("a", f"seq 10; {wait}; seq 20"))
        house.start()
        part, whole = (b"".join(b"%d\n" % n for n in range(1, last + 1)) for last in (10, 20))
        await house.reads(run_id, "a", part)
        for engine in house.leading.fleet._roster.all():
            engine.hang_up()
        (tmp_path / "go").touch()
        await house.reads(run_id, "a", part + whole)


@pytest.mark.parametrize("shares", [True, False])
async def test_an_engine_that_is_told_to_end_sends_its_logs_before_and_leaves_nothing(
    open_house, tmp_path, shares
):
    async with open_house() as house:
        flood = "trap 'seq 200000; exit 1' TERM; echo begun; while :; do sleep 0.05; done"
        run_id = await house.submit(shell("a", flood))
        data_dir = tmp_path / "data" if shares else tmp_path / "e1"
        engine = house.start(data_dir=data_dir, DAGRUN_GRACE="3")
        await house.reads(run_id, "a", b"begun\n")
        engine.send_signal(signal.SIGTERM)
        await trio.to_thread.run_sync(engine.communicate)
        assert engine.returncode == 0
        written = house.logs.read(run_id, "a", 1).split()
        written.remove(b"Terminated")  # what the shell says of its ``sleep``
        assert written == [b"begun", *(b"%d" % n for n in range(1, 200_001))]
        assert list((data_dir / "engines").iterdir()) == []


async def test_a_flood_of_logs_is_cut_and_delays_no_heartbeat_and_takes_no_memory(
    open_house, caplog
):
    async with open_house(lease=2.0) as house:
        engine = house.start("e1", DAGRUN_PARALLEL="4")
        await until(house.leading.engines)
        await trio.sleep(1)
        before, own = peak(engine.pid), peak(os.getpid())
        nodes = [shell(f"n{i}", "head -c 50000000 /dev/zero | tr '\\0' x") for i in range(4)]
        run_id = await house.submit(*nodes)
        done = await house.result(run_id)
        assert done.status is RunStatus.SUCCEEDED
        assert [node.attempts for node in done.nodes] == [1] * 4
        files = [house.folder / f"data/logs/{run_id}/n{i}/1@1.log" for i in range(4)]
        await until(lambda: {size_of(file) for file in files} == {CAP + len(CUT)})
        assert peak(engine.pid) - before < 16 * 1024 * 1024
        assert peak(os.getpid()) - own < 16 * 1024 * 1024
        for node in done.nodes:
            assert house.logs.read(run_id, node.id, 1) == b"x" * CAP + CUT
    assert [one.getMessage() for one in caplog.records if one.levelname == "WARNING"] == []


async def test_a_disk_that_stands_still_delays_no_heartbeat_and_fills_no_memory_and_loses_nothing(
    open_house, monkeypatch
):
    stands, goes_on = threading.Event(), threading.Event()
    write = log_file.put_piece

    def wait_and_write(path, offset, data):
        stands.set()
        assert goes_on.wait(60)
        write(path, offset, data)

    monkeypatch.setattr("dagrun.services.node_logs.logs.put_piece", wait_and_write)
    async with open_house(lease=LEASE) as house:
        engine = house.start("e1", DAGRUN_PARALLEL="4")
        nodes = [shell(f"n{i}", "head -c 3000000 /dev/zero | tr '\\0' x") for i in range(3)]
        run_id = await house.submit(*nodes)
        done = await house.result(run_id)
        assert done.status is RunStatus.SUCCEEDED
        try:
            assert await trio.to_thread.run_sync(stands.wait, 30)
            await until(lambda: house.leading.keeping.statistics().waiting == LOG_WINDOW)
            with trio.move_on_after(LEASE * 1.5):
                while house.leading.engines()[0].status == "idle":  # noqa: ASYNC110 — it stays so
                    await trio.sleep(0.05)
                pytest.fail("the engine was lost")
            assert house.leading.keeping.statistics().waiting == LOG_WINDOW
            again = await house.submit(shell("a", "true"))
            assert (await house.result(again)).status is RunStatus.SUCCEEDED
        finally:
            goes_on.set()
        for node in nodes:
            await house.reads(run_id, node.id, b"x" * 3_000_000)
        await until(lambda: not any("logs/" in path for path in house.left()))
        assert engine.poll() is None


def size_of(file):
    """Give the size of a file; 0 if it is not there yet."""
    return file.stat().st_size if file.exists() else 0


def peak(pid):
    """Give the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_no_run_leaves_a_scratch_directory_on_an_engine(open_house):
    async with open_house() as house:
        house.start()
        runs = [await house.submit(shell("a", "touch file; sleep 60")) for _ in range(2)]
        await until(lambda: any("scratch" in path for path in house.left()))
        for run_id in runs:
            await house.leading.cancel(run_id)
        for run_id in runs:
            assert (await house.result(run_id)).status is RunStatus.CANCELLED
        await until(lambda: not any("@" in path for path in house.left() if "scratch" in path))
