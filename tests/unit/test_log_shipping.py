"""What nodes print on an engine is written down by its orchestrator, each byte once."""

import pytest
import trio
import trio.testing

from dagrun.ports.frames import LogChunk
from dagrun.roles.shipped_logs import KeptLogs, ShippedLogs
from dagrun.services.log_shipping import KEPT, PIECE, LogShipping
from dagrun.services.node_logs import CAP, NodeLogs

KEY = ("r", "a", 1, None)


class Shop:
    """An engine's logs, and what of them was sent."""

    def __init__(self, folder):
        self.logs = ShippedLogs(NodeLogs(folder))
        self.sent = []
        self.stalled = False
        self.room = trio.Event()
        self.logs.shipping = self.shipping = LogShipping(self.logs.read, self.ship)

    async def ship(self, chunk):
        while self.stalled:
            await self.room.wait()
        self.sent.append((chunk.node_id, chunk.offset, chunk.data))

    def go_on(self):
        self.stalled = False
        self.room.set()


@pytest.fixture
async def shop(tmp_path, nursery):
    made = Shop(tmp_path)
    await nursery.start(made.shipping.run)
    return made


async def test_what_is_written_is_sent_with_its_place(shop, autojump_clock):
    log = shop.logs.open(*KEY)
    log.write(b"one\n")
    await trio.testing.wait_all_tasks_blocked()
    log.write(b"two")
    log.close()
    await trio.testing.wait_all_tasks_blocked()
    assert shop.sent == [("a", 0, b"one\n"), ("a", 4, b"two")]
    assert log.ended
    assert log.tail() == b"one\ntwo"


async def test_what_came_while_there_was_no_room_travels_together_in_pieces(shop, autojump_clock):
    shop.stalled = True
    logs = [shop.logs.open("r", node, 1) for node in ("a", "b")]
    logs[0].write(b"x")
    await trio.testing.wait_all_tasks_blocked()
    logs[0].write(b"y" * PIECE)
    logs[1].write(b"z")
    shop.go_on()
    await trio.testing.wait_all_tasks_blocked()
    lengths = [(node, place, len(data)) for node, place, data in shop.sent]
    assert lengths == [("a", 0, 1), ("a", 1, PIECE), ("b", 0, 1)]


async def test_a_new_stream_is_sent_all_once_more_also_of_what_has_just_ended(shop, autojump_clock):
    log = shop.logs.open(*KEY)
    log.write(b"one")
    log.close()
    await trio.testing.wait_all_tasks_blocked()
    shop.shipping.again()
    await trio.testing.wait_all_tasks_blocked()
    assert shop.sent == [("a", 0, b"one")] * 2
    await trio.sleep(KEPT + 1)
    shop.shipping.again()
    await trio.testing.wait_all_tasks_blocked()
    assert len(shop.sent) == 2


def piece(offset, data, node_id="a", run_id="r"):
    return LogChunk(run_id=run_id, node_id=node_id, attempt=1, item=None, offset=offset, data=data)


def test_a_piece_that_comes_twice_is_there_once(tmp_path):
    logs = NodeLogs(tmp_path)
    kept = KeptLogs(logs)
    for offset, data in ((0, b"one"), (3, b"two"), (0, b"onet"), (3, b"two")):
        kept.came("e1", piece(offset, data))
    assert logs.read(*KEY) == b"onetwo"


def test_another_engine_writes_behind_what_the_first_one_wrote(tmp_path):
    logs = NodeLogs(tmp_path)
    kept = KeptLogs(logs)
    kept.came("e1", piece(0, b"first"))
    kept.came("e2", piece(0, b"second"))
    kept.came("e2", piece(6, b"!"))
    assert logs.read(*KEY) == b"first\n[dagrun: cut off here, and made again]\nsecond!"


def test_what_an_engine_has_in_the_same_folder_stays_as_it_is(tmp_path):
    logs = NodeLogs(tmp_path)
    log = logs.open(*KEY)
    log.write(b"one")
    KeptLogs(logs).came("e1", piece(0, b"one"))
    log.write(b"two")
    log.close()
    assert logs.read(*KEY) == b"onetwo"


@pytest.mark.parametrize(
    "chunk", [piece(0, b"x", node_id="../x"), piece(0, b"x", run_id=".."), piece(-1, b"x")]
)
def test_what_belongs_nowhere_is_left_out(tmp_path, chunk, caplog):
    folder = tmp_path / "logs"
    KeptLogs(NodeLogs(folder)).came("e1", chunk)
    assert not folder.exists()
    assert "e1" in caplog.text


def test_a_log_cannot_grow_beyond_its_cap_by_pieces_far_behind_it(tmp_path):
    logs = NodeLogs(tmp_path, cap=1000)
    kept = KeptLogs(logs)
    kept.came("e1", piece(990, b"x" * 1000))
    kept.came("e1", piece(CAP, b"x"))
    assert len(logs.read(*KEY)) < 1200
