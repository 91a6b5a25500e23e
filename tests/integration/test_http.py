"""The executor ``http`` against real servers on loopback."""

import base64
import gzip
import json
import re
import socket
import ssl
import threading
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from trio.testing import wait_all_tasks_blocked

from dagrun.builtin.http import HttpExecutor, HttpOptions
from dagrun.builtin.http.connect import _connect
from dagrun.builtin.http.options import BasicAuth
from dagrun.domain.workflow import ExecutorSpec, Node, RetryPolicy, Workflow
from dagrun.errors import NodeError
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import Submission, open_local
from dagrun.settings import Settings
from dagrun.testing.executors import ExecutorSuite, FakeContext, outputs_of
from dagrun.testing.http_server import HANG, LIMIT, answer, json_answer, serving

LOOPBACK = ["127.0.0.1", "::1"]


@pytest.fixture(scope="module")
def standard():
    """Give a server for tests that need nothing special of it."""
    scripts = {
        "/answer": json_answer('{"answer": 42}'),
        "/quotes": answer('"' * 1_000_000),
        "/hangs": lambda _: [HANG],
        "*": answer("no luck", status="500 Internal Server Error"),
    }
    with serving(scripts) as server:
        yield server


class TestHttpKeepsWhatAnExecutorPromises(ExecutorSuite):
    @pytest.fixture(autouse=True)
    def _server(self, standard):
        self.server = standard

    def executor(self):
        return HttpExecutor(http_allow=LOOPBACK)

    def gives(self):
        return HttpOptions(url=f"{self.server.url}/answer")

    def answer_of(self, outputs):
        return outputs["json"]["answer"]

    def fails(self):
        return HttpOptions(url=f"{self.server.url}/fails"), "status"

    def works(self):
        return HttpOptions(url=f"{self.server.url}/hangs")

    def floods(self):
        return HttpOptions(url=f"{self.server.url}/quotes")


@pytest.fixture
def context(tmp_path):
    def make(url, *, secrets=(), **options):
        return FakeContext(
            options=HttpOptions(url=url, **options),
            scratch=tmp_path,
            base=tmp_path,
            processes=SimpleNamespace(),
            secrets=dict(secrets),
        )

    return make


@pytest.fixture
def ask(context):
    """Make one request with an executor of its own; give its outputs."""

    async def call(url, *, allow=LOOPBACK, resolve=None, **options):
        async with HttpExecutor(http_allow=allow, resolve=resolve) as executor:
            return outputs_of(await executor.execute(context(url, **options)))

    return call


@pytest.fixture
def fail(ask):
    """Make one request that fails; give the error."""

    async def call(url, **options):
        with trio.fail_after(LIMIT), pytest.raises(NodeError) as caught:
            await ask(url, **options)
        return caught.value

    return call


