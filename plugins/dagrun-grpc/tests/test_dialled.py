"""Whoever is dialled is given up in time."""

import asyncio
import random

import pytest
import trio

from dagrun.errors import ChannelLost, Unreachable
from dagrun_grpc import grpc
from dagrun_grpc.testing import stranger


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        random.Random(1).randbytes(1000),
        b"\0\0\0\4\0\0\0\0\0",
    ],
)
@pytest.mark.parametrize("stays", [True, False])
async def test_a_stranger_who_is_dialled_is_given_up_in_time(said, stays):
    async def speak(stream):
        await stream.send_all(said)
        if stays:
            await trio.sleep_forever()

    async with stranger(speak) as address, grpc(connection_timeout=0.5) as transport:
        with trio.fail_after(3), pytest.raises(ChannelLost, match=address):
            async with transport.attach(address):
                pass


async def test_clients_are_told_that_a_stranger_speaks_no_grpc():
    async def speak(stream):
        await stream.send_all(b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n")

    async with (
        stranger(speak) as address,
        grpc(connection_timeout=2) as transport,
        transport.manage(address) as server,
    ):
        with trio.fail_after(3), pytest.raises(Unreachable, match="it serves no gRPC, or only"):
            await server.workflows.list()


async def test_a_stranger_who_says_nothing_is_given_up_in_time_by_clients_too():
    async def hear(_stream):
        await trio.sleep_forever()

    async with (
        stranger(hear) as address,
        grpc(connection_timeout=0.3) as transport,
        transport.manage(address) as server,
    ):
        with trio.fail_after(3), pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            await server.workflows.list()


async def test_an_address_that_swallows_all_packets_is_given_up_in_time(monkeypatch):
    async def never(self, *args, **kwargs):
        await asyncio.get_running_loop().create_future()

    async with grpc(connection_timeout=0.3) as transport:
        monkeypatch.setattr(type(transport._bridge.loop), "create_connection", never)
        with trio.fail_after(3), pytest.raises(ChannelLost, match=r"no answer within 0\.3 s"):
            async with transport.attach("127.0.0.1:50051"):
                pass
