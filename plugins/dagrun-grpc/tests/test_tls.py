"""TLS: who may talk to whom, and what the operator is told."""

import re
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trio
import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from dagrun.errors import ChannelLost, ConfigError, RemoteError, Unreachable
from dagrun_grpc import grpc
from dagrun_grpc.limits import Patience
from dagrun_grpc.testing import HASTE, LIMIT, SLACK, answer, ask, connected, message, serving
from dagrun_grpc.wire.dagrun import v1

PAST = datetime.now(tz=UTC) - timedelta(minutes=1)


class Authority:
    """Somebody who signs certificates, and the files of those."""

    def __init__(self, folder):
        self._folder = folder
        folder.mkdir()
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)

    def issue(self, name="127.0.0.1", **fields):
        path = self._folder / f"{name}{''.join(fields)}.pem"
        issued = self._authority.issue_cert(name, **fields)
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return {"tls_cert": path, "tls_key": path}


@pytest.fixture
def ours(tmp_path):
    return Authority(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path):
    return Authority(tmp_path / "theirs")


def engine_only(token, role):
    return token == "right" and role == "engine"


@asynccontextmanager
async def refused(address, **options):
    async with grpc(**options) as other:
        with trio.fail_after(LIMIT), pytest.raises(ChannelLost, match=address) as caught:
            async with other.attach(address):
                pass
    yield caught


async def test_a_client_certificate_stands_for_the_token_of_an_engine(ours):
    mutual = {**ours.issue(), "tls_ca": ours.ca}
    async with (
        serving(neighbour=False, accepts=engine_only, **mutual) as served,
        grpc(**mutual) as other,
        other.attach(served.address) as channel,
    ):
        await ask(channel)


async def test_who_has_no_certificate_is_refused(ours):
    async with serving(neighbour=False, **ours.issue(), tls_ca=ours.ca) as served:
        async with refused(served.address, tls_ca=ours.ca) as caught:
            pass
        assert served.channels == []
    assert "asks for a certificate: then show one with --tls-cert and --tls-key" in str(
        caught.value
    )


async def test_who_has_a_certificate_of_somebody_else_is_refused(ours, theirs):
    async with serving(neighbour=False, **ours.issue(), tls_ca=ours.ca) as served:
        async with refused(served.address, **theirs.issue(), tls_ca=ours.ca) as caught:
            pass
        assert served.channels == []
    assert "does not accept the certificate of --tls-cert" in str(caught.value)


async def test_a_listener_with_a_certificate_of_somebody_else_is_refused(ours, theirs):
    async with serving(neighbour=False, **ours.issue()) as served:
        async with refused(served.address, tls_ca=theirs.ca) as caught:
            pass
        assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)


async def test_a_listener_whose_certificate_has_expired_is_refused(ours):
    async with serving(neighbour=False, **ours.issue(not_after=PAST)) as served:
        async with refused(served.address, tls_ca=ours.ca) as caught:
            pass
        assert "certificate has expired" in str(caught.value)


async def test_who_has_a_certificate_that_has_expired_is_refused(ours):
    async with serving(neighbour=False, **ours.issue(), tls_ca=ours.ca) as served:
        async with refused(served.address, **ours.issue(not_after=PAST), tls_ca=ours.ca):
            pass
        assert served.channels == []


async def test_a_listener_with_the_certificate_of_another_host_is_refused(ours):
    async with serving(neighbour=False, **ours.issue("elsewhere.example")) as served:
        async with refused(served.address, tls_ca=ours.ca) as caught:
            pass
        assert "127.0.0.1" in str(caught.value)


async def test_with_tls_and_no_authority_a_token_is_what_counts(ours):
    async with serving(neighbour=False, accepts=engine_only, **ours.issue()) as served:
        options = {"tls_ca": ours.ca, "token": "right"}
        async with grpc(**options) as other, other.attach(served.address) as channel:
            await ask(channel)
        async with refused(served.address, tls_ca=ours.ca, token="wrong") as caught:
            pass
        assert "UNAUTHENTICATED" in str(caught.value)


async def test_who_speaks_no_tls_is_cut_off(ours):
    async with serving(neighbour=False, **ours.issue()) as served, connected(served.port) as raw:
        await raw.begin()
        assert await raw.closed() < HASTE.handshake + SLACK


async def test_who_keeps_silent_before_the_handshake_is_cut_off_in_time(ours):
    async with serving(neighbour=False, max_connections=1, **ours.issue()) as served:
        async with connected(served.port) as raw:
            assert await raw.closed() < HASTE.handshake + SLACK
        async with grpc(tls_ca=ours.ca) as other, other.attach(served.address) as channel:
            await ask(channel)


async def test_who_keeps_silent_before_the_handshake_makes_room_for_who_comes(ours):
    few = {"max_connections": 2, "patience": Patience()}
    async with (
        serving(neighbour=False, **few, **ours.issue()) as served,
        connected(served.port) as one,
        connected(served.port),
        grpc(tls_ca=ours.ca) as other,
        other.attach(served.address) as channel,
    ):
        await ask(channel)
        assert await one.drained() < LIMIT


async def test_who_expects_no_tls_is_told_how_to_speak_it(ours):
    listening = serving(neighbour=False, **ours.issue())
    async with listening as served, refused(served.address, patience=HASTE) as caught:
        pass
    assert "only with TLS: then name who signed its certificate with --tls-ca" in str(caught.value)
    assert "DAGRUN_TLS_CA" in str(caught.value)


