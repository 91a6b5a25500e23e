"""How pieces of logs from elsewhere come onto the disk."""

import threading

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.domain.ids import RunId
from dagrun.plugin.loading import load_plugins
from dagrun.ports.frames import LogChunk
from dagrun.roles.orchestrator import open_leading
from dagrun.roles.places import LOGS
from dagrun.services.node_logs import NodeLogs
from dagrun.services.node_logs.keeping import BATCH, Keeping
from dagrun.testing.journals import add_run


class Disk(NodeLogs):
    """A disk that writes when the test lets it."""

    def __init__(self, root):
        super().__init__(root)
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.threads = set()

    def put(self, *about, **piece):
        self.begun.set()
        assert self.go_on.wait(30)
        self.threads.add(threading.get_ident())
        super().put(*about, **piece)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "logs")
    yield disk
    disk.go_on.set()


def piece(offset, data):
    return LogChunk(
        run_id=RunId("r"), epoch=1, node_id="a", attempt=1, item=None, offset=offset, data=data
    )


async def known(_run):
    await trio.lowlevel.checkpoint()
    return True


async def wait_for(event):
    assert await trio.to_thread.run_sync(event.wait, 30)


async def test_a_disk_that_stands_still_holds_nothing_up_and_nothing_is_said_to_be_kept(
    disk, nursery
):
    keeping = await nursery.start(Keeping(disk, known).run)
    told = []
    keeping.put(piece(0, b"one "), lambda: told.append(1))
    await wait_for(disk.begun)
    keeping.put(piece(4, b"two"), lambda: told.append(2))
    await trio.sleep(0.1)
    assert (told, keeping.statistics().waiting) == ([], 7)
    disk.go_on.set()
    with trio.fail_after(30):
        while keeping.statistics().waiting:  # noqa: ASYNC110 — a thread does it
            await trio.sleep(0.01)
    assert told == [1, 2]
    assert disk.read("r", "a", 1) == b"one two"
    assert threading.get_ident() not in disk.threads


async def test_who_sends_hears_of_the_first_pieces_before_the_last_are_written(disk, nursery):
    told, steps = [], []
    disk.go_on.set()
    put = disk.put

    def note(*about, **given):
        steps.append(len(told))
        put(*about, **given)

    disk.put = note
    keeping = Keeping(disk, known)
    for number in range(4):
        data = b"x" * (BATCH // 2)
        keeping.put(piece(number * len(data), data), lambda number=number: told.append(number))
    await nursery.start(keeping.run)
    with trio.fail_after(30):
        while keeping.statistics().waiting:  # noqa: ASYNC110 — a thread does it
            await trio.sleep(0.01)
    assert (told, steps) == ([0, 1, 2, 3], [0, 0, 2, 2])


async def test_a_disk_that_stands_still_does_not_hold_up_the_end(disk):
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            keeping = await nursery.start(Keeping(disk, known).run)
            keeping.put(piece(0, b"x"), lambda: None)
            await wait_for(disk.begun)
            nursery.cancel_scope.cancel()


async def test_a_piece_that_is_dropped_needs_no_room_either(tmp_path, nursery, caplog):
    keeping = await nursery.start(Keeping(NodeLogs(tmp_path), known).run)
    told = trio.Event()
    keeping.put(piece(5, b"behind a hole"), told.set)
    with trio.fail_after(30):
        await told.wait()
    assert "of node a are dropped" in caplog.text


async def test_it_waits_until_there_is_something(disk, nursery, autojump_clock):
    keeping = await nursery.start(Keeping(disk, known).run)
    await wait_all_tasks_blocked()
    assert keeping.statistics().waiting == 0
    assert not disk.begun.is_set()


async def test_a_piece_of_a_run_that_nobody_knows_is_dropped_and_leaves_nothing(tmp_path, nursery):
    asked, told = [], trio.Event()

    async def only(run):
        await trio.lowlevel.checkpoint()
        asked.append(run)
        return run == "known"

    keeping = await nursery.start(Keeping(NodeLogs(tmp_path), only).run)
    for run in ("gone", "known", "../gone"):
        keeping.put(attrs.evolve(piece(0, b"one"), run_id=RunId(run)), lambda: None)
    keeping.put(attrs.evolve(piece(3, b"two"), run_id=RunId("known")), told.set)
    with trio.fail_after(30):
        await told.wait()
    assert (sorted(asked), keeping.statistics().waiting) == (["../gone", "gone", "known"], 0)
    assert [path.name for path in tmp_path.iterdir()] == ["known"]
    assert NodeLogs(tmp_path).read("known", "a", 1) == b"onetwo"


async def test_who_is_kept_already_is_not_asked_for_again(tmp_path, nursery):
    async def nobody(_run):
        pytest.fail("it was known before")

    logs = NodeLogs(tmp_path)
    logs.put("r", "a", 1, epoch=1, offset=0, data=b"one")
    keeping = await nursery.start(Keeping(logs, nobody).run)
    told = trio.Event()
    keeping.put(piece(3, b"two"), told.set)
    with trio.fail_after(30):
        await told.wait()
    assert logs.read("r", "a", 1) == b"onetwo"


async def test_an_orchestrator_keeps_no_log_of_a_run_that_it_does_not_have(tmp_path):
    told = trio.Event()
    async with open_leading(
        load_plugins().registry,
        data_dir=tmp_path,
        owner="o",
        lease=60.0,
        transport=MemoryTransport(hub=Hub()),
        store=MemoryStore(),
    ) as leading:
        leading.keeping.put(piece(0, b"one"), told.set)
        with trio.fail_after(30):
            await told.wait()
        assert list(tmp_path.rglob("*")) == []
        await add_run(leading.store)
        told = trio.Event()
        leading.keeping.put(piece(0, b"one"), told.set)
        with trio.fail_after(30):
            await told.wait()
        assert NodeLogs(tmp_path / LOGS).read("r", "a", 1) == b"one"
