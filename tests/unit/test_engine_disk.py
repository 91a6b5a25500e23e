"""An engine whose disk is full, or whose folder is gone. Time is virtual."""

import errno
import os
import shutil

import pytest
import trio
import trio.testing

from dagrun.builtin.shell import ShellExecutor, ShellOptions
from dagrun.builtin.shell_files import Files
from dagrun.domain.workflow import RetryPolicy
from dagrun.errors import HostTrouble, NodeError
from dagrun.services.engine.scratch_space import ScratchSpace
from dagrun.testing.context import FakeContext
from dagrun.testing.scripted import node
from dagrun.workers.descriptors import duplicates
from dagrun.workers.log_pipe import LogPipe
from dagrun.workers.pool import WorkerPool


class Disk:
    """Refuses to make folders and to write, when it is told to."""

    def __init__(self, monkeypatch):
        self.number = None
        for name in ("mkdir", "write", "posix_fallocate"):
            monkeypatch.setattr(os, name, self._unless_full(getattr(os, name)))

    def _unless_full(self, call):
        def checked(*arguments, **options):
            if self.number is not None:
                raise OSError(self.number, os.strerror(self.number))
            return call(*arguments, **options)

        return checked


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


async def recovered(rig):
    """Wait until the disk can be used again, and everybody has had his turn."""
    await rig.engine._workshop.scratch.wait_usable()
    await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def asks(rig):
    """Let nodes ask for their scratch directory before they do anything; note which did."""
    ready = []

    async def act(context):
        folder = context.scratch
        ready.append((context.node_id, context.attempt, trio.current_time()))
        outputs = {"there": folder.is_dir(), "mode": folder.stat().st_mode & 0o777}
        await trio.sleep(context.options.get("sleep", 0))
        return outputs

    rig.executor.act = act
    return ready


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EMFILE,
        errno.ENFILE,
        errno.EIO,
        errno.EROFS,
        errno.EACCES,  # what is missing cannot be made
    ],
)
async def test_a_run_goes_on_when_there_is_room_again_and_has_used_up_no_attempt(
    rig, autojump_clock, asks, disk, number
):
    disk.number = number
    execution = rig.start(node("a"), node("b", "a"))
    await trio.sleep(100)
    assert asks == []
    disk.number = None
    await execution.done.wait()
    state = execution.state
    assert state.status == "succeeded"
    assert [one.attempt for one in state.nodes] == [1, 1]
    assert rig.types("a") == ["node.running", "node.succeeded"]
    assert trio.current_time() < 100 + 11


async def test_a_timeout_counts_from_the_real_start(rig, autojump_clock, asks, disk):
    disk.number = errno.ENOSPC
    execution = rig.start(node("a", does={"sleep": 4}, timeout=5.0))
    await trio.sleep(60)
    disk.number = None
    await execution.done.wait()
    assert execution.state.status == "succeeded"


async def test_pauses_grow_to_ten_seconds_also_if_it_is_usable_for_a_moment_only(
    tmp_path, autojump_clock
):
    space = ScratchSpace(tmp_path)
    for pause in (0.5, 1, 2, 4, 8, 10, 10):
        assert space.report(HostTrouble("no room"))
        before = trio.current_time()
        await space.recover()
        assert trio.current_time() - before == pytest.approx(pause)
    await trio.sleep(20)
    assert space.report(HostTrouble("no room"))
    before = trio.current_time()
    await space.recover()
    assert trio.current_time() - before == pytest.approx(0.5)


