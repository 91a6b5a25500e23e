"""Each option of the executor ``http`` changes what is sent, or what becomes of the answer."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from dagrun.plugin.loading import load_plugins
from dagrun.settings import Settings
from dagrun.testing.http_server import HANG, Received, answer, json_answer, serving
from dagrun.testing.observe import Seen
from dagrun.testing.probes import Probe, observe, option_keys

REGISTRY = load_plugins().registry
KEYS = option_keys(REGISTRY, "http")


def http(url: str, **options: Any) -> dict[str, Any]:
    """Give the keys of a node. In the URL a word stands for a server."""
    return {"executor": {"type": "http", "url": url, **options}}


def arrived(name: str) -> Callable[[Seen], Any]:
    """Give what the server got, which ``/echo`` tells."""
    return lambda seen: seen.last.outputs["json"][name]


def header(name: str) -> Callable[[Seen], Any]:
    return lambda seen: seen.last.outputs["json"]["headers"].get(name)


def text(seen: Seen) -> Any:
    return seen.last.outputs["text"]


def error(seen: Seen) -> Any:
    """Give the type of the node's error; None if it succeeded."""
    return seen.last.error and seen.last.error["type"]


ECHO = "SITE/echo"
POST = http(ECHO, method="POST")
AUTH = {"username": "u", "password": "p"}

PROBES = {
    "http.url": Probe("SITE/there", text, node=http("SITE/here")),
    "http.method": Probe("PUT", arrived("method"), node=http(ECHO)),
    "http.params": Probe({"a": 1}, arrived("target"), node=http(ECHO)),
    "http.headers": Probe({"X-Team": "data"}, header("x-team"), node=http(ECHO)),
    "http.auth": Probe(AUTH, header("authorization"), node=http(ECHO)),
    "auth.username": Probe("v", header("authorization"), node=http(ECHO, auth=AUTH)),
    "auth.password": Probe("q", header("authorization"), node=http(ECHO, auth=AUTH)),
    "http.json": Probe({"a": 1}, arrived("body"), node=POST),
    "http.body": Probe("hello", arrived("body"), node=POST),
    "http.form": Probe({"a": 1}, arrived("body"), node=POST),
    "http.expect": Probe(404, error, node=http("SITE/missing")),
    "http.follow_redirects": Probe(False, text, node=http("SITE/moved", expect=["2xx", "3xx"])),
    "http.max_redirects": Probe(1, error, node=http("SITE/twice")),
    "http.max_bytes": Probe(3, error, node=http("SITE/here")),
    "http.connect_timeout": Probe("50ms", error, node={**http("SILENT"), "timeout": 3}),
    "http.idle_timeout": Probe("50ms", error, node={**http("SITE/hangs"), "timeout": 3}),
    "http.verify": Probe(False, error, node=http("SECURE")),
    "http.ca_file": Probe("ca.pem", error, node=http("SECURE")),
    "http.cert_file": Probe("both.pem", error, node=http("CLOSED", ca_file="ca.pem")),
    "http.key_file": Probe(
        "key.pem", error, node=http("CLOSED", ca_file="ca.pem", cert_file="certificate.pem")
    ),
}


def echo(received: Received) -> bytes:
    told = ("method", "target", "headers")
    fields = {name: getattr(received, name) for name in told}
    return json_answer(json.dumps({**fields, "body": received.body.decode()}))


def moved(location: str) -> bytes:
    return answer("moved", status="302 Found", headers={"Location": location})


SCRIPTS: Mapping[str, Any] = {
    "/echo": echo,
    "/": answer("come in"),
    "/here": answer("here it is"),
    "/there": answer("no, there"),
    "/moved": moved("/here"),
    "/twice": moved("/moved"),
    "/hangs": lambda _: [HANG],
    "*": answer("no such page", status="404 Not Found"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http")


@pytest.fixture(scope="module")
def authority(folder: Path) -> trustme.CA:
    """Write a certificate of its own, and one for a client, beside the documents."""
    authority = trustme.CA()
    mine = authority.issue_cert("somebody@example.org")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    mine.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    mine.private_key_pem.write_to_path(folder / "key.pem")
    mine.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    return authority


def secure(authority: trustme.CA, wanted: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = wanted
    return context


@pytest.fixture(scope="module")
def words(authority: trustme.CA) -> Iterator[dict[str, str]]:
    """Start the servers. Give the word for each, with its address."""
    kinds = {
        "SITE": None,
        "SECURE": secure(authority, ssl.CERT_NONE),
        "CLOSED": secure(authority, ssl.CERT_REQUIRED),
    }
    with ExitStack() as stack:
        found = {
            word: stack.enter_context(serving(SCRIPTS, tls=tls)).url for word, tls in kinds.items()
        }
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        yield {**found, "SILENT": f"https://127.0.0.1:{silent.getsockname()[1]}"}


@pytest.fixture(scope="module")
def seen(folder: Path, words: dict[str, str]) -> dict[str, list[Seen]]:
    settings = Settings(data_dir=folder / "data", parallel=4, http_allow=("127.0.0.1",))
    return observe(REGISTRY, settings, PROBES, KEYS, words=words)


def test_every_option_has_a_probe():
    assert set(PROBES) == set(KEYS)


@pytest.mark.parametrize("key", PROBES)
def test_changing_an_option_changes_what_is_seen(seen, key):
    before, after = seen[key]
    assert (before.refused, after.refused) == (None, None)
    assert PROBES[key].sees(before) != PROBES[key].sees(after)