def names(*addresses):
    """Give a resolver that has the same addresses for every name, and the list of who asked."""
    asked = []

    async def resolve(host, port):
        asked.append(host)
        return [
            (socket.AF_INET6, (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, (address, port))
            for address in addresses
        ]

    return resolve, asked


async def wait_for(event: threading.Event) -> None:
    assert await trio.to_thread.run_sync(event.wait, LIMIT)


async def test_the_outputs_are_status_headers_and_body(ask):
    reply = answer(b'{"a": 1}', status="201 Made", headers={"Content-Type": "a/b+json", "X": "1"})
    with serving({"*": reply}) as server:
        outputs = await ask(server.url)
    assert outputs == {
        "status": 201,
        "headers": {"content-length": "8", "content-type": "a/b+json", "x": "1"},
        "json": {"a": 1},
    }


async def test_a_request_arrives_as_it_was_asked_for(ask):
    with serving({"*": answer()}) as server:
        await ask(
            f"{server.url}/päth?a=1",
            method="PUT",
            params={"b": 2},
            headers={"X-Key": "kéy"},
            json={"n": None},
            auth=BasicAuth(username="u", password="p"),
        )
    (received,) = server.received
    assert (received.method, received.target) == ("PUT", "/p%C3%A4th?a=1&b=2")
    assert received.body == b'{"n":null}'
    headers = {**received.headers}
    assert headers.pop("user-agent").startswith("dagrun/")
    assert headers == {
        "connection": "close",
        "host": f"127.0.0.1:{server.port}",
        "accept": "*/*",
        "accept-encoding": "gzip",
        "authorization": "Basic dTpw",
        "content-length": "10",
        "content-type": "application/json",
        "idempotency-key": "run-1/node",
        "x-dagrun-run-id": "run-1",
        "x-dagrun-node-id": "node",
        "x-dagrun-attempt": "1",
        "x-dagrun-epoch": "1",
        "x-key": "kéy".encode().decode("latin-1"),
    }


async def test_a_post_without_a_body_says_so(ask):
    with serving({"*": answer()}) as server:
        await ask(server.url, method="POST")
    assert server.received[0].headers["content-length"] == "0"


async def test_the_answer_to_head_has_no_body(ask):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\nContent-Encoding: gzip\r\n\r\n"
    with serving({"*": head}) as server:
        outputs = await ask(server.url, method="HEAD")
    assert outputs["text"] == ""


async def test_a_packed_answer_is_unpacked(ask):
    packed = answer(gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})
    with serving({"*": packed}) as server:
        assert (await ask(server.url))["text"] == "hello"


async def test_a_status_that_is_not_expected_fails_with_what_the_server_says(context, fail):
    sorry = answer("so\n  sorry " + "x" * 5000, status="503 Busy")
    with serving({"*": sorry}) as server:
        error = await fail(f"{server.url}/a?token=hidden")
        assert error.type == "status"
        assert error.message == f"GET {server.url}/a: 503 Busy"
        assert error.quote == "so\n  sorry " + "x" * 5000
        given = context(server.url)
        async with HttpExecutor(http_allow=LOOPBACK) as executor:
            with pytest.raises(NodeError):
                await executor.execute(given)
    assert given.log.text().startswith(f"GET {server.url}: 503 Busy\nso\n  sorry xxx")
    assert len(given.log.text()) > 5000


@pytest.mark.parametrize(
    "explanation",
    [
        answer(b"\xff\x00", status="500 No"),
        answer(b"no gzip", status="500 No", headers={"Content-Encoding": "gzip"}),
        b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 500 No\r\nContent-Length: 10000000\r\n\r\n" + b"\xff" * 1_000_000,
    ],
)
async def test_a_status_is_told_even_if_its_explanation_is_broken(fail, explanation):
    def script(_):
        yield explanation
        raise ConnectionError

    with serving({"*": script}) as server:
        error = await fail(server.url)
    assert (error.type, error.message) == ("status", f"GET {server.url}: 500 No")


async def test_a_status_can_be_expected(ask):
    with serving({"*": answer("none", status="404 Not Found")}) as server:
        assert (await ask(server.url, expect=["2xx", 404]))["status"] == 404


# redirects


def to(location, status="302 Found"):
    return answer("moved", status=status, headers={"Location": location})


async def test_redirects_are_followed(ask):
    scripts = {"/a": to("/b"), "/b": to("c?x"), "/c": lambda r: answer(r.target)}
    with serving(scripts) as server:
        assert (await ask(f"{server.url}/a"))["text"] == "/c?x"


async def test_a_redirect_keeps_method_and_body_with_307(ask):
    scripts = {"/a": to("/b", "307 Moved"), "/b": lambda r: answer(r.method.encode() + r.body)}
    with serving(scripts) as server:
        outputs = await ask(f"{server.url}/a", method="PATCH", body="body")
    assert outputs["text"] == "PATCHbody"


