"""What comes back: the body within its bounds, and the outputs that it becomes."""

import base64
import codecs
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

import httpcore
import msgspec
import trio

from dagrun.domain.jsonvalue import NotJson, Raw, check, parse
from dagrun.errors import NodeError

_JSON: Final = re.compile(r"(application|text)/json|[^/]+/[^/]+\+json")
_CHARSET: Final = re.compile(r';\s*charset\s*=\s*"?([A-Za-z0-9_.:-]+)', re.IGNORECASE)
_ODD_CHARSETS: Final = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape"})
"""What Python decodes and nobody sends; some take time that grows with the square of the length."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_MEMBERS: Final = 64
"""Most pieces that a gzip body is put together from; each costs a copy of what follows it."""


async def read_body(response: httpcore.Response, limit: int) -> tuple[bytes, bool]:
    """Give a body as it is sent, and whether that is all of it. Closes the response.

    The rest of one that is longer than ``limit`` is never read; its connection is closed.
    """
    body = bytearray()
    try:
        # To leave the loop would leave the library's generators half-way. Cancelled, they end.
        with trio.CancelScope() as scope:
            async for chunk in response.aiter_stream():
                body += chunk
                if len(body) > limit:
                    scope.cancel()
    finally:
        await response.aclose()
    return bytes(body[:limit]), len(body) <= limit


def packed_limit(limit: int) -> int:
    """Give the most bytes that a body of ``limit`` bytes may take when it is packed."""
    return limit + limit // 64 + 1024


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the content encoding.

    Raises:
        NodeError: ``too_large`` for more than ``limit`` bytes, however small it is packed;
            ``protocol`` for one that is damaged, or packed in another way than asked for.
    """
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    if body and names not in ([], ["identity"]):
        if names not in (["gzip"], ["x-gzip"]):
            raise NodeError("protocol", f"the content encoding {encoding!r:.60} was not asked for")
        body = _gunzip(body, limit)
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> NodeError:
    """Say that a body is too large."""
    return NodeError("too_large", f"the body has more than {limit} bytes")


def _gunzip(packed: bytes, limit: int) -> bytes:
    body = b""
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            body += member.decompress(packed, limit + 1 - len(body))
        except zlib.error as error:
            raise NodeError("protocol", f"the gzip body is damaged: {error}") from error
        if len(body) > limit:
            raise too_large(limit)
        if not member.eof:
            raise NodeError("protocol", "the gzip body is cut off")
        packed = member.unused_data
        if not packed:
            return body
    raise NodeError("protocol", f"the gzip body has more than {_MEMBERS} pieces")


def outputs(status: int, headers: Mapping[str, str], body: bytes) -> Raw:
    """Make the outputs of the node.

    Raises:
        NodeError: ``output``, for more than JSON outputs may have.
    """
    shown = _content(headers.get("content-type", ""), body)
    try:
        encoded = msgspec.json.encode({"status": status, "headers": dict(headers), **shown})
        check(encoded)
    except (NotJson, UnicodeError) as error:
        raise NodeError("output", f"the answer cannot be kept: {error}") from error
    return Raw(encoded)


def _content(content_type: str, body: bytes) -> dict[str, Any]:
    """Give a body as JSON if it is called so and is, else as text if it is, else in base64."""
    if _JSON.fullmatch(content_type.partition(";")[0].strip().lower()):
        try:
            return {"json": parse(body)}
        except NotJson:
            pass
    text = as_text(content_type, body)
    return {"base64": base64.b64encode(body).decode()} if text is None else {"text": text}


def as_text(content_type: str, body: bytes) -> str | None:
    """Decode text; None for what is none in its charset, which is UTF-8 if not given."""
    match = _CHARSET.search(content_type)
    try:
        charset = codecs.lookup(match[1] if match else "utf-8").name
        text = None if charset in _ODD_CHARSETS else body.decode(charset)
        if text is not None:
            text.encode()  # no lone surrogates, which UTF-7 can smuggle in
    except (LookupError, UnicodeError):
        return None
    return text
