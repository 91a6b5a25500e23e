"""How what nodes write leaves an engine."""

import gc
import tracemalloc
from collections import defaultdict

import pytest
import trio

from dagrun.ports.frames import LOG_WINDOW
from dagrun.services.attachment.shipping import PIECE, Shipping
from dagrun.services.node_logs import NodeLogs

MUCH = 10 * LOG_WINDOW


class Warehouse:
    """A shipping, and what an orchestrator would keep of what it gives."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir()
        self.shipping = Shipping(NodeLogs(folder, cap=8 * PIECE, by_epoch=True))
        self.woken = 0
        self.shipping.call_when_unsent(self.wake)
        self.arrived = defaultdict(bytearray)
        self.count = 0

    def wake(self):
        self.woken += 1

    def open(self, node_id="a", attempt=1, item=None, epoch=1):
        return self.shipping.open("r", node_id, attempt, item, epoch=epoch)

    def written(self, data, node_id="a", **where):
        log = self.open(node_id, **where)
        log.write(data)
        log.close()
        return log

    def take(self, most=MUCH):
        chunks = self.shipping.take(most)
        for chunk in chunks:
            kept = self.arrived[chunk.node_id, chunk.attempt, chunk.item, chunk.epoch]
            assert chunk.offset <= len(kept)
            kept[chunk.offset : chunk.offset + len(chunk.data)] = chunk.data
            self.count += len(chunk.data)
        return [(chunk.node_id, chunk.offset, len(chunk.data)) for chunk in chunks]

    def answer(self):
        """Say that all has arrived that was taken."""
        self.shipping.acknowledge(self.count)

    def new_stream(self):
        self.shipping.send_again()
        self.count = 0

    def files(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*.log"))


@pytest.fixture
def house(tmp_path):
    return Warehouse(tmp_path / "logs")


async def test_what_is_written_is_given_once_with_its_place(house):
    log = house.open("a", 2, 5, 7)
    assert house.take() == []
    log.write(b"one")
    assert house.take() == [("a", 0, 3)]
    assert house.take() == []
    log.write(b"two")
    log.write(b"three")
    assert house.take() == [("a", 3, 8)]
    assert house.arrived == {("a", 2, 5, 7): b"onetwothree"}


async def test_it_wakes_when_there_is_something_again(house):
    log = house.open()
    assert house.woken == 0
    log.write(b"x")
    log.write(b"y")
    assert house.woken == 1
    house.take()
    log.write(b"z")
    assert house.woken == 2


async def test_logs_take_turns_and_a_call_gives_no_more_than_asked_for(house):
    house.written(b"x" * 3 * PIECE, "a")
    house.written(b"y" * (PIECE + 1), "b")
    assert house.take(2 * PIECE + 10) == [("a", 0, PIECE), ("b", 0, PIECE), ("a", PIECE, 10)]
    assert house.take() == [
        ("b", PIECE, 1),
        ("a", PIECE + 10, PIECE),
        ("a", 2 * PIECE + 10, PIECE - 10),
    ]
    assert {key[0]: len(data) for key, data in house.arrived.items()} == {
        "a": 3 * PIECE,
        "b": PIECE + 1,
    }


async def test_a_log_that_was_cut_is_given_with_its_marker(house):
    log = house.open()
    for _ in range(100):
        log.write(b"x" * PIECE)
    log.close()
    while house.take():
        house.answer()
    (data,) = house.arrived.values()
    assert data == b"x" * 8 * PIECE + b"\n[dagrun: log cut, %d bytes are allowed]\n" % (8 * PIECE)


async def test_on_a_new_stream_all_is_given_again_but_what_has_arrived_whole(house):
    house.written(b"old", "old")
    is_open = house.open("open")
    is_open.write(b"begun")
    house.take()
    house.answer()
    house.written(b"new", "new")
    house.take()
    assert house.take() == []
    house.new_stream()
    assert house.take() == [("open", 0, 5), ("new", 0, 3)]


async def test_what_was_heard_on_an_earlier_stream_counts_for_nothing_on_a_new_one(house):
    house.written(b"x" * 10)
    house.take()
    house.new_stream()
    house.shipping.acknowledge(10)
    assert house.files() == ["r/a/1@1.log"]
    assert house.take() == [("a", 0, 10)]
    house.answer()
    assert house.files() == []


async def test_a_file_goes_when_its_log_has_arrived_whole_and_its_folders_with_it(house):
    house.written(b"x", "a")
    is_open = house.open("b")
    is_open.write(b"y")
    house.take()
    assert house.files() == ["r/a/1@1.log", "r/b/1@1.log"]
    house.answer()
    assert house.files() == ["r/b/1@1.log"]
    is_open.close()
    assert list(house.folder.iterdir()) == []
    assert not house.shipping.keeps


async def test_a_log_stays_as_long_as_a_byte_of_it_is_on_its_way(house):
    house.written(b"x" * (PIECE + 5))
    house.take()
    for count in (0, PIECE - 1, PIECE, PIECE + 4):
        house.shipping.acknowledge(count)
        assert house.files() == ["r/a/1@1.log"]
    house.shipping.acknowledge(PIECE + 5)
    assert house.files() == []


async def test_no_more_is_on_its_way_than_the_orchestrator_has_room_for(house):
    for node_id in "abc":
        house.written(b"x" * 8 * PIECE, node_id)
    first = house.take()
    assert sum(size for *_, size in first) == LOG_WINDOW
    assert house.take() == []
    woken = house.woken
    house.shipping.acknowledge(PIECE + 10)
    assert house.woken == woken + 1
    assert sum(size for *_, size in house.take()) == PIECE + 10
    assert house.take() == []
    house.new_stream()
    assert sum(size for *_, size in house.take()) == LOG_WINDOW


async def test_more_that_is_said_to_have_arrived_than_was_sent_makes_no_more_room(house):
    for node_id in "abc":
        house.written(b"x" * 8 * PIECE, node_id)
    house.shipping.acknowledge(10 * LOG_WINDOW)
    assert sum(size for *_, size in house.take()) == LOG_WINDOW


async def test_a_log_that_says_nothing_is_not_kept(house):
    house.written(b"")
    assert (house.take(), house.shipping.keeps, house.files()) == ([], False, [])


async def test_what_is_written_behind_the_end_changes_nothing(house):
    log = house.written(b"x")
    house.take()
    log.write(b"late")
    log.close()
    assert house.take() == []
    house.answer()
    assert house.files() == []


async def test_a_file_that_somebody_removed_holds_nothing_up(house):
    log = house.open()
    log.write(b"x")
    (house.folder / "r/a/1@1.log").unlink()
    assert house.take() == []
    house.written(b"y", "b")
    assert house.take() == [("b", 0, 1)]
    house.answer()
    with trio.fail_after(1):
        await house.shipping.wait_arrived()


async def test_one_can_wait_until_all_has_arrived(house, autojump_clock):
    log = house.open()
    log.write(b"x" * (PIECE + 1))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def take():
            for _ in range(2):
                await trio.sleep(1)
                house.take(PIECE)
            await trio.sleep(1)
            house.answer()

        await house.shipping.wait_arrived()
        assert trio.current_time() == 3
        await house.shipping.wait_arrived()


async def test_no_bytes_of_logs_are_held_in_memory(house):
    tracemalloc.start()
    logs = [house.written(b"x" * PIECE, item=item) for item in range(100)]
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100 * 2048
    assert len(logs) == 100
