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
_PRERELEASE: Final = re.compile(r"[0-9]-")  # in a range; one of two versions has blanks about it
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


def is_range(text: str) -> bool:
    """Whether ``text`` says which versions are meant: a version, or a range of them.

    The grammar is npm's, see ``NpmSpec`` in the library semantic-version: ``^1.2``, ``~1.2``,
    ``>=1 <2``, ``1.x``, ``1.2 - 1.5``, ``^1 || ^3``. A comma stands for the blank that means "and".

    >>> [is_range(text) for text in ("^1.2", ">=1,<2", "1.0.0", "*", ">=1, <2", "new")]
    [True, True, True, True, True, False]
    """
    return is_version(text) or _spec(text) is not None


def resolve(text: str, versions: Iterable[str]) -> str | None:
    """Give the highest version that a range means, or None.

    Pre-releases count only if the range names one.

    >>> known = ["1.2.0", "1.10.0", "2.0.0-rc.1"]
    >>> [resolve(text, known) for text in ("^1.2", ">=1", ">=2.0.0-rc.1", "1.2.0", "^3")]
    ['1.10.0', '1.10.0', '2.0.0-rc.1', '1.2.0', None]

    Args:
        text: the range, or a version.
        versions: those that there are; semantic versions all.
    """
    from semantic_version import Version  # noqa: PLC0415 — see _spec

    known = list(versions)
    if text in known:
        return text
    spec = _spec(text)
    if spec is None or _names_build(text):
        return None
    pre = _PRERELEASE.search(text) is not None
    fitting = [v for v in known if (pre or not is_prerelease(v)) and spec.match(Version(v))]
    return max(fitting, key=sort_key, default=None)


def _names_build(text: str) -> bool:
    """Whether it is one version, and cannot mean one with other build metadata."""
    return is_version(text) and "+" in text


def _spec(text: str) -> Any:
    """Give what matches versions; None if it is no range. The library is loaded on use only."""
    from semantic_version import NpmSpec  # noqa: PLC0415 — few workflows need it

    words = text.replace(",", " ").split()
    try:
        return NpmSpec(" ".join(words)) if words and len(text) <= LONGEST else None
    except ValueError:
        return None
