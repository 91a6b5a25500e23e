"""Requests that are none, or too many things at once: refused with the reason, and nobody waits."""

import struct

import pytest
import trio

from dagrun_grpc.aio.calls import ATTACH, CHECK, REPORT_STATUS, STREAM_STATUS
from dagrun_grpc.limits import MAX_FIELDS, MAX_FIELDS_OF_FRAMES, MAX_MESSAGE
from dagrun_grpc.testing import LIMIT, connected, message, serving

EMPTY = b"\x0a\x00"  # an empty message, or list of them


async def refusal(call, data):
    with trio.fail_after(LIMIT):
        async with serving() as served, connected(served.port) as raw:
            await raw.begin()
            number = await raw.call(call.path)
            await raw.data(number, data, end=True)
            return await raw.status(number)


@pytest.mark.parametrize("call", [REPORT_STATUS, STREAM_STATUS])
async def test_a_request_with_very_many_fields_is_refused_before_it_is_read(call):
    status, said = await refusal(call, message(EMPTY * (MAX_MESSAGE // len(EMPTY))))
    assert (status, f"at most {MAX_FIELDS} are possible" in said) == (8, True)  # RESOURCE_EXHAUSTED


async def test_very_many_empty_frames_are_refused_before_they_are_read():
    status, said = await refusal(ATTACH, message(EMPTY * (MAX_MESSAGE // len(EMPTY))))
    assert status == 3  # INVALID_ARGUMENT
    assert f"at most {MAX_FIELDS_OF_FRAMES} are possible" in said


@pytest.mark.parametrize("call", [CHECK, REPORT_STATUS, STREAM_STATUS, ATTACH])
async def test_a_compressed_request_is_said_to_be_one(call):
    status, said = await refusal(call, struct.pack(">?I", True, 4) + b"gzip")
    assert (status, said) == (12, "a compressed message, which nobody asked for")  # UNIMPLEMENTED


@pytest.mark.parametrize("call", [CHECK, REPORT_STATUS, STREAM_STATUS])
@pytest.mark.parametrize("cut", [b"\0\0", struct.pack(">?I", False, 4) + b"ab"])
async def test_a_request_that_ends_in_the_middle_is_a_mistake_of_who_sent_it(call, cut):
    status, said = await refusal(call, cut)
    assert (status, said) == (3, "the stream ended in the middle of a message")  # INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({":path": None}, 3, "the call has no :path"),  # INVALID_ARGUMENT
        ({":method": None}, 3, "the call has no :method"),
        ({"key-bin": "a"}, 3, "key-bin is no base64"),
        ({"grpc-timeout": "0n"}, 4, "the call came with no time left"),  # DEADLINE_EXCEEDED
        ({"grpc-timeout": "000S"}, 4, "the call came with no time left"),
        *(
            ({"grpc-timeout": value}, 3, f"grpc-timeout: {value[:60]!r} is none")
            for value in ("-1S", "1", "S", "1s", "100000000H", "9" * 400 + "H")
        ),
    ],
)
async def test_a_call_that_cannot_begin_ends_with_the_reason(headers, status, words, caplog):
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        assert await raw.status(await raw.call(REPORT_STATUS.path, **headers)) == (status, words)
    assert caplog.records == []


@pytest.mark.parametrize(
    "headers",
    [
        {"grpc-timeout": "99999999H"},
        {"grpc-timeout": "0000000000005S"},
        {"key-bin": "YWI"},
        {"grpc-trace-bin": "a"},
        {"grpc-encoding": "gzip"},
    ],
)
async def test_a_call_with_unusual_headers_is_answered(headers):
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(REPORT_STATUS.path, **headers)
        await raw.data(number, message(b""), end=True)
        assert await raw.status(number) == (3, "status: it is missing")


@pytest.mark.parametrize("second", ["Bearer right", "Bearer wrong"])
async def test_a_token_that_is_shown_twice_is_none(second):
    def right(token, _role):
        return token == "right"

    async with serving(accepts=right, token="right") as served, connected(served.port) as raw:
        await raw.begin()
        number = raw.http.get_next_available_stream_id()
        shown = [("authorization", "Bearer right"), ("authorization", second)]
        path = (":path", REPORT_STATUS.path)
        kind = ("content-type", "application/grpc")
        raw.http.send_headers(number, [(":method", "POST"), path, ("te", "trailers"), kind, *shown])
        await raw.flush()
        assert (await raw.status(number))[0] == 16  # UNAUTHENTICATED
