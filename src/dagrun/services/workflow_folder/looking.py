"""Finds out which documents of a folder have changed. All of this is for threads."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Final

import attrs

from dagrun.domain.document.sending import ToSend
from dagrun.errors import DefinitionError

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
SETTLED: Final = 1_000_000_000
"""Nanoseconds after which a further change of a file surely gives it another time."""

Mark = tuple[int, int, int, int]
"""When a file was changed in whatever way, its size, and which file it is."""


@attrs.frozen
class Seen:
    """A document, and the files that it names, as they were when they were read."""

    marks: Mapping[Path, Mark | None]
    """File → mark; None if it is not there."""

    settled: bool
    """Whether they surely have other marks if they have changed."""

    digest: bytes
    """Of what was read, or of why nothing could be."""


def changed(folder: Path, known: Mapping[Path, Seen]) -> tuple[Set[Path], Sequence[Path]]:
    """Give the documents of a folder, and which of them may have changed, by name.

    Hidden files are none: editors have theirs beside a document that is being written.

    Raises:
        OSError: the folder cannot be looked into.
    """
    found = sorted(
        file
        for file in folder.iterdir()
        if file.suffix in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    return set(found), [file for file in found if _may_have_changed(known.get(file))]


def see(file: Path, read: Callable[[Path], ToSend]) -> tuple[Seen, ToSend | DefinitionError]:
    """Read a document. Give what was seen, and what was read, or why that was not possible."""
    own = _mark(file)  # before it is read: a later change is to be found
    try:
        found = read(file)
    except DefinitionError as error:
        return _seen(
            {file: own}, hashlib.sha256(str(error).encode(errors="replace")).digest()
        ), error
    beside = {file.parent / name for name in found.named}
    return _seen({**{one: _mark(one) for one in beside}, file: own}, _digest(found)), found


def _seen(marks: Mapping[Path, Mark | None], digest: bytes) -> Seen:
    now = time.time_ns()
    settled = all(mark is None or now - mark[0] > SETTLED for mark in marks.values())
    return Seen(marks, settled, digest)


def _may_have_changed(known: Seen | None) -> bool:
    return (
        known is None
        or not known.settled
        or any(_mark(file) != mark for file, mark in known.marks.items())
    )


def _mark(file: Path) -> Mark | None:
    try:
        status = file.stat()
    except (OSError, ValueError):  # it is not there, or has no name that could be one
        return None
    return status.st_ctime_ns, status.st_size, status.st_dev, status.st_ino


def _digest(read: ToSend) -> bytes:
    digest = hashlib.sha256(read.document)
    for name, text in sorted(read.files.items()):
        digest.update(f"\0{name}\0{len(text)}\0{text}".encode(errors="replace"))
    return digest.digest()