async def test_an_executor_whose_trouble_comes_with_its_end_costs_its_node_only(
    rig, autojump_clock
):
    async def act(_context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise HostTrouble("no room")

    rig.executor.act = act
    execution = rig.start(node("a"))
    await trio.sleep(1)
    assert await rig.engine.cancel("r")
    await execution.done.wait()
    assert execution.state.status == "cancelled"
    del rig.executor.act
    assert (await rig.run(node("b"), run="s")).status == "succeeded"


async def test_nothing_starts_in_an_engine_that_is_being_ended(rig, autojump_clock, asks, disk):
    disk.number = errno.ENOSPC
    rig.start(node("a"))
    await trio.sleep(1)
    rig.engine.hold()
    disk.number = None
    await recovered(rig)
    assert asks == []


async def test_the_log_says_once_what_is_wrong_and_where_and_once_that_it_is_over(
    rig, autojump_clock, asks, disk, caplog, tmp_path
):
    disk.number = errno.ENOSPC
    execution = rig.start(*[node(name) for name in "abc"])
    await trio.sleep(60)
    disk.number = None
    await execution.done.wait()
    first, last = [record.getMessage() for record in caplog.records]
    assert str(tmp_path / "scratch") in first
    assert "No space left on device" in first
    assert last == f"{tmp_path / 'scratch'} can be used again"


async def test_a_folder_that_was_deleted_under_a_living_engine_is_made_again(
    rig, autojump_clock, asks, tmp_path
):
    await rig.run(node("a"), run="r1")
    shutil.rmtree(tmp_path)
    old = os.umask(0o022)
    try:
        execution = rig.start(node("a", does={"sleep": 10}), node("b", "a"), run="r2")
        await trio.sleep(5)
        shutil.rmtree(tmp_path)
        await execution.done.wait()
    finally:
        os.umask(old)
    assert execution.state.status == "succeeded"
    assert bytes(execution.state.nodes[1].outputs) == b'{"there":true,"mode":448}'
    assert (tmp_path.stat().st_mode & 0o777, trio.current_time()) == (
        0o700,
        pytest.approx(10, abs=1),
    )


async def test_a_cancelled_run_that_waits_for_room_ends_at_once(rig, autojump_clock, asks, disk):
    disk.number = errno.ENOSPC
    execution = rig.start(node("a"))
    await trio.sleep(60)
    before = trio.current_time()
    assert await rig.engine.cancel("r")
    await execution.done.wait()
    assert execution.state.status == "cancelled"
    assert trio.current_time() - before < 0.1


async def test_the_timeout_of_a_run_ends_it_while_it_waits_for_room(
    rig, autojump_clock, asks, disk
):
    disk.number = errno.ENOSPC
    state = await rig.run(node("a"), timeout=30.0)
    assert state.status == "failed"
    assert state.error["type"] == "timeout"
    assert trio.current_time() == pytest.approx(30, abs=0.1)


async def test_nothing_starts_behind_a_fence_that_came_meanwhile(
    rig, autojump_clock, asks, disk, monkeypatch
):
    disk.number = errno.ENOSPC
    rig.start(node("a"))
    await trio.sleep(60)
    monkeypatch.setattr(rig.journal, "fenced", lambda: True)
    disk.number = None
    await recovered(rig)
    assert asks == []
    assert rig.engine.holding("r").halted


async def test_nothing_starts_while_the_journal_has_no_room(
    rig, autojump_clock, asks, disk, monkeypatch
):
    disk.number = errno.ENOSPC
    rig.start(node("a"))
    await trio.sleep(1)
    monkeypatch.setattr(rig.journal, "has_room", lambda: False)
    monkeypatch.setattr(rig.journal, "wait_room", trio.sleep_forever)
    disk.number = None
    await recovered(rig)
    assert asks == []


async def test_a_full_disk_that_a_node_itself_meets_fails_the_node(rig, autojump_clock):
    async def act(_context):
        raise OSError(errno.ENOSPC, "mine")

    rig.executor.act = act
    state = await rig.run(node("a", retry=RetryPolicy(max_attempts=2, first_delay=1)))
    assert state.nodes[0].error == {"type": "OSError", "message": "[Errno 28] mine"}
    assert state.nodes[0].attempt == 2


async def test_something_else_in_the_place_of_a_scratch_directory_fails_its_node(
    rig, autojump_clock, asks, tmp_path
):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "r").symlink_to("nowhere")
    state = await rig.run(node("a"))
    assert state.nodes[0].error["type"] == "FileExistsError"


async def test_a_place_is_usable_again_though_nobody_waits_for_it(
    tmp_path, disk, nursery, autojump_clock
):
    space, changes = ScratchSpace(tmp_path / "scratch"), []
    space.call_when_changed(lambda: changes.append(space.usable()))
    assert space.usable()
    assert not (tmp_path / "scratch").exists()
    disk.number = errno.ENOSPC
    assert space.report(HostTrouble("no room"))
    assert not space.report(HostTrouble("no room"))
    nursery.start_soon(space.recover)
    await trio.sleep(60)
    assert changes == [False]
    disk.number = None
    await space.wait_usable()
    assert changes == [False, True]
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_place_is_not_usable_while_no_file_can_be_opened(
    tmp_path, monkeypatch, nursery, autojump_clock
):
    def no_more(_fd):
        raise OSError(errno.EMFILE, "Too many open files")

    space = ScratchSpace(tmp_path)
    space.report(HostTrouble("no more files"))
    nursery.start_soon(space.recover)
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", no_more)
        await trio.sleep(60)
        assert not space.usable()
    await space.wait_usable()


async def shell(tmp_path, processes=None, **options):
    options = ShellOptions(command="true", **options)
    context = FakeContext(options=options, scratch=tmp_path, processes=processes)
    return await ShellExecutor().execute(context)


class Refusing:
    """Starts no process."""

    def __init__(self, number):
        self.number = number

    async def spawn(self, argv, **_):
        await trio.lowlevel.checkpoint()
        raise OSError(self.number, os.strerror(self.number), argv[0])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOENT])
async def test_a_shell_node_without_room_for_its_inputs_has_not_started(tmp_path, disk, number):
    disk.number = number
    with pytest.raises(HostTrouble, match=os.strerror(number)):
        await shell(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_may_not_be_written_are_no_trouble_of_the_machine(tmp_path, disk):
    disk.number = errno.EACCES
    with pytest.raises(PermissionError):
        Files(FakeContext(options=None, scratch=tmp_path)).write_inputs(b"{}")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_a_process_for_which_no_file_can_be_opened_has_not_started(tmp_path, number):
    with pytest.raises(HostTrouble):
        await shell(tmp_path, Refusing(number), stdin="text")
    async with WorkerPool(["worker"]) as pool:
        with pytest.raises(HostTrouble):
            await pool.call(Refusing(number), b"", log=None)
        assert pool.statistics().busy == 0


async def test_a_program_that_is_not_there_fails_its_node(tmp_path):
    with pytest.raises(NodeError) as caught:
        await shell(tmp_path, Refusing(errno.ENOENT))
    assert caught.value.type == "start"


async def test_a_worker_without_a_pipe_has_not_started(monkeypatch):
    def no_more():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pipe", no_more)
    with pytest.raises(HostTrouble):
        LogPipe()
    async with WorkerPool(["worker"]) as pool:
        with pytest.raises(HostTrouble):
            await pool.call(Refusing(errno.EPERM), b"", log=None)


def test_of_descriptors_for_which_there_is_no_room_no_copy_is_left(monkeypatch):
    copied, dup = [], os.dup

    def some(fd):
        if len(copied) == 2:
            raise OSError(errno.EMFILE, "Too many open files")
        copied.append(dup(fd))
        return copied[-1]

    monkeypatch.setattr(os, "dup", some)
    with pytest.raises(OSError, match="Too many"):
        duplicates([0, 1, 2])
    for fd in copied:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
