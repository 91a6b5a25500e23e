"""One file with what an attempt prints."""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from dagrun.ports.executor import TAIL
from dagrun.workers.descriptors import write_all
from dagrun.workers.host import make_private

CAP: Final = 10 * 1024 * 1024  # bytes of one attempt's log
SEAM: Final = b"\n[dagrun: cut off here, and made again]\n"
"""Stands between what an attempt wrote before its engine was lost, and what it wrote then."""

MISSING: Final = b"\n[dagrun: a part is missing here, it could not be written]\n"
"""Stands for what was lost because the log could not be written."""

_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW  # a link may lead anywhere


class LogFile:
    """The log of one attempt. It is what the engine calls an ``AttemptLog``.

    The file is made by the first byte. What cannot be written, for instance because the disk is
    full, is lost: the node goes on. A line in the log says so as soon as there is room for it.

    Args:
        path: the file; its folder is made when needed.
        cap: bytes; what comes after them is dropped behind one line that says so.
        heard: is told after each attempt to write what went wrong, or None.
    """

    def __init__(
        self,
        path: Path,
        *,
        cap: int = CAP,
        heard: Callable[[OSError | None], None] = lambda _error: None,
    ) -> None:
        self.path = path
        self._heard = heard
        self._missing = False
        """Whether something was lost since the last byte that was written."""

        self._marked = False
        """Whether the log says so already."""

        self._cap = self._room = cap
        self._fd: int | None = None
        self._ended = False
        self._tail = b""
        self._size = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more is kept: it is closed, full, or a link is in its place."""
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
        except OSError as error:
            self._lose(error)
        else:
            self._missing = self._marked = False
            self._heard(None)

    def _lose(self, error: OSError) -> None:
        self._missing = True
        if error.errno == errno.ELOOP:  # somebody put a link there: it is followed at no time
            self._end()
        self._mark()
        self._heard(error)

    def tail(self) -> bytes:
        """Give the end of what was written, though the log was cut before; empty once closed."""
        return self._tail

    def close(self) -> None:
        """Close the file; what is written later is dropped."""
        self._mark()
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
        fd = self._open()
        if fd is None:
            return
        if self._missing and not self._marked:
            data = MISSING + data
        full = len(data) > self._room
        text = data[: max(self._room, 0)]
        _write_whole(fd, text + marker(self._cap) if full else text)
        self._room -= len(data)
        if full:
            self._end()

    def _open(self) -> int | None:
        """Give the open file, or None when it turns out to be full."""
        if self._fd is None:
            self._fd = create(self.path, os.O_APPEND)
            self._go_on(self._fd)
        return self._fd

    def _mark(self) -> None:
        """Say in the log that something is missing, if that was not said and there is room."""
        if not self._missing or self._marked or self._ended:
            return
        with suppress(OSError):
            fd = self._open()
            if fd is not None and self._room >= len(MISSING):
                _write_whole(fd, MISSING)
                self._room -= len(MISSING)
                self._marked = True

    def _go_on(self, fd: int) -> None:
        """Count, and mark, what the same attempt wrote before its engine was lost."""
        size = os.fstat(fd).st_size
        self._room -= size
        if 0 < size <= self._cap:
            _write_whole(fd, SEAM)
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
        make_private(path.parent)
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


def _write_whole(fd: int, data: bytes) -> None:
    """Append all of it or, if that fails, nothing."""
    before = os.fstat(fd).st_size
    try:
        write_all(fd, data)
    except OSError:
        with suppress(OSError):
            os.ftruncate(fd, before)
        raise


def _ends_with(fd: int, text: bytes) -> bool:
    start = os.fstat(fd).st_size - len(text)
    return start >= 0 and os.pread(fd, len(text), start) == text
