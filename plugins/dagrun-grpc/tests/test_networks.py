"""Networks that are cut, slow or silent, and peers that are dead."""

import time
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from dagrun.errors import ChannelLost
from dagrun.ports.frames import Beat, BeatSeen
from dagrun.testing.elsewhere import until
from dagrun.testing.proxy import Proxy
from dagrun_grpc import grpc
from dagrun_grpc.limits import WINDOW
from dagrun_grpc.testing import HASTE, LIMIT, MIB, SLACK, answer, ask, chunk, lost, serving

STEADY = attrs.evolve(HASTE, handshake=LIMIT, answer=2.0)
"""Patience of those who are not to give each other up, however busy the machine is."""


@asynccontextmanager
async def proxied(handler=answer, patience=HASTE, **options):
    """Dial through a proxy; give the stream, the proxy, and the listener."""
    async with serving(handler, patience=patience) as served, trio.open_nursery() as nursery:
        proxy = await nursery.start(Proxy(served.port).run)
        async with (
            grpc(patience=patience, **options) as other,
            other.attach(proxy.address) as channel,
        ):
            yield channel, proxy, served
        nursery.cancel_scope.cancel()


async def send_chunks(channel, count):
    for _ in range(count):
        await channel.send([chunk(MIB // 2)])


async def test_a_connection_that_is_cut_in_the_middle_of_a_frame_is_lost_on_both_sides():
    said = []

    async def hold(channel):
        if not said:
            said.append("neighbour")
            await answer(channel)
        else:
            said.append(await lost(channel))

    async with proxied(hold) as (channel, proxy, _):
        proxy.left = 300_000
        with pytest.raises(ChannelLost):
            await send_chunks(channel, 10)
        await lost(channel)
        await until(lambda: len(said) == 2)


async def test_a_peer_that_does_not_answer_any_more_is_given_up_by_both_sides():
    async with proxied() as (channel, proxy, served):
        await ask(channel)
        proxy.stall()
        began = trio.current_time()
        assert "no answer within" in await lost(channel)
        await until(lambda: served.channels[0].stream.lost)
        assert trio.current_time() - began < HASTE.keepalive + HASTE.answer + SLACK
        assert "no answer within" in served.channels[0].stream.lost


async def test_a_send_that_waits_for_a_dead_peer_ends():
    async def deaf(channel):
        await channel.receive()
        await channel.send([BeatSeen(number=1)])
        if channels_seen:
            await trio.sleep_forever()
        channels_seen.append(channel)
        await answer(channel)

    channels_seen = []
    async with proxied(deaf) as (channel, proxy, _):
        await ask(channel)
        proxy.stall()
        with trio.fail_after(LIMIT), pytest.raises(ChannelLost, match="no answer within"):
            await send_chunks(channel, 10_000)


async def test_a_process_that_was_held_up_gives_nobody_up_for_it():
    async with proxied() as (channel, proxy, served):
        proxy.latency = HASTE.answer / 4
        opened = served.transport._bridge.opened
        for _ in range(3):
            await until(lambda: any(each._watch._asked is not None for each in opened))
            time.sleep(2 * HASTE.answer)  # noqa: ASYNC251 — while somebody is being asked
            await ask(channel)


async def test_a_quiet_stream_stays():
    async with (
        serving(patience=STEADY) as served,
        grpc(patience=STEADY) as other,
        other.attach(served.address) as channel,
    ):
        await ask(channel)
        await trio.sleep(2 * (STEADY.idle + STEADY.keepalive))
        await ask(channel)


async def test_a_peer_that_is_there_but_does_not_read_stays():
    async def slow(channel):
        await channel.receive()
        await channel.send([BeatSeen(number=1)])
        await trio.sleep(3 * (HASTE.keepalive + HASTE.answer))
        for _ in range(count):
            await channel.receive()
        await answer(channel)

    count = 4 * WINDOW // (MIB // 2)
    async with (
        serving(slow, neighbour=False) as served,
        grpc(patience=HASTE) as other,
        other.attach(served.address) as channel,
    ):
        await ask(channel)
        with trio.fail_after(LIMIT):
            for _ in range(count):
                await channel.send([chunk(MIB // 2)])
            await ask(channel)


@pytest.mark.parametrize(("piece", "latency"), [(1, 0.0), (1000, 0.02), (65536, 0.2)])
async def test_a_slow_network_changes_nothing(piece, latency):
    async with proxied(patience=STEADY) as (channel, proxy, _):
        proxy.piece, proxy.latency = piece, latency
        for number in range(5):
            beats = [Beat(number=number * 10 + n, held=(("r", n),)) for n in range(10)]
            await channel.send(beats)
            with trio.fail_after(LIMIT):
                assert await channel.receive() == tuple(
                    BeatSeen(number=beat.number) for beat in beats
                )
