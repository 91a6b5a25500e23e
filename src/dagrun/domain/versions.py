"""Semantic versions."""

import re
from collections.abc import Iterable
from typing import Any, Final

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


def completed(text: str) -> str | None:
    """Give the version that was probably meant by something like it.

    >>> [completed(text) for text in ("1.0", "2", "v1.2.3", "1.02.0", "new")]
    ['1.0.0', '2.0.0', '1.2.3', None, None]
    """
    short = text.strip().removeprefix("v").removeprefix("V")
    whole = short + ".0" * max(0, 2 - short.count("."))
    return whole if is_version(whole) else None


def is_prerelease(version: str) -> bool:
    """Whether a semantic version comes before a release: ``1.0.0-rc.1``."""
    return "-" in version.partition("+")[0]


def sort_key(version: str) -> tuple[Any, ...]:
    """Give what orders semantic versions: a release behind its pre-releases.

    Build metadata counts for nothing in the standard; here it decides between equals, as text.
    """
    rest, _, build = version.partition("+")
    numbers, _, pre = rest.partition("-")
    parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")] if pre else []
    return (*map(int, numbers.split(".")), not pre, parts, build)


def current(versions: Iterable[str]) -> str | None:
    """Give the highest version that is no pre-release, or None.

    >>> current(["1.2.0", "1.10.0", "2.0.0-rc.1"])
    '1.10.0'
    """
    released = [version for version in versions if not is_prerelease(version)]
    return max(released, key=sort_key, default=None)