async def test_redirects_are_an_answer_like_any_other_if_they_are_not_followed(ask, fail):
    with serving({"*": to("myapp://done")}) as server:
        outputs = await ask(server.url, follow_redirects=False, expect="3xx")
        assert (outputs["headers"]["location"], outputs["text"]) == ("myapp://done", "moved")
        assert (await fail(server.url, follow_redirects=False)).type == "status"


async def test_a_redirect_without_a_location_is_an_answer(ask):
    with serving({"*": answer("x", status="302 Found")}) as server:
        assert (await ask(server.url, expect=302))["text"] == "x"


@pytest.mark.parametrize(("given", "requests"), [({}, 11), ({"max_redirects": 3}, 4)])
async def test_redirects_end(fail, given, requests):
    with serving({"*": to("/again")}) as server:
        error = await fail(server.url, **given)
    assert error.type == "redirect"
    assert len(server.received) == requests


async def test_another_origin_does_not_see_the_keys(ask):
    with serving({"*": answer("there")}) as other, serving({"*": to(f"{other.url}/")}) as server:
        outputs = await ask(
            server.url,
            headers={"X-Api-Key": "k", "Cookie": "c", "Accept": "a/b", "User-Agent": "s3cret"},
            auth=BasicAuth(username="u", password="p"),
            secrets={"key": "s3cret"},
        )
    assert outputs["text"] == "there"
    (there,) = other.received
    assert {"x-api-key", "cookie", "authorization", "user-agent"}.isdisjoint(there.headers)
    assert there.headers["accept"] == "a/b"
    assert there.headers["idempotency-key"] == "run-1/node"
    assert there.headers["host"] == f"127.0.0.1:{other.port}"
    assert {"x-api-key", "cookie", "authorization"} <= set(server.received[0].headers)


async def test_the_endless_body_of_a_redirect_is_not_read(ask):
    def endless(_):
        yield b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n"
        while True:
            yield bytes(100_000)

    with serving({"/a": endless, "/b": answer("done")}) as server, trio.fail_after(LIMIT):
        assert (await ask(f"{server.url}/a"))["text"] == "done"


# addresses


async def test_an_address_that_is_not_public_is_refused_unless_allowed(fail):
    with serving({"*": answer()}) as server:
        for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"):
            error = await fail(f"http://{host}:{server.port}/", allow=[])
            assert error.type == "refused_address"
            assert "http_allow" in error.message
    assert server.received == []


async def test_a_host_may_be_allowed_by_name_and_port(ask, fail):
    resolve, _ = names("127.0.0.1")
    with serving({"*": answer("hi")}) as server:
        url = f"http://inside.test:{server.port}/"
        allow = [f"inside.test:{server.port}"]
        assert (await ask(url, allow=allow, resolve=resolve))["text"] == "hi"
        error = await fail(url, allow=["inside.test:1"], resolve=resolve)
    assert error.type == "refused_address"
    assert "inside.test has the address 127.0.0.1, which is not public (loopback)" in error.message
    assert error.message.endswith("names it, as with --http-allow inside.test")
    assert server.received[0].headers["host"] == f"inside.test:{server.port}"


async def test_one_refused_address_refuses_the_name(fail):
    resolve, _ = names("127.0.0.1", "169.254.169.254")
    with serving({"*": answer()}) as server:
        error = await fail(f"http://two.test:{server.port}/", resolve=resolve)
    assert error.type == "refused_address"
    assert "169.254.169.254" in error.message
    assert server.received == []


async def test_a_redirect_to_an_address_that_is_not_public_is_refused(fail):
    with serving({"*": answer()}) as inner:
        for place in (inner.url, "http://169.254.169.254/latest/meta-data/", "http://[::1]/"):
            with serving({"*": to(place)}) as outer:
                error = await fail(outer.url, allow=[f"127.0.0.1:{outer.port}"])
            assert error.type == "refused_address"
            assert len(outer.received) == 1
    assert inner.received == []