async def test_a_refused_handshake_is_in_the_log_with_the_address_and_the_reason(ours, caplog):
    caplog.set_level("INFO")
    async with serving(neighbour=False, **ours.issue(), tls_ca=ours.ca) as served:
        async with refused(served.address, tls_ca=ours.ca):
            pass
        async with refused(served.address):
            pass
    (told,) = (line for line in caplog.messages if "handshake" in line)
    assert re.match(r"a handshake of TLS from 127\.0\.0\.1:\d+ is refused: .*certificate", told)


async def test_who_connects_and_goes_is_not_in_the_log(ours, caplog):
    caplog.set_level("INFO")
    async with serving(neighbour=False, **ours.issue()) as served:
        async with connected(served.port):
            pass
        async with grpc(tls_ca=ours.ca) as other, other.attach(served.address) as channel:
            await ask(channel)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        ({"tls_cert": "missing.pem", "tls_key": "missing.pem"}, "missing.pem cannot be used"),
        ({"tls_cert": "junk.pem", "tls_key": "junk.pem"}, "junk.pem cannot be used"),
        ({"tls_ca": "junk.pem"}, "junk.pem cannot be used"),
        ({"tls_ca": "missing.pem"}, "missing.pem cannot be used"),
        ({"tls_key": "junk.pem"}, "belong together"),
        ({"tls_cert": "junk.pem"}, "belong together"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, broken, what):
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(ConfigError, match=what):
        grpc(**{name: tmp_path / file for name, file in broken.items()})


def test_a_key_of_another_certificate_is_refused(ours, theirs):
    files = {**ours.issue(), "tls_key": theirs.issue()["tls_key"]}
    with pytest.raises(ConfigError, match="cannot be used for TLS"):
        grpc(**files)


async def test_an_authority_without_a_certificate_is_not_enough_to_listen(ours):
    async with grpc(port=0, tls_ca=ours.ca) as transport:
        with pytest.raises(ConfigError, match="needs tls_cert and tls_key"):
            await transport.serve_engine(trio.sleep_forever)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("verified", [True, False])
async def test_a_token_is_shown_to_a_certificate_of_ours_and_else_to_the_trusted(
    ours, verified, trusted
):
    options = ours.issue() if verified else {}
    known = {"tls_ca": ours.ca} if verified else {}
    async with (
        grpc(port=0, accepts=engine_only, **options) as listens,
        grpc(token="right", **known) as dials,
        trio.open_nursery() as nursery,
    ):
        address = await nursery.start(listens.serve_engine, answer)
        if trusted or verified:
            async with dials.dial(address, trusted=trusted):
                pass
        else:
            with pytest.raises(ChannelLost, match="UNAUTHENTICATED"):
                async with dials.dial(address, trusted=trusted):
                    pass
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def who_says_nothing_more(address, ca):
    """Begin to speak HTTP/2 over TLS, and neither read nor say anything from then on."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    raw = await trio.open_tcp_stream(host, int(port))
    async with raw:
        stream = trio.SSLStream(raw, context, server_hostname=host)
        await stream.do_handshake()
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
        await stream.receive_some()
        yield


@pytest.mark.timeout(30)
async def test_a_listener_that_is_cancelled_with_all_around_it_waits_for_nobody_to_close(ours):
    async with AsyncExitStack() as stack:
        with trio.CancelScope() as scope:
            async with serving(neighbour=False, **ours.issue()) as served:
                await stack.enter_async_context(who_says_nothing_more(served.address, ours.ca))
                scope.cancel()
                await trio.sleep_forever()


async def _answer_and_close(stream, reply):
    """Answer one call over HTTP/2, all at once, and close at the same time."""
    http = H2Connection(H2Configuration(client_side=False))
    http.initiate_connection()
    call = None
    while call is None:
        found = http.receive_data(await stream.receive_some())
        call = next((one.stream_id for one in found if isinstance(one, RequestReceived)), None)
    http.send_headers(call, [(":status", "200"), ("content-type", "application/grpc+proto")])
    body = message(bytes(reply))
    for start in range(0, len(body), http.max_outbound_frame_size):
        http.send_data(call, body[start : start + http.max_outbound_frame_size])
    http.send_headers(call, [("grpc-status", "0")], end_stream=True)
    await stream.send_all(http.data_to_send())
    await stream.aclose()


async def test_an_answer_is_heard_to_its_end_though_its_server_closes_with_it(ours, nursery):
    certificate = ours.issue()["tls_cert"]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2"])
    reply = v1.GetRunResponse(run=b"x" * 60_000)
    (plain,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = trio.SSLListener(plain, context)
    serve = partial(_answer_and_close, reply=reply)
    nursery.start_soon(trio.serve_listeners, serve, [listener])
    address = f"127.0.0.1:{plain.socket.getsockname()[1]}"
    async with grpc(tls_ca=ours.ca) as client, client.manage(address) as management:
        with trio.fail_after(LIMIT), pytest.raises(RemoteError) as caught:
            await management.runs.get("r")
    assert not isinstance(caught.value, Unreachable)  # it was heard whole, and is no run
    nursery.cancel_scope.cancel()
