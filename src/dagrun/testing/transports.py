# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every transport must do, as tests to inherit."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Literal, get_args

import attrs
import pytest
import trio

from dagrun.domain.events import Event
from dagrun.domain.jsonvalue import Raw, encode
from dagrun.errors import ChannelLost
from dagrun.ports.frames import (
    Beat,
    BeatSeen,
    Frame,
    FromEngine,
    FromOrchestrator,
    LogChunk,
    Report,
)
from dagrun.ports.transport import Channel, Handler, Transport
from dagrun.testing.frames import RUN, bad_event, from_engine, from_orchestrator

LIMIT = 30.0  # seconds that no test of the suite comes near
MOST_UNREAD = 32 * 1024 * 1024
"""Bytes that nobody reads and that a transport takes nevertheless, at most."""

Way = Literal["attach", "dial"]
BEAT = Beat(number=0, held=())
SEEN = BeatSeen(number=0)


_DEEP = Raw(b"[" * 100_000 + b"]" * 100_000)
BAD_EVENTS = (
    *(bad_event(seq=seq) for seq in (10**30, 0, -(10**30))),
    bad_event(epoch=0),
    bad_event(item=-7),
    bad_event(attempt=10**30),
    bad_event(data={"outputs": _DEEP}),
    bad_event(data={"other": _DEEP}),
)
"""What no engine reports, as far as it is one of dagrun's."""


@attrs.frozen
class Ends:
    """A stream: who opened it, and who was called."""

    caller: Channel
    called: Channel


