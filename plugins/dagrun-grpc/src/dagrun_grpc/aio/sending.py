"""What a client looks at before it sends anything."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

import betterproto2

from dagrun.errors import InputError, Problem
from dagrun_grpc.limits import MAX_DOCUMENT
from dagrun_grpc.wire.dagrun import v1

_MOST: Final = 2**63 - 1  # what a number on the wire can be


def check_sendable(request: Any) -> None:
    """Refuse what would arrive as something else, or not at all.

    Raises:
        InputError: something is no text of Unicode, or a number that is too large.
    """
    for field in dataclasses.fields(request):
        for value in _plain(getattr(request, field.name)):
            if (why := _unfit(value)) is not None:
                raise InputError([Problem(message=why, path=field.name)])


def _plain(value: Any) -> Iterable[Any]:
    """Give all texts and numbers in a value."""
    inner: Iterable[Any] = ()
    if isinstance(value, betterproto2.Message):
        message: Any = value
        inner = (getattr(message, field.name) for field in dataclasses.fields(message))
    elif isinstance(value, list):
        inner = value
    elif isinstance(value, dict):
        inner = (*value, *value.values())
    else:
        yield value
    for each in inner:
        yield from _plain(each)


def _unfit(value: Any) -> str | None:
    if isinstance(value, int) and not -_MOST - 1 <= value <= _MOST:
        return f"{str(value)[:60]} is no number of 64 bits"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{value[:60]!r} is no text of Unicode"
    return None


def too_large(request: Any, sent: v1.Document) -> Problem | None:
    """Say what is too large to be sent; None if all is well."""
    size = len(bytes(request))
    if size <= MAX_DOCUMENT:
        return None
    files = sum(len(text.encode()) for text in sent.files.values())
    rest = size - len(sent.text) - files
    return Problem(
        message=f"it cannot be sent: the document has {len(sent.text)} bytes, its files {files}, and "
        f"what goes with them {rest}; at most {MAX_DOCUMENT} are possible together"
    )
