"""What the files of logs are called, and which there are in a folder."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

NAME: Final = re.compile(r"(?:([0-9]{1,9})-)?([0-9]{1,9})(?:@([0-9]{1,9}))?\.log")
SETTLED: Final = 1_000_000_000
"""Nanoseconds after which a further change of a folder surely gives it another time."""

KEPT: Final = 1000  # folders of which it is known what is in them

Key = tuple[int | None, int]
"""Item and attempt; the item is None without one."""

Part = tuple[int, Path]
"""The file of an attempt that is of one epoch, and that; -1 of one that is of no epoch."""


def name_of(attempt: int, item: int | None, epoch: int | None) -> str:
    """Give the name of the file of an attempt, and of an epoch if there is one for each.

    Raises:
        ValueError: a number is negative, or too large.
    """
    prefix = "" if item is None else f"{item:d}-"
    suffix = "" if epoch is None else f"@{epoch:d}"
    name = f"{prefix}{attempt:d}{suffix}.log"
    if NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of a log")
    return name


def sort_key(key: Key) -> tuple[int, int]:
    """Order logs by item, and then by attempt; those without an item come first."""
    item, attempt = key
    return -1 if item is None else item, attempt


@attrs.frozen
class _Listing:
    """What was in a folder when it had last been changed at ``changed``."""

    changed: int
    files: Mapping[Key, Sequence[Part]]


class Listings:
    """Knows the files of the attempts in a folder, and looks again only when it has changed.

    A node may have many items, and each of their logs is read again and again while it grows.
    """

    def __init__(self) -> None:
        self._known: dict[Path, _Listing] = {}

    def files(self, folder: Path) -> Mapping[Key, Sequence[Part]]:
        """Give the files of each attempt: first that of no epoch, then one for each, in order."""
        try:
            changed = folder.stat().st_mtime_ns
        except OSError:
            return {}
        known = self._known.get(folder)
        if known is not None and known.changed == changed:
            return known.files
        now = time.time_ns()
        listing = _Listing(changed, _files(folder))
        if now - changed > SETTLED:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[folder] = listing
        return listing.files


def _files(folder: Path) -> Mapping[Key, Sequence[Part]]:
    found: dict[Key, list[Part]] = {}
    for path in folder.glob("*.log"):
        if (matched := NAME.fullmatch(path.name)) is None:
            continue  # somebody else put it there
        item, attempt, epoch = matched.groups()
        key = (None if item is None else int(item)), int(attempt)
        found.setdefault(key, []).append((-1 if epoch is None else int(epoch), path))
    return {key: sorted(files) for key, files in found.items()}
