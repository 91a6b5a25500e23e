"""From the options of nodes to their outputs: requests, redirects, answers."""

from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Final

import attrs
import httpcore
import httpx

from dagrun.builtin.http.connect import Resolve, Resolver, open_pool
from dagrun.builtin.http.options import MAX_REDIRECTS, HttpOptions
from dagrun.builtin.http.request import REDIRECTS, Body, Sent, first_request, redirected
from dagrun.builtin.http.response import (
    as_text,
    outputs,
    packed_limit,
    read_body,
    too_large,
    unpack,
)
from dagrun.builtin.http.tls import own_context, system_context
from dagrun.domain.addresses import Allowed
from dagrun.domain.durations import parse_duration
from dagrun.domain.jsonvalue import Raw
from dagrun.errors import NodeError
from dagrun.ports.executor import Context

_TOLD: Final = 64 * 1024  # bytes of an unexpected answer that go to the log


class Client:
    """Sends the requests of all nodes. Enter it with ``async with``.

    Args:
        allowed: hosts, addresses and networks that may be reached although they are not public.
        resolve: gives the addresses of a name; None asks the system.
    """

    def __init__(self, allowed: Iterable[str], resolve: Resolve | None) -> None:
        self._open = partial(open_pool, Allowed.parse(allowed), resolve or Resolver())
        self._pool = self._open(system_context)

    async def __aenter__(self) -> "Client":
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def answer(self, context: Context) -> Raw:
        """Send what a node's options say, follow redirects, and give its outputs."""
        options: HttpOptions = context.options
        async with AsyncExitStack() as stack:
            pool = self._pool
            if options.has_own_tls():  # whom it trusts must not hold for other nodes
                make = partial(own_context, options, context.base or context.scratch)
                pool = await stack.enter_async_context(self._open(make))
            with _translated():
                return await _exchange(pool, context)


@attrs.frozen
class _Answer:
    request: Sent
    response: httpcore.Response
    headers: httpx.Headers

    def __str__(self) -> str:
        reason = self.response.extensions.get("reason_phrase", b"").decode("ascii", "replace")
        return f"{self.request}: {self.response.status} {reason}".rstrip()


async def _exchange(pool: httpcore.AsyncConnectionPool, context: Context) -> Raw:
    options: HttpOptions = context.options
    answer = await _follow(pool, context)
    if not options.expects(answer.response.status):
        raise await _unexpected(answer, context)
    _log(context, str(answer))
    packed, whole = await read_body(answer.response, packed_limit(options.max_bytes))
    if not whole:
        raise too_large(options.max_bytes)
    body = unpack(packed, answer.headers.get("content-encoding", ""), options.max_bytes)
    return outputs(answer.response.status, answer.headers, body)


async def _follow(pool: httpcore.AsyncConnectionPool, context: Context) -> _Answer:
    """Go from redirect to redirect. Give the first answer that is none."""
    options: HttpOptions = context.options
    left = options.max_redirects or MAX_REDIRECTS
    request = first_request(options, context)
    while True:
        answer = await _send(pool, request, options)
        status, location = answer.response.status, answer.headers.get("location")
        if not options.follow_redirects or status not in REDIRECTS or location is None:
            return answer
        await answer.response.aclose()  # nobody reads what a redirect says, however long it is
        _log(context, str(answer))
        if left == 0:
            raise NodeError("redirect", f"{request}: one redirect more than is allowed")
        left -= 1
        request = redirected(request, status, location, context.secrets.values())


async def _send(pool: httpcore.AsyncConnectionPool, request: Sent, options: HttpOptions) -> _Answer:
    idle = parse_duration(options.idle_timeout)
    connect = parse_duration(options.connect_timeout)
    message = httpx.Request(
        request.method, request.url, headers=_encoded(request), content=request.content
    )
    response = await pool.handle_async_request(
        httpcore.Request(
            message.method,
            httpcore.URL(
                scheme=message.url.raw_scheme,
                host=message.url.raw_host,
                port=message.url.port,
                target=message.url.raw_path,
            ),
            headers=message.headers.raw,
            content=Body(request.content or b""),
            extensions={"timeout": {"connect": connect, "read": idle, "write": idle}},
        )
    )
    return _Answer(request, response, httpx.Headers(response.headers))


def _encoded(request: Sent) -> list[tuple[bytes, bytes]]:
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    return [*headers, (b"Connection", b"close")]  # there will be no second request on it


async def _unexpected(answer: _Answer, context: Context) -> NodeError:
    """Say that a status was not expected, with what the server says of it."""
    whole = True
    try:
        packed, whole = await read_body(answer.response, _TOLD)
        encoding = answer.headers.get("content-encoding", "") if whole else ""
        body = unpack(packed, encoding, _TOLD)
    except (NodeError, httpcore.ProtocolError):
        body = b""  # the status says more than that its explanation cannot be read
    text = as_text(answer.headers.get("content-type", ""), body) or ""
    if not whole:
        text = _without_half(text, context.secrets.values())
    _log(context, f"{answer}\n{text}".rstrip())
    return NodeError("status", f"{answer}", quote=text)


def _without_half(text: str, secrets: Iterable[str]) -> str:
    """Take off what may be the first half of a secret, where a text was cut."""
    for secret in secrets:
        for size in range(min(len(secret), len(text)), 0, -1):
            if text.endswith(secret[:size]):
                text = text[:-size]
                break
    return text


def _log(context: Context, line: str) -> None:
    context.log.write(line.encode(errors="replace") + b"\n")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the library says of an answer into the node's error."""
    try:
        yield
    except httpcore.ProtocolError as error:
        raise NodeError("protocol", f"the answer is no HTTP, or breaks off: {error}") from error
