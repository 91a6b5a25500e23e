"""JSON values that are written short, so that no message about a large one is large.

A library that puts ``repr(value)`` into what it says of a value would write megabytes otherwise, and
take as long as the value is large for each thing that it says.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

LONGEST: Final = 200
"""Characters of a value that are written."""

CUT: Final = "…"
"""What stands in place of the rest."""


class _Object(dict[str, Any]):
    __slots__ = ()

    def __repr__(self) -> str:
        return written(self)


class _Array(list[Any]):
    __slots__ = ()

    def __repr__(self) -> str:
        return written(self)


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return written(self)


def brief(value: Any) -> Any:
    """Copy a JSON value; in the copy ``repr`` of every part has ``LONGEST`` characters at most.

    >>> brief({"a": [1.5, None]})
    {'a': [1.5, None]}
    >>> repr(brief(["x" * 1000]))[:5], len(repr(brief(["x" * 1000])))
    ("['xxx", 201)
    """
    if isinstance(value, str):
        return value if len(value) < LONGEST else _Text(value)
    if isinstance(value, Mapping):
        return _Object((brief(key), brief(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return _Array(map(brief, value))
    return value


def written(value: Any) -> str:
    """Write a value as ``repr`` does, and cut it. Takes no longer than what is written is long."""
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > LONGEST:
            return text[:LONGEST] + CUT
    return text


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for number, (key, part) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key)
            yield ": "
            yield from _pieces(part)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, part in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(part)
        yield "]"
    elif isinstance(value, str):
        yield str.__repr__(value if len(value) <= LONGEST else value[: LONGEST + 1])
    else:
        yield repr(value)
