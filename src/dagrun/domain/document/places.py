"""Key paths, such as ``spec.nodes[3].retry.backoff``, and where they lead in a document."""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final

import attrs

from dagrun.domain.document.composer import MarkedDict, MarkedList, Place
from dagrun.errors import Problem

Path = tuple[str | int, ...]
"""Keys and indexes that lead to a part of a value."""

MAX_FINDINGS: Final = 1000
"""Things that are told to be wrong with one document; nobody reads more."""

_MANY: Final = 500  # words in which to look for one costs 5 ms, in 10,000 a tenth of a second
_FEW: Final = 5  # so often it is done nevertheless


def show(path: Sequence[str | int]) -> str:
    """Write a path.

    >>> show(["spec", "nodes", 3, "retry", "backoff"])
    'spec.nodes[3].retry.backoff'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Give the known word that is most like ``word``, if any is.

    >>> nearest("max_paralel", ["max_parallel", "max_attempts"])
    'max_parallel'
    """
    if not isinstance(word, str) or len(word) > 200:
        return None
    from difflib import get_close_matches  # noqa: PLC0415 — for what is misspelt only

    found = get_close_matches(word, list(known), 1)
    return found[0] if found else None


class Spelling:
    """Finds known words that are like another one. Among many words it does so a few times only.

    A document in which everything is wrong would take minutes otherwise.
    """

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._left = MAX_FINDINGS if len(known) <= _MANY else _FEW
        """Looks that are left."""

    def nearest(self, word: str) -> str | None:
        """Give the known word that is most like ``word``, if any is and it may be looked for."""
        if self._left == 0:
            return None
        self._left -= 1
        if len(self._known) <= _MANY:
            return nearest(word, self._known)
        like = (k for k in self._known if k[:1] == word[:1] and abs(len(k) - len(word)) <= 2)
        return nearest(word, islice(like, _MANY))


def place_of(root: Any, path: Sequence[str | int], *, key: bool = False) -> Place | None:
    """Find where the value of a path stands; for a missing one, what it would be part of.

    Args:
        root: the document.
        path: what to look for.
        key: give the place of the last key instead of its value's.
    """
    value, place = root, getattr(root, "place", None)
    for number, part in enumerate(path):
        if isinstance(value, MarkedDict) and isinstance(part, str) and part in value:
            place = value.place_of(part, itself=key and number == len(path) - 1)
            value = value[part]
        elif isinstance(value, MarkedList) and isinstance(part, int) and part < len(value):
            place = value.place_of(part)
            value = value[part]
        else:
            break
    return place


@attrs.frozen(kw_only=True)
class Finding:
    """Something that is wrong at a path."""

    path: Path
    message: str
    suggestion: str | None = None
    on_key: bool = False
    """Whether the key itself is wrong, not its value."""

    missing: bool = False
    """Whether a key is not there, in what stands at the path."""

    def locate(self, root: Any, file: str | None) -> Problem:
        """Give it as a problem of a document."""
        place = place_of(root, self.path, key=self.on_key) if root is not None else None
        return Problem(
            message=self.message,
            path=show(self.path),
            file=file,
            line=None if place is None else place[0],
            column=None if place is None else place[1],
            suggestion=self.suggestion,
        )