class TransportSuite(ABC):
    """Inherit it in a test module, and say how to make transports; pytest-trio runs the rest."""

    nobody: str
    """An address where nobody listens."""

    @abstractmethod
    def open_pair(self) -> AbstractAsyncContextManager[tuple[Transport, Transport]]:
        """Make two transports: one that dials, and one that listens."""

    @asynccontextmanager
    async def opened(self, way: Way = "attach") -> AsyncIterator[Ends]:
        """Open a stream, and hold both of its ends."""
        async with self.serving(way) as served, served.connect() as caller:
            yield Ends(caller, await served.arrived())
            served.finished.set()

    @asynccontextmanager
    async def serving(self, way: Way = "attach") -> AsyncIterator["Served"]:
        """Listen, with a handler that hands over its end."""
        send, receive = trio.open_memory_channel[Channel](10)
        finished = trio.Event()

        async def hold(channel: Channel) -> None:
            await send.send(channel)
            await finished.wait()

        with trio.fail_after(LIMIT):
            async with self.open_pair() as (dials, listens), trio.open_nursery() as nursery:
                address = await nursery.start(_serve(listens, way), hold)
                yield Served(partial(getattr(dials, way), address), receive.receive, finished)
                finished.set()
                nursery.cancel_scope.cancel()

    @pytest.mark.parametrize("way", get_args(Way))
    async def test_every_frame_arrives_as_it_was_sent(self, way: Way) -> None:
        async with self.opened(way) as ends:
            engine, orchestrator = _by_role(ends, way)
            for frame in from_engine():
                await engine.send([frame])
                assert _exact(await orchestrator.receive()) == _exact([frame])
            for answer in from_orchestrator():
                await orchestrator.send([answer])
                assert _exact(await engine.receive()) == _exact([answer])

    async def test_every_kind_of_frame_is_tried(self) -> None:
        assert {type(frame) for frame in from_engine()} == set(get_args(FromEngine))
        assert {type(frame) for frame in from_orchestrator()} == set(get_args(FromOrchestrator))

    async def test_what_is_sent_together_arrives_together(self) -> None:
        async with self.opened() as ends:
            await ends.caller.send(from_engine())
            assert list(await ends.called.receive()) == list(from_engine())
            await ends.called.send(from_orchestrator())
            assert list(await ends.caller.receive()) == list(from_orchestrator())

    async def test_large_frames_arrive_both_ways_at_once(self) -> None:
        large = encode({"text": "ü" * 2_600_000}, limit=10_000_000)

        async with self.opened() as ends, trio.open_nursery() as nursery:
            nursery.start_soon(ends.caller.send, from_engine(large))
            nursery.start_soon(ends.called.send, from_orchestrator(large))
            assert list(await ends.called.receive()) == list(from_engine(large))
            assert list(await ends.caller.receive()) == list(from_orchestrator(large))

    async def test_frames_arrive_in_their_order_both_ways_at_once(self) -> None:
        count = 500

        async def send(channel: Channel, frames: Sequence[Frame]) -> None:
            for frame in frames:
                await channel.send([frame])

        async with self.opened() as ends, trio.open_nursery() as nursery:
            beats = [Beat(number=number, held=()) for number in range(count)]
            seen = [BeatSeen(number=number) for number in range(count)]
            nursery.start_soon(send, ends.caller, beats)
            nursery.start_soon(send, ends.called, seen)
            assert await _received(ends.called, count) == beats
            assert await _received(ends.caller, count) == seen

    async def test_who_does_not_read_stops_who_sends(self) -> None:
        chunk = LogChunk(
            run_id=RUN, epoch=1, node_id="a", attempt=1, item=None, offset=0, data=bytes(512 * 1024)
        )
        most = MOST_UNREAD // len(chunk.data)
        sent = 0
        async with self.opened() as ends:
            with trio.move_on_after(1) as scope:
                for _ in range(most):
                    await ends.caller.send([chunk])
                    sent += 1
            assert scope.cancelled_caught
            assert 0 < sent < most

    async def test_a_sender_goes_on_when_the_other_side_reads(self) -> None:
        chunk = LogChunk(
            run_id=RUN, epoch=1, node_id="a", attempt=1, item=None, offset=0, data=bytes(512 * 1024)
        )
        count = 2 * MOST_UNREAD // len(chunk.data)

        async def send(channel: Channel) -> None:
            for _ in range(count):
                await channel.send([chunk])

        async with self.opened() as ends, trio.open_nursery() as nursery:
            nursery.start_soon(send, ends.caller)
            await trio.sleep(0.2)
            assert len(await _received(ends.called, count)) == count

    @pytest.mark.parametrize("bad", BAD_EVENTS)
    async def test_events_that_cannot_be_harm_their_own_stream_only(self, bad: Event) -> None:
        async with self.serving() as served:
            async with served.connect() as caller:
                called = await served.arrived()
                await caller.send([Report(events=(bad,))])
                with suppress(ChannelLost):  # memory carries whatever there is
                    assert await called.receive() == (Report(events=(bad,)),)
            async with served.connect() as caller:
                called = await served.arrived()
                await caller.send([BEAT])
                assert await called.receive() == (BEAT,)

    @pytest.mark.parametrize("way", get_args(Way))
    async def test_the_called_side_learns_that_the_caller_has_left(self, way: Way) -> None:
        async with self.serving(way) as served:
            async with served.connect():
                called = await served.arrived()
            await _is_lost(called, SEEN if way == "attach" else BEAT)

    @pytest.mark.parametrize("way", get_args(Way))
    async def test_the_caller_learns_that_the_handler_has_returned(self, way: Way) -> None:
        async def hold(channel: Channel) -> None:
            await trio.lowlevel.checkpoint()

        async with self.open_pair() as (dials, listens), trio.open_nursery() as nursery:
            address = await nursery.start(_serve(listens, way), hold)
            async with getattr(dials, way)(address) as caller:
                await _is_lost(caller, BEAT if way == "attach" else SEEN)
            nursery.cancel_scope.cancel()

    async def test_the_last_words_of_a_handler_arrive(self) -> None:
        async def hold(channel: Channel) -> None:
            await channel.receive()
            await channel.send([BeatSeen(number=1)])
            await channel.send([BeatSeen(number=2)])

        async with self.open_pair() as (dials, listens), trio.open_nursery() as nursery:
            address = await nursery.start(listens.serve_orchestrator, hold)
            async with dials.attach(address) as caller:
                await caller.send([Beat(number=1, held=())])
                assert await _received(caller, 2) == [BeatSeen(number=1), BeatSeen(number=2)]
                await _is_lost(caller, BEAT)
            nursery.cancel_scope.cancel()

    async def test_the_last_words_of_the_caller_arrive(self) -> None:
        heard: list[Frame] = []
        over = trio.Event()

        async def hold(channel: Channel) -> None:
            try:
                while True:
                    await trio.sleep(0.02)
                    heard.extend(await channel.receive())
            finally:
                over.set()

        beats = [Beat(number=number, held=()) for number in range(10)]
        async with self.open_pair() as (dials, listens), trio.open_nursery() as nursery:
            address = await nursery.start(listens.serve_orchestrator, hold)
            async with dials.attach(address) as caller:
                for beat in beats:
                    await caller.send([beat])
            with trio.fail_after(LIMIT):
                await over.wait()
            nursery.cancel_scope.cancel()
        assert heard == beats

    async def test_both_sides_end_when_the_listener_stops(self) -> None:
        async with self.open_pair() as (dials, listens), trio.open_nursery() as nursery:
            server = await nursery.start(_cancellable, listens.serve_orchestrator, _forever)
            async with dials.attach(server.address) as caller:
                server.scope.cancel()
                await _is_lost(caller, BEAT)
            with pytest.raises(ChannelLost):
                async with dials.attach(server.address):
                    pass

    async def test_a_cancelled_receive_ends_the_stream(self) -> None:
        async with self.opened() as ends:
            with trio.move_on_after(0.05) as scope:
                await ends.caller.receive()
            assert scope.cancelled_caught
            await _is_lost(ends.caller, BEAT)
            await _is_lost(ends.called, SEEN)

    async def test_a_cancelled_send_ends_the_stream(self) -> None:
        chunk = LogChunk(
            run_id=RUN, epoch=1, node_id="a", attempt=1, item=None, offset=0, data=bytes(3_000_000)
        )
        async with self.opened() as ends:
            with trio.move_on_after(0.2) as scope:
                while True:
                    await ends.caller.send([chunk])
            assert scope.cancelled_caught
            await _is_lost(ends.caller, BEAT)
            await _is_lost(ends.called, SEEN)

    async def test_a_handler_that_fails_stops_the_listener(self) -> None:
        async def hold(channel: Channel) -> None:
            await trio.lowlevel.checkpoint()
            raise LookupError("a mistake")

        with trio.fail_after(LIMIT), pytest.RaisesGroup(LookupError, flatten_subgroups=True):
            async with self.open_pair() as (dials, listens), trio.open_nursery() as nursery:
                address = await nursery.start(listens.serve_orchestrator, hold)
                async with dials.attach(address) as caller:
                    await _is_lost(caller, BEAT)
                await trio.sleep(LIMIT)

    async def test_what_the_block_raises_comes_out_as_it_is(self) -> None:
        with pytest.raises(LookupError, match="mine"):
            async with self.open_pair():
                raise LookupError("mine")

    async def test_two_streams_do_not_disturb_each_other(self) -> None:
        async with self.serving() as served, served.connect() as first:
            first_called = await served.arrived()
            async with served.connect() as second:
                second_called = await served.arrived()
                await second.send([Beat(number=2, held=())])
                await first.send([Beat(number=1, held=())])
                assert await first_called.receive() == (Beat(number=1, held=()),)
                assert await second_called.receive() == (Beat(number=2, held=()),)
            await _is_lost(second_called, SEEN)
            await first_called.send([BeatSeen(number=1)])
            assert await first.receive() == (BeatSeen(number=1),)

    async def test_who_dials_nobody_is_told_so(self) -> None:
        async with self.open_pair() as (dials, _):
            for way in get_args(Way):
                with trio.fail_after(LIMIT), pytest.raises(ChannelLost, match=self.nobody):
                    async with getattr(dials, way)(self.nobody):
                        pass

    async def test_a_stream_says_who_is_at_the_other_end(self) -> None:
        async with self.opened() as ends:
            assert ends.caller.peer
            assert ends.called.peer