async def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(ask, monkeypatch):
    answers = iter(["127.0.0.1", "127.0.0.2"])
    asked = []

    def getaddrinfo(host, port, *_, **__):
        asked.append(host)
        address = next(answers)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with serving({"*": answer("the first")}) as server:
        url = f"http://rebind.test:{server.port}/"
        assert (await ask(url, allow=["127.0.0.1"]))["text"] == "the first"
    assert asked == ["rebind.test"]


async def test_the_next_address_is_tried_when_one_does_not_answer(ask):
    resolve, _ = names("127.0.0.2", "::1", "127.0.0.1")
    with serving({"*": answer("here")}) as server:
        outputs = await ask(
            f"http://many.test:{server.port}/", resolve=resolve, allow=["many.test"]
        )
    assert outputs["text"] == "here"


async def test_ipv6_is_spoken(ask):
    with serving({"*": answer("six")}, address="::1") as server:
        assert (await ask(f"http://[::1]:{server.port}/"))["text"] == "six"


async def test_a_name_without_addresses_fails_the_node(fail):
    error = await fail("http://no-such-name.invalid/")
    assert error.type == "resolve"
    assert "no-such-name.invalid" in error.message
    assert (await fail(f"http://{'x' * 64}.test/")).type == "resolve"


async def test_a_port_where_nobody_listens_fails_the_node(fail):
    with serving({}) as server:
        url = server.url
    error = await fail(url)
    assert error.type == "connect"
    assert "refused" in error.message


async def test_a_silent_name_server_is_given_up(ask, autojump_clock):
    async def resolve(host, port):
        await trio.sleep_forever()

    start = trio.current_time()
    with pytest.raises(NodeError) as caught:
        await ask("http://slow.test/", resolve=resolve, connect_timeout="7s")
    assert caught.value.type == "connect_timeout"
    assert trio.current_time() - start == 7


async def test_each_address_gets_its_share_of_the_time(ask, autojump_clock, monkeypatch):
    tried = []

    async def connect(family, address):
        tried.append((address[0], trio.current_time()))
        await trio.sleep_forever()

    monkeypatch.setattr("dagrun.builtin.http.connect._connect", connect)
    resolve, _ = names("1.1.1.1", "1.0.0.1", "9.9.9.9")
    start = trio.current_time()
    with pytest.raises(NodeError) as caught:
        await ask("http://three.test/", resolve=resolve, connect_timeout=9)
    assert caught.value.type == "connect_timeout"
    assert [(name, when - start) for name, when in tried] == [
        ("1.1.1.1", 0),
        ("1.0.0.1", 3),
        ("9.9.9.9", 6),
    ]
    assert trio.current_time() - start == 9


async def test_an_address_that_takes_too_long_leaves_no_time_to_others(
    ask, autojump_clock, monkeypatch
):
    async def connect(family, address):
        with trio.CancelScope(shield=True):
            await trio.sleep(20)
        raise OSError("no luck")

    monkeypatch.setattr("dagrun.builtin.http.connect._connect", connect)
    resolve, _ = names("1.1.1.1", "1.0.0.1")
    with pytest.raises(NodeError) as caught:
        await ask("http://two.test/", resolve=resolve, connect_timeout=9)
    assert caught.value.type == "connect_timeout"


async def test_name_servers_that_hang_leave_threads_to_others(context, monkeypatch):
    release, waiting = threading.Event(), threading.Semaphore(0)

    def getaddrinfo(*_, **__):
        waiting.release()
        release.wait(LIMIT)
        raise socket.gaierror(socket.EAI_AGAIN, "nobody knows")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    many = trio.to_thread.current_default_thread_limiter().total_tokens + 10
    async with HttpExecutor() as executor, trio.open_nursery() as nursery:
        for _ in range(int(many)):
            nursery.start_soon(executor.execute, context("http://hang.test/"))
        await trio.to_thread.run_sync(waiting.acquire)
        await wait_all_tasks_blocked(0.05)
        with trio.fail_after(LIMIT):
            assert await trio.to_thread.run_sync(lambda: "a thread was free") == "a thread was free"
        nursery.cancel_scope.cancel()
        release.set()


