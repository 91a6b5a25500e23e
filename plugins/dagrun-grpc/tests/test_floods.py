"""Whoever floods a listener keeps nobody waiting, fills no memory, and is no news."""

import logging
import socket
import struct

import pytest
import trio
from h2.settings import SettingCodes

from dagrun_grpc import grpc
from dagrun_grpc.aio.calls import ATTACH, CHECK, WATCH
from dagrun_grpc.aio.headers import BoundedEncoder
from dagrun_grpc.limits import MAX_TABLE, Patience
from dagrun_grpc.testing import LIMIT, ask, connected, message, serving
from dagrun_grpc.wire.grpc.health import v1 as health


def right(token, role):
    return (token, role) == ("right", "engine")


async def test_no_more_headers_are_remembered_than_usual_however_many_the_peer_wants():
    async with serving(neighbour=False) as served, connected(served.port) as raw:
        await raw.begin()
        for size in (0, 1000, 0, 2**31 - 1):
            raw.http.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
        await raw.flush()
        for service in ("a" * 900, "b" * 900, "c" * 900):
            number = await raw.call(CHECK.path)
            asked = bytes(health.HealthCheckRequest(service="%" * 100 + service))
            await raw.data(number, message(asked), end=True)
            status, said = await raw.status(number)
            assert status == 5  # NOT_FOUND
            assert service in said
        (ours,) = served.transport._bridge.opened
        assert ours.connection._connection.encoder.header_table_size == MAX_TABLE


@pytest.mark.parametrize(
    ("sizes", "said"),
    [((0, 4096), [0, 4096]), ((9, 4, 9, 7), [4, 7]), ((5, 3), [3]), ((2**32 - 1,), [])],
)
def test_of_all_changes_of_what_is_remembered_two_are_said_at_most(sizes, said):
    encoder = BoundedEncoder()
    for size in sizes:
        encoder.header_table_size = size
    assert encoder.table_size_changes == said


@pytest.mark.parametrize("piece", [b"", b"x"])
async def test_strangers_who_say_next_to_nothing_in_many_frames_are_cut_off(piece):
    async with (
        serving(accepts=right, token="right", patience=Patience()) as served,
        connected(served.port) as raw,
    ):
        await raw.begin()
        number = await raw.call(WATCH.path)
        await raw.data(number, message(b""))
        await raw.accepted(number)
        head = len(piece).to_bytes(3, "big") + b"\0\0" + number.to_bytes(4, "big")
        await raw.send_until_cut_off((head + piece) * 1000)


async def test_who_was_let_in_and_says_next_to_nothing_in_many_frames_leaves_others_their_turn():
    def looked_at(served):
        return sum(each._frames.given for each in served.transport._bridge.opened)

    frames, most = 20_000, 0
    async with serving(patience=Patience()) as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH.path)
        await raw.accepted(number)
        empty = b"\0\0\0\0\0" + number.to_bytes(4, "big")
        async with (
            grpc() as other,
            other.attach(served.address) as channel,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(raw.stream.send_all, empty * frames)
            with trio.fail_after(LIMIT):
                while (before := looked_at(served)) < frames:
                    await ask(channel)
                    most = max(most, looked_at(served) - before)
    assert most < frames / 4


async def test_who_leaves_before_the_answers_to_many_calls_is_no_news(caplog):
    async with serving() as served:
        async with connected(served.port) as raw:
            await raw.begin()
            await raw.status(await raw.call("nonsense"))
            for _ in range(50):
                number = raw.http.get_next_available_stream_id()
                headers = [(":method", "POST"), (":path", CHECK.path), ("te", "trailers")]
                raw.http.send_headers(number, [*headers, ("content-type", "application/grpc")])
                raw.http.send_data(number, message(b""), end_stream=True)
            await raw.flush()
            raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.sleep(0.3)
    assert caplog.messages == []


def test_what_asyncio_says_of_answers_that_come_too_late_is_no_news(caplog):
    asyncio_log = logging.getLogger("asyncio")
    asyncio_log.warning("socket.send() raised exception.")
    asyncio_log.warning("something else")
    assert caplog.messages == ["something else"]
