"""The memory transport does what the port says, and its hub what networks do."""

from contextlib import asynccontextmanager

import pytest
import trio

from dagrun.builtin.memory_transport import BOUND, Hub, MemoryTransport
from dagrun.errors import ChannelLost, ConfigError
from dagrun.ports.frames import Beat, BeatSeen
from dagrun.testing.transports import TransportSuite


class TestMemoryTransport(TransportSuite):
    nobody = "nobody"

    @asynccontextmanager
    async def open_pair(self):
        hub = Hub()
        async with MemoryTransport(hub=hub) as dials, MemoryTransport(hub=hub) as listens:
            yield dials, listens


def beat(number):
    return Beat(number=number, held=())


@asynccontextmanager
async def linked():
    """Open a stream, and give its hub and both ends."""
    hub = Hub()
    arrived, arrivals = trio.open_memory_channel(1)

    async def hold(channel):
        await arrived.send(channel)
        await trio.sleep_forever()

    async with MemoryTransport(hub=hub, address="o") as transport, trio.open_nursery() as nursery:
        await nursery.start(transport.serve_orchestrator, hold)
        async with transport.attach("o") as caller:
            yield hub, caller, await arrivals.receive()
        nursery.cancel_scope.cancel()


async def test_a_cut_link_is_lost_on_both_sides_with_all_that_was_on_its_way():
    async with linked() as (hub, caller, called):
        await caller.send([beat(1)])
        hub.cut(hub.links[0])
        for channel in (caller, called):
            with pytest.raises(ChannelLost, match="cut"):
                await channel.receive()
            with pytest.raises(ChannelLost, match="cut"):
                await channel.send([beat(2)])


async def test_a_stalled_link_delivers_nothing_and_tells_nobody(autojump_clock):
    async with linked() as (hub, caller, called):
        hub.stall(way="there")
        await caller.send([beat(1)])
        await called.send([BeatSeen(number=1)])
        assert await caller.receive() == (BeatSeen(number=1),)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def resume():
                await trio.sleep(1000)
                hub.resume()

            assert await called.receive() == (beat(1),)
        assert trio.current_time() == 1000


async def test_what_is_delayed_arrives_in_its_order_that_much_later(autojump_clock):
    async with linked() as (hub, caller, called):
        hub.delay(5)
        await caller.send([beat(1)])
        await trio.sleep(1)
        await caller.send([beat(2)])
        assert await called.receive() == (beat(1),)
        assert trio.current_time() == 5
        assert await called.receive() == (beat(2),)
        assert trio.current_time() == 6


async def test_a_sender_waits_behind_the_bound(autojump_clock):
    async with linked() as (_, caller, called):
        for number in range(BOUND):
            await caller.send([beat(number)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.send, [beat(BOUND)])
            await trio.testing.wait_all_tasks_blocked()
            for number in range(BOUND + 1):
                assert await called.receive() == (beat(number),)


async def test_callers_who_were_not_answered_learn_that_the_listener_stopped():
    async def hold(channel):
        await trio.sleep_forever()

    hub = Hub()
    async with MemoryTransport(hub=hub, address="o") as transport, trio.open_nursery() as nursery:
        await nursery.start(transport.serve_orchestrator, hold)
        async with transport.attach("o") as first, transport.attach("o") as second:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True), trio.fail_after(1):
                for channel in (first, second):
                    with pytest.raises(ChannelLost):
                        await channel.receive()
    assert hub.links == []


async def test_a_name_cannot_be_listened_on_twice():
    async with linked() as (hub, _, _):
        with pytest.raises(ConfigError, match="taken"):
            await MemoryTransport(hub=hub, address="o").serve_orchestrator(trio.sleep_forever)


async def test_what_is_still_open_is_lost_when_its_transport_is_left():
    async with linked() as (hub, _, _), trio.open_nursery() as nursery:

        async def use(transport, *, task_status):
            async with transport.attach("o") as channel:
                task_status.started()
                with pytest.raises(ChannelLost, match="closed on this side"):
                    await channel.receive()

        async with MemoryTransport(hub=hub) as other:
            await nursery.start(use, other)
