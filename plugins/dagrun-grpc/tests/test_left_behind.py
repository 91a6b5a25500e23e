"""What streams and transports leave behind."""

import asyncio

import pytest
import trio

from dagrun.errors import ChannelLost
from dagrun.testing.elsewhere import until
from dagrun_grpc import grpc
from dagrun_grpc.limits import Patience
from dagrun_grpc.testing import MIB, ask, lost, memory, serving, stranger


async def test_nothing_of_a_stream_is_left_behind():
    async with serving() as served, grpc() as other:
        loop, tasks = other._bridge.loop, []
        neighbours = len(asyncio.all_tasks(served.transport._bridge.loop))
        for count in range(20):
            with trio.move_on_after(0.02 * (count % 4)):
                async with other.attach(served.address) as channel:
                    await ask(channel)
                    await channel.receive()
            tasks.append(len(asyncio.all_tasks(loop)))
        await trio.sleep(0.1)
        assert len(asyncio.all_tasks(loop)) == 0
        its_loop = served.transport._bridge.loop
        await until(lambda: len(asyncio.all_tasks(its_loop)) <= neighbours)


async def test_hundreds_of_streams_leave_memory_as_it_was():
    async with serving(patience=Patience()) as served, grpc() as other:

        async def use(times):
            for _ in range(times):
                async with other.attach(served.address) as channel:
                    await ask(channel)

        await use(50)
        before = memory()
        await use(200)
        assert memory() - before < 8 * MIB


async def test_what_is_still_open_is_lost_when_its_transport_is_left():
    said = []

    async def use(transport, address, *, task_status):
        async with transport.attach(address) as channel:
            await ask(channel)
            task_status.started()
            said.append(await lost(channel))

    async def silent(stream):
        await trio.sleep_forever()

    async def dial(transport, address):
        with pytest.raises(ChannelLost):
            async with transport.attach(address):
                pass
        said.append("dialled")

    async with serving() as served, stranger(silent) as address, trio.open_nursery() as nursery:
        async with grpc() as other:
            await nursery.start(use, other, served.address)
            nursery.start_soon(dial, other, address)
            await trio.sleep(0.1)
        await until(lambda: len(said) == 2)
    assert "the transport is closed" in "".join(said)


async def test_an_error_of_the_loop_ends_nothing():
    async with serving() as served:
        served.transport._bridge.loop.call_soon(int, "nonsense")
        await trio.sleep(0.05)


async def test_who_is_cancelled_while_a_transport_starts_can_go_on():
    async with trio.open_nursery():
        with trio.CancelScope() as scope:
            scope.cancel()
            async with grpc():
                pytest.fail("it has started")
        assert scope.cancelled_caught
        async with serving() as served, grpc() as other, other.attach(served.address) as channel:
            await ask(channel, 1)