# bodies


async def test_an_endless_body_fails_while_it_is_read(fail):
    sent = [0]

    def endless(_):
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            sent[0] += 65536
            yield bytes(65536)

    with serving({"*": endless}) as server:
        error = await fail(server.url, max_bytes=100_000)
        await wait_for(server.closed)
    assert (error.type, error.message) == ("too_large", "the body has more than 100000 bytes")
    assert sent[0] < 32 * 1024 * 1024  # what the buffers of two sockets hold, and not more


async def test_a_small_body_that_unpacks_to_a_large_one_fails(fail):
    bomb = answer(gzip.compress(bytes(100_000_000)), headers={"Content-Encoding": "gzip"})
    with serving({"*": bomb}) as server:
        assert (await fail(server.url)).type == "too_large"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        answer(b"no gzip", headers={"Content-Encoding": "gzip"}),
        answer(b"what", headers={"Content-Encoding": "br"}),
    ],
    ids=["nothing", "nonsense", "short", "chunk", "head", "gzip", "br"],
)
async def test_an_answer_that_is_none_fails_the_node(fail, reply):
    def script(_):
        if reply:
            yield reply
        raise ConnectionError

    with serving({"*": script}) as server:
        assert (await fail(server.url)).type == "protocol"


async def test_a_connection_that_is_reset_fails_the_node(fail):
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        async def reset():
            peer, _ = await listener.accept()
            await peer.recv(1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reset)
            assert (await fail(url)).type == "protocol"


async def test_silence_fails_the_node(fail):
    with serving(
        {"/head": lambda _: [HANG], "*": lambda _: [answer("x" * 9)[:-1], HANG]}
    ) as server:
        for path in ("head", "body"):
            error = await fail(f"{server.url}/{path}", idle_timeout=0.1)
            assert error.type == "idle_timeout"


# connections


async def test_a_cancelled_request_closes_its_connection(context, monkeypatch):
    arrived, kept = threading.Event(), []

    async def connect(family, address):
        kept.append(await _connect(family, address))  # so that it is not closed by being forgotten
        return kept[-1]

    monkeypatch.setattr("dagrun.builtin.http.connect._connect", connect)

    def hang(_):
        arrived.set()
        yield HANG

    with serving({"*": hang}) as server:
        async with HttpExecutor(http_allow=LOOPBACK) as executor, trio.open_nursery() as nursery:
            nursery.start_soon(executor.execute, context(server.url))
            await wait_for(arrived)
            assert not server.closed.is_set()
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await wait_for(server.closed)


async def test_a_server_that_hangs_up_when_the_next_request_arrives_fails_no_node(context):
    answered = set()

    def once(received):
        if received.connection in answered:  # as when its patience with an idle one ends
            raise ConnectionError
        answered.add(received.connection)
        yield answer(str(received.connection))

    with serving({"*": once}) as server:
        async with HttpExecutor(http_allow=LOOPBACK) as executor:
            for number in ("1", "2", "3"):
                outputs = outputs_of(await executor.execute(context(server.url)))
                assert outputs["text"] == number
                await wait_for(server.closed)
                server.closed.clear()
    assert {received.headers["connection"] for received in server.received} == {"close"}


async def test_cookies_are_not_kept(context):
    cookie = answer("hi", headers={"Set-Cookie": "a=b; Path=/"})
    with serving({"*": cookie}) as server:
        async with HttpExecutor(http_allow=LOOPBACK) as executor:
            for _ in range(2):
                await executor.execute(context(server.url))
    assert all("cookie" not in received.headers for received in server.received)


