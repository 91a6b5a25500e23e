"""What an orchestrator does with the logs on an engine's stream."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dagrun.domain.ids import RunId
from dagrun.errors import ChannelLost
from dagrun.ports.frames import LOG_WINDOW, Hello, LogChunk, LogsKept
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import RemoteEngine
from dagrun.services.fleet.session import Session

QUARTER = LOG_WINDOW // 4


class Stream:
    """An engine's end of a stream, in the hands of the test."""

    peer = "test"

    def __init__(self):
        self.heard = []
        self._send, self._receive = trio.open_memory_channel(100)

    def say(self, *frames):
        self._send.send_nowait(frames)

    async def send(self, frames):
        await trio.lowlevel.checkpoint()
        self.heard += frames

    async def receive(self):
        return await self._receive.receive()


class Slow:
    """Keeps pieces of logs when the test says so."""

    def __init__(self):
        self.waiting = []

    def log_came(self, chunk, kept):
        self.waiting.append((len(chunk.data), kept))

    def keep(self, count):
        for _, kept in self.waiting[:count]:
            kept()
        del self.waiting[:count]


def piece(offset, size=QUARTER):
    return LogChunk(
        run_id=RunId("r"),
        epoch=1,
        node_id="a",
        attempt=1,
        item=None,
        offset=offset,
        data=b"x" * size,
    )


class House:
    def __init__(self):
        self.stream, self.disk, self.ended = Stream(), Slow(), None
        hello = Hello(engine_id="e", instance="i", release="", capacity=1)
        self.session = Session(
            self.stream,
            RemoteEngine(hello, None, None),
            journal=None,
            roster=None,
            returns=None,
            child_starts=None,
            log_came=self.disk.log_came,
        )

    async def talk(self):
        try:
            await self.session.run(Outbox())
        except ChannelLost as error:
            self.ended = str(error)


@pytest.fixture
async def house(nursery):
    house = House()
    nursery.start_soon(house.talk)
    return house


async def test_an_engine_is_told_how_much_was_kept_and_only_then(house):
    house.stream.say(piece(0), piece(QUARTER))
    house.stream.say(piece(2 * QUARTER))
    await wait_all_tasks_blocked()
    assert house.stream.heard == []
    house.disk.keep(1)
    await wait_all_tasks_blocked()
    house.disk.keep(2)
    await wait_all_tasks_blocked()
    assert house.stream.heard == [LogsKept(count=QUARTER), LogsKept(count=3 * QUARTER)]


async def test_an_engine_that_sends_more_than_there_is_room_for_loses_its_stream(house):
    for number in range(4):
        house.stream.say(piece(number * QUARTER))
    await wait_all_tasks_blocked()
    assert house.ended is None
    house.disk.keep(1)
    house.stream.say(piece(4 * QUARTER))
    await wait_all_tasks_blocked()
    assert house.ended is None
    house.stream.say(piece(5 * QUARTER, 1))
    await wait_all_tasks_blocked()
    assert house.ended == "engine e sends more of logs than can be kept"
    assert sum(size for size, _ in house.disk.waiting) == LOG_WINDOW


async def test_what_is_kept_when_the_stream_has_ended_does_no_harm(house):
    house.stream.say(piece(0))
    await wait_all_tasks_blocked()
    house.stream.say(piece(QUARTER, LOG_WINDOW))
    await wait_all_tasks_blocked()
    assert house.ended
    house.disk.keep(1)
    await wait_all_tasks_blocked()
    assert house.stream.heard == []
