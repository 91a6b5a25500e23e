"""One file with what an attempt prints."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from dagrun.ports.executor import TAIL
from dagrun.workers.descriptors import write_all

CAP: Final = 10 * 1024 * 1024  # bytes of one attempt's log
SEAM: Final = b"\n[dagrun: cut off here, and made again]\n"
"""Stands between what an attempt wrote before its engine was lost, and what it wrote then."""

_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW  # a link may lead anywhere


class LogFile:
    """The log of one attempt. It is what the engine calls an ``AttemptLog``.

    The file is made by the first byte. A log that cannot be written, for instance because the
    disk is full, ends there: the node goes on.

    Args:
        path: the file; its folder is made when needed.
        cap: bytes; what comes after them is dropped behind one line that says so.
    """

    def __init__(self, path: Path, *, cap: int = CAP) -> None:
        self.path = path
        self._cap = self._room = cap
        self._fd: int | None = None
        self._ended = False
        self._tail = b""
        self._size = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more is kept: it is closed, full, or cannot be written."""
        return self._ended

    @property
    def size(self) -> int:
        """Bytes of the file, once something was written."""
        return self._size if self._fd is None else os.fstat(self._fd).st_size

    def write(self, data: bytes) -> None:
        """Append bytes as they came."""
        self._tail = (self._tail + data[-TAIL:])[-TAIL:]
        if self._ended or not data:
            return
        try:
            self._append(data)
        except OSError:
            self._end()

    def tail(self) -> bytes:
        """Give the end of what was written, though the log was cut before; empty once closed."""
        return self._tail

    def close(self) -> None:
        """Close the file; what is written later is dropped."""
        self._end()
        self._tail = b""

    def read(self, start: int, size: int) -> bytes:
        """Give a part of what is in the file, also when it is closed; empty if it is gone."""
        return read_file(self.path, start, size)

    def remove(self) -> None:
        """Delete the file, and the folders of its node and its run if nothing else is in them."""
        with suppress(OSError):
            self.path.unlink()
            for folder in self.path.parents[:2]:
                folder.rmdir()

    def _end(self) -> None:
        self._ended = True
        if self._fd is not None:
            self._size = self.size
            os.close(self._fd)
            self._fd = None

    def _append(self, data: bytes) -> None:
        if self._fd is None:
            self._fd = create(self.path, os.O_APPEND)
            self._go_on(self._fd)
            if self._ended:
                return
        write_all(self._fd, data[: max(self._room, 0)])
        self._room -= len(data)
        if self._room < 0:
            write_all(self._fd, marker(self._cap))
            self._end()

    def _go_on(self, fd: int) -> None:
        """Count, and mark, what the same attempt wrote before its engine was lost."""
        size = os.fstat(fd).st_size
        self._room -= size
        if 0 < size <= self._cap:
            write_all(fd, SEAM)
        elif size > self._cap and _ends_with(fd, marker(self._cap)):
            self._end()


def marker(cap: int) -> bytes:
    """Give the line that ends a log of more than ``cap`` bytes."""
    return b"\n[dagrun: log cut, %d bytes are allowed]\n" % cap


def create(path: Path, more_flags: int = 0) -> int:
    """Open a log for its user alone, and make its folders so: whatever the umask is."""
    flags = os.O_RDWR | os.O_CREAT | more_flags | _FLAGS
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        # One after the other: the mode is not that of parents made on the way.
        for folder in reversed(path.parents[:3]):
            folder.mkdir(mode=0o700, exist_ok=True)
        return os.open(path, flags, 0o600)


def read_file(path: Path, start: int, size: int) -> bytes:
    """Give a part of a log; empty if it is not there, or a link is in its place.

    Args:
        path: the file.
        start: leave out so many bytes.
        size: give at most so many bytes; -1 gives all.
    """
    try:
        with open(os.open(path, os.O_RDONLY | _FLAGS), "rb") as file:  # noqa: PTH123 — Path.open follows links
            file.seek(start)
            return file.read(size)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return b""
        raise


def length_of(path: Path) -> int:
    """Give the bytes of a log; 0 if it is not there, or a link is in its place."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def put_piece(path: Path, offset: int, data: bytes) -> None:
    """Write a piece where it belongs; one that came before is written over by the same bytes.

    Raises:
        OSError: it cannot be written.
        ValueError: what comes before it is not there.
    """
    fd = create(path) if offset == 0 else os.open(path, os.O_RDWR | _FLAGS)
    try:
        size = os.fstat(fd).st_size
        if offset > size:
            raise ValueError(f"bytes {size} to {offset} are missing")
        rest = memoryview(data)
        while rest:
            written = os.pwrite(fd, rest, offset)
            offset, rest = offset + written, rest[written:]
    finally:
        os.close(fd)


def _ends_with(fd: int, text: bytes) -> bool:
    start = os.fstat(fd).st_size - len(text)
    return start >= 0 and os.pread(fd, len(text), start) == text
