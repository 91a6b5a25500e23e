"""What is sent: the first request of an attempt, and those that redirects ask for."""

import base64
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import quote, urlencode

import attrs
import httpx

from dagrun.builtin.http.options import ABSENT, HttpOptions, as_text, pairs
from dagrun.domain.jsonvalue import MAX_AGGREGATE, NotJson, encode
from dagrun.errors import NodeError
from dagrun.ports.executor import Context

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

_AGENT: Final = f"dagrun/{version('dagrun-core')}"
_KEPT: Final = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "content-type", "user-agent"),
        *("idempotency-key", "x-dagrun-run-id", "x-dagrun-node-id"),
        *("x-dagrun-attempt", "x-dagrun-epoch"),
    }
)
"""Headers that another origin may see. Any other may be a key that is meant for the first one."""

_PART: Final = 64 * 1024  # bytes of a body that are sent at once

_OF_BODY: Final = frozenset(
    {"content-type", "content-encoding", "content-language", "content-location"}
)


@attrs.frozen(kw_only=True)
class Sent:
    """A request. The library adds ``Host`` and ``Content-Length``."""

    method: str
    url: httpx.URL
    headers: Mapping[str, str]
    """Names in lower case."""

    content: bytes | None = None

    def __str__(self) -> str:
        """Name it for people, without the query, where tokens are often found."""
        return f"{self.method} {self.url.copy_with(query=None, fragment=None)}"


class Body:
    """Gives a body in parts, each of which must be on its way before ``idle_timeout``.

    The library's own is an async generator. One that is cancelled half-way is left to the garbage
    collector, which trio warns of.
    """

    def __init__(self, content: bytes) -> None:
        self._content, self._next = memoryview(content), 0

    def __aiter__(self) -> "Body":
        self._next = 0
        return self

    async def __anext__(self) -> bytes:
        """Give the next part; it is there already."""
        start, self._next = self._next, self._next + _PART
        if start >= len(self._content):
            raise StopAsyncIteration
        return bytes(self._content[start : self._next])


def first_request(options: HttpOptions, context: Context) -> Sent:
    """Make the request that a node asks for.

    Raises:
        NodeError: ``request``, for what nobody could send.
    """
    content, media_type = _body(options)
    return Sent(
        method=options.method.upper(),
        url=_with_params(_url(options.url), pairs(options.params)),
        headers={
            **_defaults(context, media_type),
            **{
                name.lower(): as_text(value).strip(" \t")
                for name, value in options.headers.items()
                if value is not None
            },
            **_authorization(options),
        },
        content=content,
    )


def redirected(request: Sent, status: int, location: str, secrets: Collection[str]) -> Sent:
    """Make the request that an answer redirects to, as browsers do.

    Raises:
        NodeError: ``redirect``, for a place where no request should go.
    """
    url = _target(request.url, location)
    method, content, headers = request.method, request.content, dict(request.headers)
    if (status in (301, 302) and method == "POST") or (
        status == 303 and method not in ("GET", "HEAD")
    ):
        method, content = "GET", None
        headers = {name: value for name, value in headers.items() if name not in _OF_BODY}
    if _origin(url) != _origin(request.url):
        headers = _public(headers, secrets)
    return Sent(method=method, url=url, headers=headers, content=content)


def _defaults(context: Context, media_type: str | None) -> dict[str, str]:
    return {
        "accept": "*/*",
        "accept-encoding": "gzip",
        "user-agent": _AGENT,
        "idempotency-key": context.idempotency_key,
        "x-dagrun-run-id": context.run_id,
        "x-dagrun-node-id": context.node_id,
        "x-dagrun-attempt": str(context.attempt),
        "x-dagrun-epoch": str(context.epoch),
        **({"content-type": media_type} if media_type else {}),
    }


def _authorization(options: HttpOptions) -> dict[str, str]:
    if options.auth is None:
        return {}
    pair = f"{options.auth.username}:{options.auth.password}".encode()
    return {"authorization": "Basic " + base64.b64encode(pair).decode()}


def _body(options: HttpOptions) -> tuple[bytes | None, str | None]:
    """Give the body, and its media type where only one is possible."""
    if options.json is not ABSENT:
        return _json(options.json), "application/json"
    if options.form is not None:
        return urlencode(pairs(options.form)).encode(), "application/x-www-form-urlencoded"
    return (None if options.body is None else options.body.encode()), None


def _json(value: object) -> bytes:
    try:
        return bytes(encode(value, limit=MAX_AGGREGATE))
    except NotJson as error:
        raise NodeError("request", f"'json': {error}") from error


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise NodeError("request", f"'url': {error}") from error
    if not _is_reachable(url):
        raise NodeError(
            "request", "'url': http:// or https://, a host and a possible port are needed"
        )
    return url


def _is_reachable(url: httpx.URL) -> bool:
    """Whether it is HTTP, and names a server and nobody else."""
    port = 1 if url.port is None else url.port
    return (
        url.scheme in ("http", "https")
        and bool(url.host)
        and not url.userinfo
        and 1 <= port <= 65535
    )


def _with_params(url: httpx.URL, params: list[tuple[str, str]]) -> httpx.URL:
    """Add to the query; what the URL says already stays as it is written."""
    if not params:
        return url
    added = urlencode(params, quote_via=quote).encode()
    return url.copy_with(query=url.query + b"&" + added if url.query else added)


def _target(url: httpx.URL, location: str) -> httpx.URL:
    try:
        target = url.join(location)
    except (httpx.InvalidURL, ValueError) as error:
        raise NodeError("redirect", f"redirected to what is no URL: {error}") from error
    if not _is_reachable(target):
        place = location.partition("?")[0]
        raise NodeError("redirect", f"redirected to {place!r:.200}, which is not followed")
    if (url.scheme, target.scheme) == ("https", "http"):
        raise NodeError("redirect", "redirected from https to http, which is not followed")
    return target


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}[url.scheme]


def _public(headers: Mapping[str, str], secrets: Collection[str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name in _KEPT and not any(secret and secret in value for secret in secrets)
    }
