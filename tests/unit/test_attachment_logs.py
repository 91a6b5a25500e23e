"""When logs have their turn on an engine's stream."""

from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dagrun.domain.events import Type
from dagrun.errors import ChannelLost, as_one_loss
from dagrun.ports.frames import LOG_WINDOW, Beat, Hello, LogChunk, LogsKept, Report, Welcome
from dagrun.services.attachment import Attachment, Identity, Lease, Shipping
from dagrun.services.attachment.outbox import MAX_LOGS
from dagrun.services.journal.uplink import Uplink
from dagrun.services.node_logs import NodeLogs
from dagrun.testing.journals import event

LEASE = 30.0


class Idle:
    """An engine without runs."""

    def holdings(self):
        return []

    def halt(self):
        pass


class Stream:
    """An orchestrator's end of a stream: each sending waits until the test takes it."""

    peer = "test"

    def __init__(self):
        self.to_orchestrator = trio.open_memory_channel(0)
        self.to_engine = trio.open_memory_channel(10)
        self.say(Welcome(lease=LEASE))

    async def send(self, frames):
        await self.to_orchestrator[0].send(list(frames))

    async def receive(self):
        frame = await self.to_engine[1].receive()
        if frame is None:
            raise ChannelLost("it was cut")
        return [frame]

    def say(self, frame):
        self.to_engine[0].send_nowait(frame)

    async def take(self):
        with trio.fail_after(LEASE):
            return await self.to_orchestrator[1].receive()

    async def take_until(self, kind):
        """Take all up to a frame of some kind, and what travels with it.

        Gives the data of logs, and the last frame of that kind.
        """
        data, found = b"", None
        for _ in range(10):
            for frame in await self.take():
                if isinstance(frame, LogChunk):
                    assert frame.offset == len(data)
                    data += frame.data
                if isinstance(frame, kind):
                    found = frame
            if found is not None:
                return data, found
        raise AssertionError(f"no {kind.__name__} came")


class Rig:
    def __init__(self, folder, nursery):
        folder.mkdir()
        self.nursery = nursery
        self.logs = Shipping(NodeLogs(folder, by_epoch=True))
        self.uplink = Uplink()
        identity = Identity(engine_id="e", instance="i", release="0", capacity=1)
        self.attachment = Attachment(
            uplink=self.uplink,
            logs=self.logs,
            lease=Lease(trio.current_time),
            identity=identity,
            compile_plan=None,
        )
        self.attachment.speak_for(Idle())

    async def attach(self):
        stream = Stream()
        self.nursery.start_soon(self.converse, stream)
        assert isinstance((await stream.take())[0], Hello)
        return stream

    async def converse(self, stream):
        with suppress(ChannelLost), as_one_loss():
            await self.attachment.converse(stream)

    def write(self, data, node_id="a"):
        log = self.logs.open("r", node_id, 1, epoch=1)
        log.write(data)
        log.close()


@pytest.fixture
def rig(tmp_path, nursery):
    return Rig(tmp_path / "logs", nursery)


async def test_logs_go_when_there_is_nothing_else_to_say(rig, autojump_clock):
    stream = await rig.attach()
    await stream.take_until(Beat)
    rig.write(b"x" * 3 * MAX_LOGS)
    await wait_all_tasks_blocked()  # the first pieces are on their way
    for seq in range(1, 6):
        rig.uplink.append([event(seq, Type.NODE_RUNNING, node_id="a")])
    rig.attachment.drain()
    await wait_all_tasks_blocked()
    batches = [await stream.take() for _ in range(5)]
    kinds = [{type(frame) for frame in batch} for batch in batches]
    assert kinds == [{LogChunk}, {Beat, Report}, {LogChunk}, {LogChunk}, {Beat}]
    assert isinstance(batches[1][0], Beat)
    for sent in (batches[0], batches[2], batches[3]):
        assert sum(len(chunk.data) for chunk in sent) == MAX_LOGS


async def test_what_was_lost_with_a_stream_goes_again_on_the_next_one(rig, autojump_clock):
    stream = await rig.attach()
    rig.write(b"lost")
    await stream.take_until(LogChunk)
    stream.say(None)
    stream = await rig.attach()
    assert (await stream.take_until(LogChunk))[0] == b"lost"


async def test_logs_have_arrived_when_the_orchestrator_says_that_it_has_kept_them(
    rig, autojump_clock, tmp_path
):
    arrived = trio.Event()

    async def wait():
        await rig.attachment.logs_arrived()
        arrived.set()

    stream = await rig.attach()
    await stream.take_until(Beat)
    rig.write(b"last words")
    rig.nursery.start_soon(wait)
    assert (await stream.take_until(LogChunk))[0] == b"last words"
    stream.say(LogsKept(count=9))
    await wait_all_tasks_blocked()
    assert not arrived.is_set()
    stream.say(None)  # it was lost before that was said: all begins anew
    stream = await rig.attach()
    assert (await stream.take_until(LogChunk))[0] == b"last words"
    stream.say(LogsKept(count=10))
    await arrived.wait()
    assert list((tmp_path / "logs").iterdir()) == []
    assert trio.current_time() < 1


async def test_more_logs_go_when_the_orchestrator_has_room_again(rig, autojump_clock):
    stream = await rig.attach()
    await stream.take_until(Beat)
    rig.write(b"x" * (LOG_WINDOW + 10))
    sent = 0
    with trio.move_on_after(1):
        while True:
            sent += sum(len(chunk.data) for chunk in await stream.take())
    assert sent == LOG_WINDOW
    stream.say(LogsKept(count=7))
    (chunk,) = await stream.take()
    assert (chunk.offset, len(chunk.data)) == (LOG_WINDOW, 7)


async def test_without_logs_nothing_is_waited_for(rig, autojump_clock):
    await rig.attachment.logs_arrived()
    assert trio.current_time() < 1
