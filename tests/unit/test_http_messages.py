"""Requests, redirects and bodies of the executor ``http``, without a network."""

import base64
import gzip
import tracemalloc
import zlib
from types import SimpleNamespace

import httpx
import pytest

from dagrun.builtin.http import HttpOptions
from dagrun.builtin.http.options import BasicAuth
from dagrun.builtin.http.request import Body, Sent, first_request, redirected
from dagrun.builtin.http.response import outputs, unpack
from dagrun.domain.jsonvalue import MAX_OUTPUT, decode
from dagrun.errors import NodeError

CONTEXT = SimpleNamespace(
    idempotency_key="r/n/0", run_id="r", node_id="n", attempt=2, epoch=3, secrets={}
)
OURS = {
    "idempotency-key": "r/n/0",
    "x-dagrun-run-id": "r",
    "x-dagrun-node-id": "n",
    "x-dagrun-attempt": "2",
    "x-dagrun-epoch": "3",
}


def first(**options):
    return first_request(HttpOptions(**{"url": "http://a.test/", **options}), CONTEXT)


def test_every_request_says_which_attempt_of_what_it_is():
    sent = first()
    assert {name: sent.headers[name] for name in OURS} == OURS
    assert sent.headers["user-agent"].startswith("dagrun/")
    assert (sent.method, sent.content) == ("GET", None)


def test_the_headers_of_the_document_win_and_null_leaves_one_out():
    own = {
        "Idempotency-Key": "order-7",
        "User-Agent": "mine",
        "X-N": 1,
        "X-Yes": True,
        "X-No": None,
    }
    headers = first(headers=own).headers
    assert headers["idempotency-key"] == "order-7"
    assert headers["user-agent"] == "mine"
    assert (headers["x-n"], headers["x-yes"]) == ("1", "true")
    assert "x-no" not in headers


def test_a_body_is_json_text_or_a_form():
    sent = first(method="post", json={"a": [1, None, "ü"]})
    assert sent.content == '{"a":[1,null,"ü"]}'.encode()
    assert (sent.method, sent.headers["content-type"]) == ("POST", "application/json")
    assert first(json=None).content == b"null"
    text = first(body="ü")
    assert text.content == "ü".encode()
    assert "content-type" not in text.headers
    form = first(form={"a": "b&c", "n": [1, 2], "no": None})
    assert form.content == b"a=b%26c&n=1&n=2"
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert first(json=1, headers={"Content-Type": "a/b"}).headers["content-type"] == "a/b"


async def test_a_body_goes_out_in_parts_whenever_it_is_asked_for():
    content = bytes(range(256)) * 600
    body = Body(content)
    for _ in range(2):
        parts = [part async for part in body]
        assert b"".join(parts) == content
        assert max(map(len, parts)) <= 64 * 1024
    assert [part async for part in Body(b"")] == []


def test_json_that_cannot_be_sent_fails_the_node():
    for value in (float("nan"), "x" * 17_000_000):
        with pytest.raises(NodeError) as caught:
            first(json=value)
        assert caught.value.type == "request"


def test_params_are_added_to_the_query_that_is_there():
    assert str(first(url="http://a.test/?x=a+b&y", params={"z": "ü &"}).url) == (
        "http://a.test/?x=a+b&y&z=%C3%BC%20%26"
    )
    assert str(first(params={"a": [1, 2, None], "b": None, "c": False}).url) == (
        "http://a.test/?a=1&a=2&c=false"
    )


