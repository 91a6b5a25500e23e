r"""The patterns of JSON Schemas: regular expressions that take no longer than their text is long.

RE2 never goes back in a text, so that no pattern and no text can make a search take for ever. What
it cannot do is to look around (``(?=…)``) and to refer to groups (``\1``).
"""

import functools
import re
from typing import Any, Final

MAX_PROGRAM: Final = 100_000
"""Instructions that all patterns of a schema may have together."""

_MEMORY: Final = 1024 * 1024  # bytes that one pattern may take
_CHARACTER: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


class BadPattern(ValueError):
    """A pattern that cannot be used. The message says which, and why."""


@functools.lru_cache(maxsize=1000)
def compiled(pattern: str) -> Any:
    r"""Give what searches for a pattern; ``\uABCD`` is known, as in JavaScript.

    >>> bool(compiled(r"^\u0061+$").search("aa"))
    True
    >>> compiled("(?=a)")
    Traceback (most recent call last):
    dagrun.domain.patterns.BadPattern: the pattern '(?=a)' cannot be used: invalid perl operator: (?=

    Raises:
        BadPattern: it is none, or too large.
    """
    import re2  # noqa: PLC0415 — 14 ms that only patterns cost

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_capture = True
    try:
        return re2.compile(_CHARACTER.sub(_of_re2, pattern), options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace")
        shown = repr(pattern) if len(pattern) <= 100 else f"{pattern[:100]!r}…"
        raise BadPattern(f"the pattern {shown} cannot be used: {reason[:200]}") from None


def size(pattern: str) -> int:
    """Count the instructions of a pattern; a search takes up to so many steps a character.

    Raises:
        BadPattern: it cannot be used.
    """
    return int(compiled(pattern).programsize)


def found(pattern: str, text: str) -> bool:
    """Whether a pattern occurs in a text.

    Raises:
        BadPattern: it cannot be used.
    """
    return compiled(pattern).search(text) is not None


def _of_re2(match: re.Match[str]) -> str:
    return match[0] if match[1] is None else rf"\x{{{match[1]}}}"
