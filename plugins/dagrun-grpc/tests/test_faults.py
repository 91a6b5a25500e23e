"""What strangers do harms their own connection only."""

import random
import struct

import pytest
import trio

from dagrun_grpc import grpc
from dagrun_grpc.limits import MAX_MESSAGE, MAX_UNSENT, Patience
from dagrun_grpc.testing import HASTE, LIMIT, MIB, SLACK, ask, connected, memory, message, serving
from dagrun_grpc.wire.dagrun import v1

ATTACH = "/dagrun.v1.OrchestratorService/Attach"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HUGE = struct.pack(">?I", False, 300 * MIB)
"""What stands before a message of that size."""


def right(token, role):
    return (token, role) == ("right", "engine")


@pytest.mark.parametrize("seed", range(5))
async def test_random_bytes_are_cut_off(seed):
    junk = random.Random(seed).randbytes(100_000)
    async with serving() as served, connected(served.port) as raw:
        assert await raw.send_until_cut_off(junk, pause=0.001) < 1000 * len(junk)


@pytest.mark.parametrize("seed", range(5))
async def test_junk_behind_a_preface_is_cut_off(seed):
    junk = random.Random(seed).randbytes(10_000)
    async with serving() as served, connected(served.port) as raw:
        await raw.stream.send_all(PREFACE + b"\0\0\0\4\0\0\0\0\0" + junk)
        await raw.drained()


async def test_frames_of_unknown_types_are_cut_off_or_passed_over():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        await raw.stream.send_all(b"\0\0\1\xee\0\0\0\0\0x")
        await raw.drained()


@pytest.mark.parametrize("said", [b"", PREFACE[:10], PREFACE + b"\0\0\0\4\0\0\0\0\0"])
async def test_who_makes_no_call_is_cut_off_in_time(said):
    async with serving() as served, connected(served.port) as raw:
        await raw.stream.send_all(said)
        assert HASTE.handshake * 0.9 < await raw.drained() < HASTE.handshake + SLACK


async def test_who_makes_a_call_a_byte_at_a_time_is_cut_off_in_time():
    async with serving() as served, connected(served.port) as raw:
        began = trio.current_time()
        await raw.send_until_cut_off(PREFACE[:1], pause=0.05)
        assert trio.current_time() - began < HASTE.handshake + SLACK


async def test_a_message_that_announces_too_much_is_refused_before_it_is_kept():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH)
        await raw.data(number, HUGE)
        before = memory()
        status, said = await raw.status(number)
        assert status == 8  # RESOURCE_EXHAUSTED
        assert str(300 * MIB) in said
        assert await raw.closed() < SLACK
        assert memory() - before < 4 * MIB


async def test_who_goes_on_sending_what_was_refused_is_cut_off_with_memory_flat():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH)
        before = memory()
        await raw.data(number, HUGE)
        frame = b"\0\x40\0\0\0" + number.to_bytes(4, "big") + bytes(16384)
        assert await raw.send_until_cut_off(frame) < 100 * MIB
        assert memory() - before < 8 * MIB


async def test_a_message_just_below_the_limit_is_none_of_the_listeners_business():
    heard = []

    async def hear(channel):
        heard.append(await channel.receive())

    async with serving(hear, neighbour=False) as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH)
        part = v1.Part(data=b"x" * (MAX_MESSAGE - 100), last=False)
        await raw.data(number, message(bytes(v1.FromEngine(part=part))))
        await raw.data(number, message(b""), end=True)
        status, said = await raw.status(number)
        assert (status, said) == (3, "frames between the parts of a message")  # INVALID_ARGUMENT
        assert heard == []


async def test_questions_whose_answers_nobody_reads_are_cut_off():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        await raw.call(ATTACH)
        ping = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)
        before = memory()
        await raw.send_until_cut_off(ping * 1000)
        assert memory() - before < MAX_UNSENT + 8 * MIB


async def test_calls_that_are_taken_back_at_once_are_cut_off_and_keep_nobody_waiting():
    async def reset(raw):
        while True:
            for _ in range(100):
                number = raw.http.get_next_available_stream_id()
                raw.http.send_headers(number, [(":method", "POST"), (":path", ATTACH)])
                raw.http.reset_stream(number)
            await raw.flush()

    async def reset_until_cut_off(raw):
        with pytest.raises(trio.BrokenResourceError):
            await reset(raw)

    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        before = memory()
        async with (
            grpc() as other,
            other.attach(served.address) as channel,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(reset_until_cut_off, raw)
            for number in range(20):
                began = trio.current_time()
                await ask(channel, number)
                assert trio.current_time() - began < LIMIT / 2
        assert memory() - before < 16 * MIB


async def test_headers_that_never_end_are_cut_off():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        before = memory()
        await raw.stream.send_all(b"\0\0\1\1\0\0\0\0\1\x82")
        await raw.send_until_cut_off(b"\0\x40\0\x09\0\0\0\0\1" + b"\x82" * 16384)
        assert memory() - before < 8 * MIB


@pytest.mark.parametrize("calls", [False, True])
async def test_a_frame_that_announces_more_than_was_agreed_on_is_cut_off_at_once(calls):
    async with serving(patience=Patience()) as served, connected(served.port) as raw:
        await raw.begin()
        if calls:
            await raw.call(ATTACH)
        before = memory()
        await raw.stream.send_all(b"\xff\xff\xff\0\0\0\0\0\1")
        assert await raw.send_until_cut_off(bytes(16384)) < 15 * MIB
        assert memory() - before < 4 * MIB


async def test_connections_beyond_the_most_are_closed_at_once():
    async with (
        serving(max_connections=3, patience=Patience()) as served,
        connected(served.port) as one,
        connected(served.port) as two,
    ):
        for each in (one, two):
            await each.begin()
            await each.accepted(await each.call(ATTACH))
        async with connected(served.port) as three:
            assert await three.drained() < SLACK
        await two.stream.aclose()
        await trio.sleep(0.1)
        async with grpc() as other, other.attach(served.address) as channel:
            await ask(channel)


async def test_the_stranger_who_came_first_makes_room_for_who_comes():
    known = {"accepts": right, "token": "right", "patience": Patience()}
    async with (
        serving(max_connections=3, **known) as served,
        connected(served.port) as one,
        connected(served.port) as two,
    ):
        await one.begin()
        await two.begin()
        await two.status(await two.call(ATTACH))  # it is not let in
        async with grpc(token="right") as other, other.attach(served.address) as channel:
            await ask(channel)
            assert await one.drained() < LIMIT
            assert (await two.status(await two.call(ATTACH)))[0] == 16  # UNAUTHENTICATED


async def test_a_connection_on_which_nothing_is_called_any_more_is_closed():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        await raw.status(await raw.call("/dagrun.v1.OrchestratorService/ReportStatus"))
        assert HASTE.idle / 2 < await raw.closed() < HASTE.idle + SLACK