@attrs.frozen
class Served:
    """A listener whose handlers wait."""

    connect: Callable[[], AbstractAsyncContextManager[Channel]]
    """Opens a stream."""

    arrived: Callable[[], Awaitable[Channel]]
    """Waits for the called end of the next one."""

    finished: trio.Event
    """Lets the handlers go."""


@attrs.frozen
class _Server:
    address: str
    scope: trio.CancelScope


async def _cancellable(
    serve: Callable[..., Any], handler: Handler, *, task_status: trio.TaskStatus[_Server]
) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(serve, handler)
            task_status.started(_Server(address, scope))


async def _forever(channel: Channel) -> None:
    await trio.sleep_forever()


def _serve(transport: Transport, way: Way) -> Callable[..., Any]:
    return transport.serve_orchestrator if way == "attach" else transport.serve_engine


def _by_role(ends: Ends, way: Way) -> tuple[Channel, Channel]:
    """Give the engine's end, and the orchestrator's."""
    return (ends.caller, ends.called) if way == "attach" else (ends.called, ends.caller)


def _exact(frames: Sequence[Frame]) -> list[tuple[Frame, str]]:
    """Give frames with their text, which tells 1 from 1.0 and from True."""
    return [(frame, repr(attrs.asdict(frame, value_serializer=_spelt))) for frame in frames]


def _spelt(owner: Any, field: Any, value: Any) -> Any:
    return bytes(value) if isinstance(value, Raw) else value


async def _received(channel: Channel, count: int) -> list[Frame]:
    """Receive frames until there are that many."""
    frames: list[Frame] = []
    with trio.fail_after(LIMIT):
        while len(frames) < count:
            frames.extend(await channel.receive())
    return frames


async def _is_lost(channel: Channel, says: Frame) -> None:
    """Check that a stream has ended, or does so soon, for both directions and for good.

    Args:
        channel: one end of it.
        says: something that this end may send.
    """
    with trio.fail_after(LIMIT):
        with pytest.raises(ChannelLost):
            await _drained(channel)
        for _ in range(2):
            with pytest.raises(ChannelLost):
                await channel.send([says])
            with pytest.raises(ChannelLost):
                await channel.receive()


async def _drained(channel: Channel) -> None:
    while True:
        await channel.receive()
