"""A listener with a good neighbour, whom whatever happens to others does not concern."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from dagrun.errors import ChannelLost
from dagrun.ports.frames import Beat, BeatSeen
from dagrun_grpc import grpc
from dagrun_grpc.limits import Patience

LIMIT = 10.0  # seconds that no test comes near
HASTE = Patience(handshake=0.5, keepalive=0.3, answer=0.4, idle=0.6)


async def answer(channel):
    """Answer each beat."""
    while True:
        beats = await channel.receive()
        await channel.send([BeatSeen(number=beat.number) for beat in beats])


async def ask(channel, number=1):
    """Send a beat, and check the answer."""
    with trio.fail_after(LIMIT):
        await channel.send([Beat(number=number, held=())])
        assert await channel.receive() == (BeatSeen(number=number),)


async def lost(channel):
    """Wait until a stream has ended; give what is said of it."""
    with trio.fail_after(LIMIT):
        try:
            while True:
                await channel.receive()
        except ChannelLost as error:
            return str(error)


@attrs.frozen
class Served:
    """A listener."""

    address: str
    port: int
    transport: object
    channels: list


@pytest.fixture
def serve():
    """Listen, and have a stream whose answers are checked before and after the block."""

    @asynccontextmanager
    async def serving(handler=answer, *, neighbour=True, patience=HASTE, token=None, **options):
        channels = []

        async def hold(channel):
            channels.append(channel)
            await handler(channel)

        async with grpc(port=0, patience=patience, **options) as transport:
            async with trio.open_nursery() as nursery:
                address = await nursery.start(transport.serve_orchestrator, hold)
                served = Served(address, int(address.rpartition(":")[2]), transport, channels)
                if neighbour:
                    async with grpc(token=token) as other, other.attach(address) as channel:
                        await ask(channel, 1)
                        channels.clear()
                        yield served
                        await ask(channel, 2)
                else:
                    yield served
                nursery.cancel_scope.cancel()

    return serving
