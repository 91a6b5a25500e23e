"""Semantic versions and ranges of them."""

import re
from typing import Final

_NUMBER: Final = r"(?:0|[1-9]\d*)"
_PART: Final = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PART}(?:\.{_PART})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
LONGEST: Final = 128  # characters


def is_version(text: str) -> bool:
    """Whether ``text`` is a semantic version (https://semver.org, version 2.0.0).

    >>> [is_version(text) for text in ("1.0.0", "2.0.0-rc.1", "1.0", "v1.0.0")]
    [True, True, False, False]
    """
    return len(text) <= LONGEST and _VERSION.fullmatch(text) is not None


def is_range(text: str) -> bool:
    """Whether ``text`` is a range of versions.

    >>> [is_range(text) for text in ("^1.2", ">=1,<2", "1.0.0", "latest")]
    [True, True, True, False]
    """
    from semantic_version import SimpleSpec  # noqa: PLC0415 — 35 ms that only ranges cost

    try:
        SimpleSpec(text)
    except ValueError:
        return False
    return len(text) <= LONGEST
