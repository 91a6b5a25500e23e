"""What is no frame ends its stream, and says why."""

import trio
from grpclib import GRPCError, Status

from dagrun_grpc import grpc
from dagrun_grpc.testing import connected, lost, message, serving
from dagrun_grpc.wire.dagrun import v1

ATTACH = "/dagrun.v1.OrchestratorService/Attach"


async def test_who_sends_what_is_no_frame_is_told_so():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH)
        await raw.data(number, message(b"\x0a\x02\x0a\xff"))
        status, said = await raw.status(number)
        assert status == 3  # INVALID_ARGUMENT
        assert "cannot read" in said


async def test_a_frame_of_another_version_ends_the_stream_on_both_sides():
    said = []

    async def hold(channel):
        said.append(await lost(channel))

    async with (
        serving(hold, neighbour=False) as served,
        grpc() as other,
        other.attach(served.address) as channel,
    ):
        unknown = bytes(v1.FromEngine(frames=[v1.EngineFrame()]))
        await channel.stream.send(unknown)
        assert "another version" in await lost(channel)
    assert "another version" in said[0]


async def test_what_strangers_say_is_no_news(caplog):
    caplog.set_level("INFO")
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        number = raw.http.get_next_available_stream_id()
        raw.http.send_headers(number, [(":path", ATTACH)])
        await raw.flush()
        number = await raw.call(ATTACH)
        await raw.data(number, b"\1\0\0\0\1x")  # compressed, as nobody asked for
        assert (await raw.status(number))[0] == 12  # UNIMPLEMENTED
    assert caplog.records == []


async def test_the_reason_of_a_refusal_arrives_in_all_its_letters():
    async def refuse(channel):
        await channel.receive()

    async with (
        serving(refuse, neighbour=False) as served,
        grpc() as other,
        other.attach(served.address) as channel,
    ):
        served_end = None
        while served_end is None:
            await trio.sleep(0.01)
            served_end = served.channels[0] if served.channels else None
        served_end.refusal = GRPCError(Status.INVALID_ARGUMENT, "weil % schön 😀")
        served_end.left.set()
        assert "INVALID_ARGUMENT: weil % schön 😀" in await lost(channel)