def test_basic_authentication_is_a_header():
    sent = first(auth=BasicAuth(username="Aladdin", password="open sesame"))
    # the example of RFC 7617
    assert sent.headers["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


@pytest.mark.parametrize(
    "url",
    [
        "http://a.test:99999/",
        "http://[::zz]/",
        "http://1.2.3.999/",
        "http://-ü-.test/",
        "http://a\t/",
    ],
)
def test_a_url_that_only_the_library_finds_wrong_fails_the_node(url):
    with pytest.raises(NodeError) as caught:
        first(url=url)
    assert caught.value.type == "request"


def test_a_request_is_named_without_its_query():
    assert str(first(url="http://a.test/path?token=hidden#x")) == "GET http://a.test/path"


SENT = Sent(
    method="POST",
    url=httpx.URL("http://a.test/one/two?x"),
    headers={
        **OURS,
        "accept": "*/*",
        "authorization": "Bearer t",
        "cookie": "c=1",
        "x-api-key": "k",
        "content-type": "text/plain",
        "content-language": "en",
    },
    content=b"body",
)


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("PUT", 301, "PUT"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("DELETE", 303, "GET"),
        ("HEAD", 302, "HEAD"),
        ("HEAD", 303, "HEAD"),
        ("GET", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 308, "PUT"),
    ],
)
def test_a_redirect_changes_the_method_as_browsers_do(method, status, then):
    sent = Sent(method=method, url=SENT.url, headers=SENT.headers, content=SENT.content)
    next_ = redirected(sent, status, "/x", ())
    assert next_.method == then
    kept = then == method
    assert next_.content == (b"body" if kept else None)
    assert ("content-type" in next_.headers, "content-language" in next_.headers) == (kept, kept)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("three", "http://a.test/one/three"),
        ("/three?y", "http://a.test/three?y"),
        ("//b.test/", "http://b.test/"),
        ("https://b.test:8443/x", "https://b.test:8443/x"),
        ("?y", "http://a.test/one/two?y"),
    ],
)
def test_a_location_is_seen_from_where_it_was_given(location, url):
    assert str(redirected(SENT, 302, location, ()).url) == url


def test_the_same_origin_sees_all_headers_again():
    for location in ("/x", "http://a.test:80/x", "HTTP://A.TEST/x"):
        assert redirected(SENT, 307, location, ()).headers == SENT.headers


@pytest.mark.parametrize(
    "location", ["http://b.test/", "http://a.test:81/", "https://a.test/", "http://www.a.test/"]
)
def test_another_origin_sees_no_header_that_may_be_a_key(location):
    headers = redirected(SENT, 307, location, ()).headers
    assert headers == {**OURS, "accept": "*/*", "content-type": "text/plain"}


def test_what_was_dropped_does_not_come_back_when_the_chain_does():
    there = redirected(SENT, 307, "http://b.test/", ())
    assert "authorization" not in redirected(there, 307, "http://a.test/", ()).headers


def test_another_origin_sees_no_secret_in_whatever_header_it_stands():
    headers = {"accept": "text/s3cret", "user-agent": "mine"}
    sent = Sent(method="GET", url=SENT.url, headers=headers)
    assert redirected(sent, 302, "http://b.test/", ["", "s3cret"]).headers == {"user-agent": "mine"}
    assert redirected(sent, 302, "/x", ["s3cret"]).headers == headers


@pytest.mark.parametrize(
    "location",
    [
        "ftp://b.test/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://b.test:0/",
        "http://user:word@b.test/",
        "http://b.test:99999/",
        "http://[::1/",
        "http://b.test/\x00",
    ],
)
def test_a_redirect_to_nowhere_sensible_fails_the_node(location):
    with pytest.raises(NodeError) as caught:
        redirected(SENT, 302, location, ())
    assert caught.value.type == "redirect"


def test_a_redirect_from_https_to_http_is_not_followed():
    sent = Sent(method="GET", url=httpx.URL("https://a.test/"), headers={})
    with pytest.raises(NodeError, match="from https to http") as caught:
        redirected(sent, 302, "http://a.test/", ())
    assert caught.value.type == "redirect"


