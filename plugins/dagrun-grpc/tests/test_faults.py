# ruff: noqa: PT012, SIM117, ASYNC110 — what strangers do takes a loop; the rest reads better so
"""What strangers, networks and dead peers do harms their own connection only."""

import asyncio
import random
import resource
import struct
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from grpclib import GRPCError, Status

from dagrun.errors import ChannelLost, Unreachable
from dagrun.ports.frames import Beat, BeatSeen, LogChunk
from dagrun.testing.proxy import Proxy
from dagrun_grpc import grpc
from dagrun_grpc.aio.calls import CHECK, ENGINE_SERVICE, ORCHESTRATOR_SERVICE, WATCH
from dagrun_grpc.limits import MAX_MESSAGE, MAX_OF_STRANGERS, MAX_UNSENT, WINDOW, Patience
from dagrun_grpc.testing import (
    HASTE,
    LIMIT,
    answer,
    ask,
    connected,
    lost,
    message,
    of_engine,
    of_orchestrator,
    serving,
)
from dagrun_grpc.wire.dagrun import v1
from dagrun_grpc.wire.grpc.health import v1 as health

ATTACH = "/dagrun.v1.OrchestratorService/Attach"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MIB = 1024 * 1024


def memory():
    """Give the bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


HUGE = struct.pack(">?I", False, 300 * MIB)
"""What stands before a message of that size."""


def chunk(size):
    return LogChunk(
        run_id="r", node_id="a", attempt=1, item=None, epoch=1, offset=0, data=bytes(size)
    )


# strangers


@pytest.mark.parametrize("seed", range(5))
async def test_random_bytes_are_cut_off(seed):
    junk = random.Random(seed).randbytes(100_000)
    async with serving() as served, connected(served.port) as raw:
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(1000):
                await raw.stream.send_all(junk)
                await trio.sleep(0.001)


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
        assert HASTE.handshake * 0.9 < await raw.drained() < HASTE.handshake + 1


async def test_who_makes_a_call_a_byte_at_a_time_is_cut_off_in_time():
    async with serving() as served, connected(served.port) as raw:
        began = trio.current_time()
        with trio.fail_after(LIMIT), pytest.raises(trio.BrokenResourceError):
            while True:
                await raw.stream.send_all(PREFACE[:1])
                await trio.sleep(0.05)
        assert trio.current_time() - began < HASTE.handshake + 1


async def test_a_message_that_announces_too_much_is_refused_before_it_is_kept():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH)
        await raw.data(number, HUGE)
        before = memory()
        status, said = await raw.status(number)
        assert status == 8  # RESOURCE_EXHAUSTED
        assert str(300 * MIB) in said
        assert await raw.closed() < 2
        assert memory() - before < 4 * MIB


async def test_who_goes_on_sending_what_was_refused_is_cut_off_with_memory_flat():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        number = await raw.call(ATTACH)
        before = memory()
        await raw.data(number, HUGE)
        sent = 0
        with pytest.raises(trio.BrokenResourceError):
            while sent < 100 * MIB:
                # past all windows, which a decent client would respect
                frame = b"\0\x40\0\0\0" + number.to_bytes(4, "big") + bytes(16384)
                await raw.stream.send_all(frame)
                sent += 16384
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
        sent = 0
        with trio.fail_after(LIMIT), pytest.raises(trio.BrokenResourceError):
            while True:
                await raw.stream.send_all(ping * 1000)
                sent += 17 * 1000
        assert memory() - before < MAX_UNSENT + 8 * MIB


async def test_calls_that_are_taken_back_at_once_are_cut_off_and_keep_nobody_waiting():
    async def reset(raw):
        with pytest.raises(trio.BrokenResourceError):
            while True:
                for _ in range(100):
                    number = raw.http.get_next_available_stream_id()
                    raw.http.send_headers(number, [(":method", "POST"), (":path", ATTACH)])
                    raw.http.reset_stream(number)
                await raw.flush()

    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        before = memory()
        async with grpc() as other, other.attach(served.address) as channel:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reset, raw)
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
        with trio.fail_after(LIMIT), pytest.raises(trio.BrokenResourceError):
            while True:
                await raw.stream.send_all(b"\0\x40\0\x09\0\0\0\0\1" + b"\x82" * 16384)
        assert memory() - before < 8 * MIB


@pytest.mark.parametrize("calls", [False, True])
async def test_a_frame_that_announces_more_than_was_agreed_on_is_cut_off_at_once(calls):
    async with serving(patience=Patience()) as served, connected(served.port) as raw:
        await raw.begin()
        if calls:
            await raw.call(ATTACH)
        before = memory()
        sent = 0
        await raw.stream.send_all(b"\xff\xff\xff\0\0\0\0\0\1")
        with trio.fail_after(LIMIT), pytest.raises(trio.BrokenResourceError):
            while sent < 15 * MIB:
                await raw.stream.send_all(bytes(16384))
                sent += 16384
        assert memory() - before < 4 * MIB


async def test_connections_beyond_the_most_are_closed_at_once():
    async with serving(max_connections=3, patience=Patience()) as served:
        async with connected(served.port) as one, connected(served.port) as two:
            await one.begin()
            await two.begin()
            async with connected(served.port) as three:
                assert await three.drained() < 1
            await two.stream.aclose()
            await trio.sleep(0.1)
            async with grpc() as other, other.attach(served.address) as channel:
                await ask(channel)


async def test_a_connection_on_which_nothing_is_called_any_more_is_closed():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        await raw.status(await raw.call("/dagrun.v1.OrchestratorService/ReportStatus"))
        assert HASTE.idle / 2 < await raw.closed() < HASTE.idle + 2


# calls


def calls():
    return [(call, "engine") for call in ENGINE_SERVICE] + [
        (call, "orchestrator") for call in ORCHESTRATOR_SERVICE
    ]


@asynccontextmanager
async def listening(role, **options):
    async with grpc(port=0, **options) as transport, trio.open_nursery() as nursery:
        accepts = options.get("accepts")
        serve = (
            partial(transport.serve_engine, answer, offered=of_engine())
            if role == "engine"
            else partial(transport.serve_orchestrator, answer, offered=of_orchestrator(accepts))
        )
        address = await nursery.start(serve)
        yield int(address.rpartition(":")[2])
        nursery.cancel_scope.cancel()


def right(token, role):
    return (token, role) == ("right", "engine")


@pytest.mark.parametrize(("call", "role"), calls(), ids=lambda value: getattr(value, "path", value))
@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "right"},
        {"authorization": "Basic right"},
    ],
)
async def test_no_call_is_let_in_without_the_right_token(call, role, shown):
    async with listening(role, accepts=right) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(call.path, **shown)
        assert (await raw.status(number))[0] == 16  # UNAUTHENTICATED


@pytest.mark.parametrize(("call", "role"), calls(), ids=lambda value: getattr(value, "path", value))
async def test_every_call_is_served(call, role):
    async with listening(role, accepts=right) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(call.path, authorization="Bearer right")
        await raw.data(number, message(b""), end=True)
        await raw.accepted(number)
        assert raw.told(number) is None or raw.told(number)[0] in (0, 3)  # OK, INVALID_ARGUMENT


async def test_a_call_that_is_unknown_says_so():
    async with serving() as served, connected(served.port) as raw:
        await raw.begin()
        assert (await raw.status(await raw.call("/dagrun.v1.EngineService/Nothing")))[0] == 12
        assert (await raw.status(await raw.call("nonsense")))[0] == 12


@pytest.mark.parametrize("token", [None, "wrong", "rightly"])
async def test_who_dials_without_the_right_token_is_told_so(token):
    async with serving(accepts=right, token="right") as served, grpc(token=token) as other:
        with pytest.raises(ChannelLost, match="UNAUTHENTICATED: this call needs a token"):
            async with other.attach(served.address):
                pass
        assert served.channels == []


async def test_the_standard_health_check_needs_no_token():
    async with listening("engine", accepts=right) as port, connected(port) as raw:
        await raw.begin()
        for service, status in (("", 0), ("dagrun.v1.EngineService", 0), ("other", 5)):
            number = await raw.call(CHECK.path)
            asked = bytes(health.HealthCheckRequest(service=service))
            await raw.data(number, message(asked), end=True)
            assert (await raw.status(number))[0] == status


async def test_who_only_watches_the_health_is_cut_off_as_who_makes_no_call():
    async with listening("engine", accepts=right, patience=HASTE) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(WATCH.path)
        await raw.data(number, message(b""), end=True)
        assert await raw.closed() < HASTE.handshake + 1


@pytest.mark.parametrize("path", [CHECK.path, WATCH.path])
async def test_strangers_ask_for_the_health_in_few_bytes(path):
    async with listening("engine", accepts=right) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(path)
        await raw.data(number, struct.pack(">?I", False, MAX_OF_STRANGERS + 1))
        status, said = await raw.status(number)
        assert status == 8  # RESOURCE_EXHAUSTED
        assert str(MAX_OF_STRANGERS) in said


async def test_who_was_let_in_and_only_watches_the_health_keeps_no_connection():
    async with listening("engine", accepts=right, patience=HASTE) as port, connected(port) as raw:
        await raw.begin()
        number = await raw.call(WATCH.path, authorization="Bearer right")
        await raw.data(number, message(b""), end=True)
        assert HASTE.idle / 2 < await raw.closed() < HASTE.idle + 2


# what is no frame


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

    async with serving(hold, neighbour=False) as served, grpc() as other:
        async with other.attach(served.address) as channel:
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

    async with serving(refuse, neighbour=False) as served, grpc() as other:
        async with other.attach(served.address) as channel:
            served_end = None
            while served_end is None:
                await trio.sleep(0.01)
                served_end = served.channels[0] if served.channels else None
            served_end.refusal = GRPCError(Status.INVALID_ARGUMENT, "weil % schön 😀")
            served_end.left.set()
            assert "INVALID_ARGUMENT: weil % schön 😀" in await lost(channel)


# networks


@asynccontextmanager
async def proxied(handler=answer, **options):
    """Dial through a proxy; give the stream, the proxy, and the listener."""
    async with serving(handler) as served, trio.open_nursery() as nursery:
        proxy = await nursery.start(Proxy(served.port).run)
        async with grpc(patience=HASTE, **options) as other:
            async with other.attach(proxy.address) as channel:
                yield channel, proxy, served
        nursery.cancel_scope.cancel()


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
            for _ in range(10):
                await channel.send([chunk(MIB // 2)])
        await lost(channel)
        with trio.fail_after(LIMIT):
            while len(said) < 2:
                await trio.sleep(0.01)


async def test_a_peer_that_does_not_answer_any_more_is_given_up_by_both_sides():
    async with proxied() as (channel, proxy, served):
        await ask(channel)
        proxy.stall()
        began = trio.current_time()
        assert "no answer within" in await lost(channel)
        with trio.fail_after(LIMIT):
            while served.channels[0].stream.lost is None:
                await trio.sleep(0.01)
        assert trio.current_time() - began < HASTE.keepalive + HASTE.answer + 1
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
            while True:
                await channel.send([chunk(MIB // 2)])


async def test_a_process_that_was_held_up_gives_nobody_up_for_it():
    async with proxied() as (channel, proxy, served):
        proxy.latency = HASTE.answer / 4
        for _ in range(3):
            with trio.fail_after(LIMIT):
                while all(each._watch._asked is None for each in served.transport._bridge.opened):
                    await trio.sleep(0.01)
            time.sleep(2 * HASTE.answer)  # noqa: ASYNC251 — while somebody is being asked
            await ask(channel)


async def test_a_quiet_stream_stays():
    async with serving() as served, grpc(patience=HASTE) as other:
        async with other.attach(served.address) as channel:
            await ask(channel)
            await trio.sleep(2 * (HASTE.idle + HASTE.keepalive + HASTE.answer))
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
    async with serving(slow, neighbour=False) as served, grpc(patience=HASTE) as other:
        async with other.attach(served.address) as channel:
            await ask(channel)
            with trio.fail_after(LIMIT):
                for _ in range(count):
                    await channel.send([chunk(MIB // 2)])
                await ask(channel)


@pytest.mark.parametrize(("piece", "latency"), [(1, 0.0), (1000, 0.02), (65536, 0.2)])
async def test_a_slow_network_changes_nothing(piece, latency):
    async with proxied() as (channel, proxy, _):
        proxy.piece, proxy.latency = piece, latency
        for number in range(5):
            beats = [Beat(number=number * 10 + n, held=(("r", n),)) for n in range(10)]
            await channel.send(beats)
            with trio.fail_after(LIMIT):
                assert await channel.receive() == tuple(
                    BeatSeen(number=beat.number) for beat in beats
                )


# whom one dials


@asynccontextmanager
async def stranger(handler):
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handler, 0)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


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

    async with stranger(speak) as address, grpc(connection_timeout=2) as transport:
        async with transport.manage(address) as server:
            with trio.fail_after(3), pytest.raises(Unreachable, match="it serves no gRPC, or only"):
                await server.workflows.list()


async def test_a_stranger_who_says_nothing_is_given_up_in_time_by_clients_too():
    async def hear(_stream):
        await trio.sleep_forever()

    async with stranger(hear) as address, grpc(connection_timeout=0.3) as transport:
        async with transport.manage(address) as server:
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


# what is left behind


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
        with trio.fail_after(LIMIT):
            while len(asyncio.all_tasks(served.transport._bridge.loop)) > neighbours:
                await trio.sleep(0.01)


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
        with trio.fail_after(LIMIT):
            while len(said) < 2:
                await trio.sleep(0.01)
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
