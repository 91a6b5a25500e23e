"""What is sent of a document to who registers it."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from dagrun.domain.document.composer import compose, plain
from dagrun.errors import DefinitionError


@attrs.frozen(kw_only=True)
class ToSend:
    """A document, and the files whose contents belong to it."""

    document: bytes
    files: Mapping[str, str]
    """Name, as the document writes it → text; only those that could be read."""

    named: frozenset[str]
    """The names of all of them."""

    unread: Mapping[str, str] = attrs.field(factory=dict)
    """Name, as who gets the document tells of it → why it could not be read."""


def files_named(document: bytes) -> frozenset[str]:
    """Give the files whose contents belong to a document; none if it is malformed.

    Executors take them by the option ``file``. Where one means something else by it, its contents
    are of no use to who gets them, and do no harm.
    """
    try:
        return frozenset(_named(plain(compose(document))))
    except DefinitionError:
        return frozenset()  # who gets it says what is wrong, with all the rest


def _named(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for element in part:
            yield from _named(element)
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "file" and isinstance(value, str):
                yield value
            else:
                yield from _named(value)
