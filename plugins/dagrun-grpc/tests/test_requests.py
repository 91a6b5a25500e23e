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
