"""The executor ``http`` against real servers on loopback: requests, redirects and answers."""

import gzip
import socket

import pytest
import trio

from dagrun.builtin.http import HttpExecutor, HttpOptions
from dagrun.builtin.http.options import BasicAuth
from dagrun.errors import NodeError
from dagrun.testing.executors import ExecutorSuite
from dagrun.testing.http_server import HANG, LIMIT, LOOPBACK, answer, json_answer, serving, wait_for


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


async def test_a_redirect_to_an_address_that_is_not_public_is_refused(fail):
    with serving({"*": answer()}) as inner:
        for place in (inner.url, "http://169.254.169.254/latest/meta-data/", "http://[::1]/"):
            with serving({"*": to(place)}) as outer:
                error = await fail(outer.url, allow=[f"127.0.0.1:{outer.port}"])
            assert error.type == "refused_address"
            assert len(outer.received) == 1
    assert inner.received == []


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