async def test_the_environment_names_no_proxy_and_no_password(ask, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password word\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving({"*": answer()}) as server:
        await ask(server.url)
    assert "authorization" not in server.received[0].headers


# TLS


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(authority, tmp_path):
    """Give what a server for ``secure.test`` needs; the CA is in ``ca.pem``."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("secure.test").configure_cert(context)
    return context


@pytest.fixture
def ask_secure(ask):
    async def call(server, *, host="secure.test", **options):
        resolve, _ = names("127.0.0.1")
        return await ask(f"https://{host}:{server.port}/", resolve=resolve, **options)

    return call


async def fails_with(call):
    with trio.fail_after(LIMIT), pytest.raises(NodeError) as caught:
        await call
    return caught.value


async def test_tls_asks_for_the_name_and_checks_it(ask_secure, tls):
    asked = []
    tls.sni_callback = lambda _, name, __: asked.append(name)
    with serving({"*": answer("safe")}, tls=tls) as server:
        assert (await ask_secure(server, ca_file="ca.pem"))["text"] == "safe"
        error = await fails_with(ask_secure(server, host="other.test", ca_file="ca.pem"))
    assert asked == ["secure.test", "other.test"]
    assert error.type == "tls"
    assert "other.test" in error.message
    assert len(server.received) == 1
    assert server.received[0].headers["host"] == f"secure.test:{server.port}"


async def test_a_server_that_nobody_vouches_for_is_refused(ask_secure, tls):
    with serving({"*": answer()}, tls=tls) as server:
        error = await fails_with(ask_secure(server))
    assert error.type == "tls"
    assert "certificate" in error.message
    assert server.received == []


async def test_the_system_decides_whom_to_trust(ask_secure, tls, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serving({"*": answer("safe")}, tls=tls) as server:
        assert (await ask_secure(server))["text"] == "safe"


async def test_the_check_can_be_left_out(ask_secure, tls):
    with serving({"*": answer("whoever")}, tls=tls) as server:
        assert (await ask_secure(server, host="other.test", verify=False))["text"] == "whoever"


async def test_what_one_node_trusts_holds_for_no_other(context, tls):
    resolve, _ = names("127.0.0.1")
    with serving({"*": answer()}, tls=tls) as server:
        url = f"https://secure.test:{server.port}/"
        async with HttpExecutor(http_allow=LOOPBACK, resolve=resolve) as executor:
            await executor.execute(context(url, verify=False))
            await executor.execute(context(url, ca_file="ca.pem"))
            assert (await fails_with(executor.execute(context(url)))).type == "tls"


async def test_a_certificate_can_be_shown(ask_secure, tls, authority, tmp_path):
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    mine = authority.issue_cert("me@client.test")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    with serving({"*": answer("you")}, tls=tls) as server:
        for files in (
            {"cert_file": "both.pem"},
            {"cert_file": "cert.pem", "key_file": str(tmp_path / "key.pem")},
        ):
            assert (await ask_secure(server, ca_file="ca.pem", **files))["text"] == "you"
        # Since TLS 1.3 a server may also hang up later, and its reason may get lost on the way.
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await fails_with(ask_secure(server, ca_file="ca.pem"))).type == "tls"


@pytest.mark.parametrize(
    "files",
    [
        {"ca_file": "missing.pem"},
        {"ca_file": "nonsense.pem"},
        {"ca_file": "."},
        {"ca_file": "a\0b"},
        {"cert_file": "missing.pem"},
        {"cert_file": "ca.pem"},
        {"cert_file": "ca.pem", "key_file": "ca.pem"},
    ],
)
async def test_a_file_that_is_of_no_use_fails_the_node(ask_secure, tls, tmp_path, files):
    (tmp_path / "nonsense.pem").write_text("nonsense")
    with serving({"*": answer()}, tls=tls) as server:
        error = await fails_with(ask_secure(server, **files))
    assert error.type == "file"
    assert error.message.startswith(tuple(files))


async def test_nobody_is_asked_for_the_password_of_a_key(
    ask_secure, tls, authority, tmp_path, capfd
):
    mine = authority.issue_cert("me@client.test")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    key = load_pem_private_key(mine.private_key_pem.bytes(), None)
    locked = BestAvailableEncryption(b"word")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    (tmp_path / "locked.pem").write_bytes(pem)
    files = {"cert_file": "cert.pem", "key_file": "locked.pem"}
    with serving({"*": answer()}, tls=tls) as server:
        error = await fails_with(ask_secure(server, **files))
    assert error.type == "file"
    assert capfd.readouterr() == ("", "")


async def test_a_server_that_never_agrees_on_tls_is_given_up(ask_secure):
    with serving({}) as server:  # which waits for the end of a line
        error = await fails_with(ask_secure(server, connect_timeout=0.2))
    assert error.type == "connect_timeout"


async def test_a_server_that_speaks_no_tls_fails_the_node(ask_secure):
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = SimpleNamespace(port=listener.getsockname()[1])

        async def greet():
            peer, _ = await listener.accept()
            with peer:
                await peer.send(b"220 mail.test ready\r\n" * 10)
                await peer.recv(10_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(greet)
            assert (await fails_with(ask_secure(server))).type == "tls"


# runs


def http_node(url, *, node_id="a", **fields):
    options = {"url": url, **fields.pop("options", {})}
    return Node(id=node_id, executor=ExecutorSpec(type="http", options=options), **fields)


@pytest.fixture
def run(tmp_path):
    async def call(*nodes, allow=("127.0.0.1",)):
        settings = Settings(data_dir=tmp_path / "data", parallel=2, http_allow=allow)
        async with open_local(load_plugins().registry, settings) as local:
            workflow = Workflow("w", "1.0.0", nodes=nodes)
            execution = await local.submit(Submission(workflow=workflow, inputs={}))
            await execution.wait()
            return execution.state

    return call


async def test_every_attempt_has_the_same_idempotency_key(run):
    replies = iter([answer(status="503 Busy"), answer(status="503 Busy"), answer("done")])
    with serving({"*": lambda _: next(replies)}) as server:
        retry = RetryPolicy(max_attempts=3, first_delay=0.01)
        state = await run(http_node(server.url, retry=retry, options={"method": "POST"}))
    assert state.status == "succeeded"
    headers = [received.headers for received in server.received]
    assert [h["x-dagrun-attempt"] for h in headers] == ["1", "2", "3"]
    assert {h["idempotency-key"] for h in headers} == {f"{state.run_id}/a"}
    assert {h["x-dagrun-run-id"] for h in headers} == {state.run_id}


async def test_items_have_idempotency_keys_of_their_own(run):
    with serving({"*": answer()}) as server:
        state = await run(http_node(server.url + "/${item}", for_each=["x", "y"]))
    keys = {received.target: received.headers["idempotency-key"] for received in server.received}
    assert keys == {"/x": f"{state.run_id}/a/0", "/y": f"{state.run_id}/a/1"}


async def test_a_slow_body_runs_into_the_timeout_of_its_node(run):
    def trickle(_):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        while True:
            threading.Event().wait(0.02)
            yield b"x"

    with serving({"*": trickle}) as server:
        state = await run(http_node(server.url, timeout=0.3))
        await wait_for(server.closed)
    assert state.nodes[0].error["type"] == "timeout"


async def test_only_the_operator_decides_what_may_be_reached(run):
    with serving({"*": answer()}) as server:
        state = await run(http_node(server.url), allow=())
    assert state.nodes[0].error["type"] == "refused_address"
    assert server.received == []


async def test_options_that_turn_out_wrong_are_not_tried_again(run):
    retry = RetryPolicy(max_attempts=3, first_delay=0.01)
    state = await run(http_node("${'ftp://a.test'}", retry=retry))
    assert state.nodes[0].error["type"] == "options"
    assert "'url'" in state.nodes[0].error["message"]


KEY = 'k3y/with "quotes"&more'


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("DAGRUN_SECRET_KEY", KEY)
    return {"secrets": {"KEY": "env:KEY"}}


async def test_secrets_are_sent_in_every_option_that_takes_them_and_kept_in_none(
    run, secret, tmp_path
):
    options = {
        "method": "POST",
        "headers": {"X-Key": "key $secret{KEY}"},
        "params": {"key": "$secret{KEY}"},
        "auth": {"username": "me", "password": "$secret{KEY}"},
        "json": {"key": ["$secret{KEY}"]},
    }

    def echo(request):
        return answer(f"{request.target} {request.headers} {request.body.decode()}")

    with serving({"*": echo}) as server:
        state = await run(http_node(server.url, options=options, **secret))
    (received,) = server.received
    assert received.headers["x-key"] == f"key {KEY}"
    assert json.loads(received.body) == {"key": [KEY]}
    assert quote(KEY, safe="") in received.target
    outputs = bytes(state.nodes[0].outputs)
    pair = base64.b64encode(f"me:{KEY}".encode())[4:-4]
    for form in (KEY.encode(), quote(KEY, safe="").encode(), pair):
        assert form not in outputs
    assert outputs.count(b"***") >= 4


async def test_a_server_that_quotes_a_secret_gets_it_into_no_error_and_no_log(
    run, secret, tmp_path
):
    said = "x" * 480 + f"the key {KEY} is wrong " + "x" * 2**16
    with serving({"*": answer(said, status="403 Forbidden")}) as server:
        state = await run(http_node(server.url, options={"headers": {"X-Key": KEY}}, **secret))
    error = state.nodes[0].error
    assert error["type"] == "status"
    assert "the key *** is wrong" in error["message"]
    (log,) = (tmp_path / "data" / "logs").rglob("*.log")
    assert b"k3y" not in log.read_bytes()


async def test_what_a_server_says_is_told_in_one_line_of_some_length(run):
    sorry = answer("so\n  sorry " + "x" * 5000, status="503 Busy")
    with serving({"*": sorry}) as server:
        state = await run(http_node(server.url))
    said = state.nodes[0].error["message"]
    assert said == f"GET {server.url}: 503 Busy: so sorry {'x' * 491}"


@pytest.mark.parametrize("encode", [str.encode, lambda key: base64.encodebytes(key.encode())])
async def test_a_secret_that_a_server_quotes_in_several_lines_is_hidden(run, monkeypatch, encode):
    key = "correct  horse\n battery " + "".join(chr(33 + n * 7 % 90) for n in range(150))
    monkeypatch.setenv("DAGRUN_SECRET_KEY", key)
    said = b"bad key:\n" + encode(key) + b"!"
    with serving({"*": answer(said, status="403 Forbidden")}) as server:
        state = await run(http_node(server.url, secrets={"KEY": "env:KEY"}))
    quoted = state.nodes[0].error["message"].partition("Forbidden: ")[2]
    assert re.fullmatch(r"bad key: \*\*\*=* ?!", quoted)


@pytest.mark.parametrize("size", [1, 5, len(KEY) - 1])
async def test_of_a_secret_at_the_end_of_what_is_told_not_even_a_part_is_shown(
    run, secret, tmp_path, size
):
    said = "." * (2**16 - size) + KEY + "." * 100
    with serving({"*": answer(said, status="403 Forbidden")}) as server:
        state = await run(http_node(server.url, **secret))
    assert "k" not in state.nodes[0].error["message"].removeprefix("GET ").partition(": ")[2]
    (log,) = (tmp_path / "data" / "logs").rglob("*.log")
    assert b"k" not in log.read_bytes().partition(b"\n")[2]


async def test_a_secret_that_no_header_can_hold_fails_without_being_told(run, monkeypatch):
    monkeypatch.setenv("DAGRUN_SECRET_KEY", "line of a key\nsecond line of it")
    options = {"headers": {"X-Key": "$secret{KEY}"}}
    state = await run(http_node("http://127.0.0.1/", options=options, secrets={"KEY": "env:KEY"}))
    assert state.nodes[0].error == {
        "type": "options",
        "message": "they do not fit with the secrets filled in",
    }
