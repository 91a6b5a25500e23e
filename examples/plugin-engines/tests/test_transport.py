import struct
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio

from dagrun.errors import ChannelLost, ConfigError, StoreBusy
from dagrun.ports.frames import Beat
from dagrun.services.gate import token_hash
from dagrun.testing.transports import TransportSuite
from dagrun_engines.channel import MOST, messages
from dagrun_engines.transport import JsonTransport


class TestJsonTransport(TransportSuite):
    nobody = "127.0.0.1:1"

    @asynccontextmanager
    async def open_pair(self):
        async with JsonTransport() as dials, JsonTransport(port=0) as listens:
            yield dials, listens


@asynccontextmanager
async def listening(**options):
    """Listen as an orchestrator that says nothing; give where."""

    async def hold(channel):
        await channel.receive()

    async with JsonTransport(port=0, **options) as transport, trio.open_nursery() as nursery:
        yield await nursery.start(transport.serve_orchestrator, hold)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("token", [None, "b"])
async def test_who_shows_a_wrong_token_is_told_and_not_let_in(token):
    async with (
        listening(accepts=lambda shown, role: (shown, role) == ("a", "engine")) as address,
        JsonTransport(token="a") as knows,
        JsonTransport(token=token) as knows_not,
    ):
        async with knows.attach(address):
            pass
        with pytest.raises(ChannelLost, match="a token is needed"):
            async with knows_not.attach(address):
                pass


async def test_who_looks_for_an_engine_is_told_that_here_is_none():
    async with listening() as address, JsonTransport() as dials:
        with pytest.raises(ChannelLost, match="here is an orchestrator"):
            async with dials.dial(address):
                pass


async def test_a_connection_beyond_the_limit_is_closed():
    async with (
        listening(max_connections=1) as address,
        JsonTransport() as dials,
        dials.attach(address),
    ):
        with pytest.raises(ChannelLost):
            async with dials.attach(address):
                pass


def knows(shown, role):
    """Decide as an orchestrator does, whose tokens are in a store that may be held."""
    if shown == "busy":
        raise StoreBusy("it is held")
    return shown is not None and token_hash(shown) == token_hash("a")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 4) + b"[[[[",
        struct.pack(">I", 12) + b'{"token": 1}',
        struct.pack(">I", 44) + rb'{"wants": "orchestrator", "token": "\ud800"}',
        struct.pack(">I", 42) + b'{"wants": "orchestrator", "token": "busy"}',
    ],
)
async def test_a_stranger_is_cut_off_and_others_are_let_in(sent):
    async with (
        listening(accepts=knows, connection_timeout=0.2) as address,
        JsonTransport(token="a") as dials,
    ):
        host, _, port = address.rpartition(":")
        with trio.fail_after(5):
            stranger = await trio.open_tcp_stream(host, int(port))
            await stranger.send_all(sent)
            with suppress(trio.BrokenResourceError):
                while await stranger.receive_some():
                    pass
            await stranger.aclose()
        async with dials.attach(address):
            pass


async def be_silent(stream):
    async with stream:
        await trio.sleep_forever()


async def test_a_listener_that_never_answers_is_given_up():
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, be_silent, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        async with JsonTransport(connection_timeout=0.1) as dials:
            with pytest.raises(ChannelLost, match="no answer"):
                async with dials.attach(f"127.0.0.1:{port}"):
                    pass
        nursery.cancel_scope.cancel()


async def test_what_is_no_frame_ends_the_stream():
    async with listening() as address, JsonTransport() as dials, dials.attach(address) as channel:
        await channel.write(b"[1]")
        with trio.fail_after(5), pytest.raises(ChannelLost):
            await channel.receive()


def test_frames_that_are_too_many_for_a_message_travel_in_several():
    beats = [Beat(number=number, held=()) for number in range(8)]
    assert len(list(messages(beats, MOST))) == 1
    assert len(list(messages(beats, 150))) == 4
    with pytest.raises(ValueError, match="a Beat of"):
        list(messages(beats, 20))


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ConfigError, match="no TLS"):
        JsonTransport(tls_ca="ca.pem")
    with pytest.raises(ConfigError, match="no clients"):
        JsonTransport().manage("127.0.0.1:1")


@pytest.mark.parametrize("address", ["", "localhost", ":1", "localhost:0", "localhost:70000"])
async def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="host:port is needed"):
        async with JsonTransport().attach(address):
            pass


async def test_a_port_that_is_taken_is_told():
    async with listening() as address:
        taken = JsonTransport(port=int(address.rpartition(":")[2]))
        with pytest.raises(ConfigError, match="cannot be listened on"):
            await taken.serve_engine(be_silent)