def content(body, content_type=""):
    headers = {"content-type": content_type}
    result = decode(outputs(200, headers, body))
    assert (result.pop("status"), result.pop("headers")) == (200, headers)
    return result


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=utf-8", "text/json", "a/b.c+json"]
)
def test_a_body_that_is_json_by_name_and_nature_is_given_as_json(media):
    assert content(b'{"a": [1, 123456789012345678901234567890]}', media) == {
        "json": {"a": [1, 123456789012345678901234567890]}
    }


@pytest.mark.parametrize(
    "body", ["{", "", '{"a": NaN}', "[" * 201 + "]" * 201, '"\\ud800"', "\ufeff{}"]
)
def test_a_body_that_is_json_by_name_only_is_given_as_text(body):
    assert content(body.encode(), "application/json") == {"text": body}


def test_json_by_nature_only_is_text():
    assert content(b"{}", "text/plain") == {"text": "{}"}
    assert content(b"{}") == {"text": "{}"}


@pytest.mark.parametrize(
    ("body", "media", "text"),
    [
        ("grün".encode(), "text/plain", "grün"),
        ("grün".encode("latin-1"), "text/plain; charset=iso-8859-1", "grün"),
        ("grün".encode("utf-16"), 'text/plain; x=y; charset="UTF-16"', "grün"),
        (b"a\0b", "application/octet-stream", "a\0b"),
    ],
)
def test_text_is_decoded_by_its_charset(body, media, text):
    assert content(body, media) == {"text": text}


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"\xff\xfe\x00", "image/png"),
        ("grün".encode("latin-1"), "text/html"),
        (b"a", "text/plain; charset=klingon"),
        (b"a", "text/plain; charset=punycode"),
        (b"a", "text/plain; charset=base64"),
        (b"+2AA-", "text/plain; charset=utf-7"),
    ],
)
def test_what_is_no_text_is_given_in_base64(body, media):
    assert content(body, media) == {"base64": base64.b64encode(body).decode()}


def test_outputs_that_grow_too_large_fail_the_node():
    for body, media in ((b"\0" * 300_000, ""), (b"\xff" * MAX_OUTPUT, "")):
        with pytest.raises(NodeError, match="cannot be kept") as caught:
            outputs(200, {"content-type": media}, body)
        assert caught.value.type == "output"


def test_a_packed_body_is_unpacked_whatever_pieces_it_has():
    assert unpack(gzip.compress(b"abc", mtime=0), "gzip", 3) == b"abc"
    assert (
        unpack(gzip.compress(b"a", mtime=0) + gzip.compress(b"bc", mtime=0), "X-GZip", 3) == b"abc"
    )
    assert unpack(b"abc", "identity", 3) == b"abc"
    assert unpack(b"abc", "", 3) == b"abc"
    assert unpack(b"", "gzip", 3) == b""


def test_a_bomb_is_defused_while_it_is_small():
    bomb = gzip.compress(bytes(64 * 1024 * 1024), mtime=0)
    tracemalloc.start()
    try:
        with pytest.raises(NodeError) as caught:
            unpack(bomb, "gzip", MAX_OUTPUT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.type == "too_large"
    assert peak < 4 * MAX_OUTPUT


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(b"abc", mtime=0)[:-1], "gzip"),
        (gzip.compress(b"abc", mtime=0) + b"rest", "gzip"),
        (gzip.compress(b"", mtime=0) * 65, "gzip"),
        (gzip.compress(gzip.compress(b"abc", mtime=0), mtime=0), "gzip, gzip"),
        (zlib.compress(b"abc"), "deflate"),
        (b"abc", "br"),
    ],
)
def test_a_body_that_is_packed_wrongly_fails_the_node(body, encoding):
    with pytest.raises(NodeError) as caught:
        unpack(body, encoding, 100)
    assert caught.value.type == "protocol"


def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not():
    for packed, encoding in ((b"abc", ""), (gzip.compress(b"abc", mtime=0), "gzip")):
        assert unpack(packed, encoding, 3) == b"abc"
        with pytest.raises(NodeError) as caught:
            unpack(packed, encoding, 2)
        assert caught.value.type == "too_large"
