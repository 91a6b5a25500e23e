"""JSON text that is carried about without being decoded, and the limits that it keeps."""

import json
import re
from itertools import accumulate
from typing import Any, Final

import msgspec

Raw = msgspec.Raw
"""The UTF-8 text of one JSON value, already checked."""

MAX_DEPTH: Final = 200
"""Levels of nesting that a value may have."""

MAX_OUTPUT: Final = 1024 * 1024
"""Bytes of JSON that a node or item may return."""

MAX_AGGREGATE: Final = 16 * 1024 * 1024
"""Bytes of JSON that the outputs of all items of a node may have together."""

MAX_RUN_OUTPUTS: Final = 256 * 1024 * 1024
"""Bytes of JSON that all outputs of a run may have together."""

NULL: Final = Raw(b"null")
EMPTY: Final = Raw(b"{}")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Also one without an end, up to the end of the text: nothing is looked at twice."""

_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_UP_AND_DOWN: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and -1, as signed bytes
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


class NotJson(ValueError):
    """The value cannot be written as JSON, or is beyond a limit. The message says why."""


def encode(value: object, *, limit: int = MAX_OUTPUT) -> Raw:
    """Write ``value`` as JSON.

    >>> bytes(encode({"pair": (1, 2)}))
    b'{"pair":[1,2]}'
    >>> encode([1, 2, 3], limit=5)
    Traceback (most recent call last):
    dagrun.domain.jsonvalue.NotJson: it has 7 bytes of JSON; at most 5 are allowed

    Args:
        value: what to write; tuples become arrays.
        limit: most bytes.

    Raises:
        NotJson: NaN, infinity, a type that JSON lacks, a key that is no text, a lone surrogate,
            too deep or too long.
    """
    if value == {} and isinstance(value, dict):
        return EMPTY
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        encoded = text.encode()
    except RecursionError:
        raise NotJson(f"it is nested deeper than {MAX_DEPTH} levels") from None
    except (TypeError, ValueError) as error:
        raise NotJson(str(error)) from error
    check(encoded, limit=limit)
    _refuse_other_keys(value)
    return Raw(encoded)


def check(encoded: bytes, *, limit: int = MAX_OUTPUT) -> None:
    """Check the size and the depth of well-formed JSON text.

    Raises:
        NotJson: it is too long or too deep.
    """
    if len(encoded) > limit:
        raise NotJson(f"it has {len(encoded)} bytes of JSON; at most {limit} are allowed")
    if encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH and _depth(encoded) > MAX_DEPTH:
        raise NotJson(f"it is nested deeper than {MAX_DEPTH} levels")


def parse(encoded: bytes, *, limit: int = MAX_OUTPUT) -> Raw:
    """Check JSON text that comes from outside, such as a worker's reply.

    Raises:
        NotJson: it is malformed, too long or too deep.
    """
    check(encoded, limit=limit)
    try:
        msgspec.json.decode(encoded, type=Any)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotJson(str(error)) from error
    return Raw(encoded)


def decode(raw: Raw | bytes) -> Any:
    """Read JSON text that was checked before. Integers keep all their digits."""
    return msgspec.json.decode(raw)


def length(raw: Raw | bytes) -> int:
    """Count the elements of a list in JSON text that was checked before, without reading them."""
    return len(msgspec.json.decode(raw, type=list[msgspec.Raw]))


def _depth(encoded: bytes) -> int:
    """Give the levels of well-formed text; the interpreter looks at no character by itself."""
    brackets = _STRING.sub(b"", encoded).translate(_UP_AND_DOWN, _NO_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0)


def _refuse_other_keys(value: Any) -> None:
    """Refuse keys that are no text, which would be written as one, and might be there twice then."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        members = part.values() if isinstance(part, dict) else part
        if isinstance(part, dict):
            for key in part:
                if not isinstance(key, str):
                    raise NotJson(f"{key!r} stands as a key, and is no text")
        elif not isinstance(part, list | tuple):
            continue
        if not _SCALARS.issuperset(map(type, members)):
            waiting.extend(members)
