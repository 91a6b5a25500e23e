"""Runs with nodes of the executor ``http``: their attempts, and what becomes of their secrets."""

import base64
import json
import re
import threading
from urllib.parse import quote

import pytest

from dagrun.domain.workflow import ExecutorSpec, Node, RetryPolicy, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import Submission, open_local
from dagrun.settings import Settings
from dagrun.testing.http_server import answer, serving, wait_for


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
