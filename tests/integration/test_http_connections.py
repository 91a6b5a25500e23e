"""Whom the executor ``http`` connects to, and how: addresses, connections and certificates."""

import socket
import ssl
import threading
from types import SimpleNamespace

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

from dagrun.builtin.http import HttpExecutor
from dagrun.builtin.http.connect import _connect
from dagrun.errors import NodeError
from dagrun.testing.executors import outputs_of
from dagrun.testing.http_server import HANG, LIMIT, LOOPBACK, answer, serving, wait_for


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
