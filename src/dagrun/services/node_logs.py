"""What nodes print: one file an attempt, bounded in size."""

import errno
import os
import re
from pathlib import Path
from typing import Final

from dagrun.domain.handlers import is_node_id
from dagrun.domain.ids import is_id
from dagrun.ports.executor import TAIL
from dagrun.workers.descriptors import write_all

CAP: Final = 10 * 1024 * 1024  # bytes of one attempt's log
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW  # a link may lead anywhere
_NAME: Final = re.compile(r"(?:([0-9]{1,9})-)?([0-9]{1,9})\.log")


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
        self._marker = b"\n[dagrun: log cut, %d bytes are allowed]\n" % cap
        self._fd: int | None = None
        self._ended = False
        self._tail = b""

    @property
    def ended(self) -> bool:
        """Whether nothing more is kept: it is closed, full, or cannot be written."""
        return self._ended

    def write(self, data: bytes) -> None:
        """Append bytes as they came."""
        self._tail = (self._tail + data[-TAIL:])[-TAIL:]
        if self._ended or not data:
            return
        try:
            self._append(data)
        except OSError:
            self.close()

    def tail(self) -> bytes:
        """Give the end of what was written, though the log was cut before."""
        return self._tail

    def close(self) -> None:
        """Close the file; what is written later is dropped."""
        self._ended = True
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _append(self, data: bytes) -> None:
        if self._fd is None:
            self._fd = _create(self.path)
            self._go_on(self._fd)
            if self._ended:
                return
        write_all(self._fd, data[: max(self._room, 0)])
        self._room -= len(data)
        if self._room < 0:
            write_all(self._fd, self._marker)
            self.close()

    def _go_on(self, fd: int) -> None:
        """Count, and mark, what the same attempt wrote before its engine was lost."""
        size = os.fstat(fd).st_size
        self._room -= size
        if 0 < size <= self._cap:
            write_all(fd, b"\n[dagrun: cut off here, and made again]\n")
        elif size > self._cap and _ends_with(fd, self._marker):
            self.close()


class NodeLogs:
    """The logs of all attempts, below one folder.

    Args:
        root: the folder; made when the first log is, in one that is there.
        cap: bytes that the log of one attempt may have.
    """

    def __init__(self, root: Path, *, cap: int = CAP) -> None:
        self._root, self._cap = root, cap

    def open(self, run_id: str, node_id: str, attempt: int, item: int | None = None) -> LogFile:
        """Give the log of an attempt; whoever gets it closes it.

        Raises:
            ValueError: an id is none, and might mean something to a path.
        """
        return LogFile(self._path(run_id, node_id, attempt, item), cap=self._cap)

    def read(
        self,
        run_id: str,
        node_id: str,
        attempt: int,
        item: int | None = None,
        *,
        start: int = 0,
        size: int = -1,
    ) -> bytes:
        """Give an attempt's log so far; empty if it printed nothing, or a link is in its place.

        Args:
            run_id: the run.
            node_id: the node.
            attempt: the attempt.
            item: the item; None without one.
            start: leave out so many bytes.
            size: give at most so many bytes; -1 gives all.

        Raises:
            ValueError: an id is none.
        """
        path = self._path(run_id, node_id, attempt, item)
        try:
            with open(os.open(path, os.O_RDONLY | _FLAGS), "rb") as file:  # noqa: PTH123 — Path.open follows links
                file.seek(start)
                return file.read(size)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                return b""
            raise

    def attempts(self, run_id: str, node_id: str) -> list[tuple[int | None, int]]:
        """List (item, attempt) of all logs of a node, in order; item is None without one.

        Raises:
            ValueError: an id is none.
        """
        names = (path.name for path in self._folder(run_id, node_id).glob("*.log"))
        found = [key for name in names if (key := _parse(name)) is not None]
        return sorted(found, key=lambda key: (-1 if key[0] is None else key[0], key[1]))

    def _folder(self, run_id: str, node_id: str) -> Path:
        for text, fits in ((run_id, is_id), (node_id, is_node_id)):
            if not fits(text):
                raise ValueError(f"{text!r} is no id")
        return self._root / run_id / node_id

    def _path(self, run_id: str, node_id: str, attempt: int, item: int | None) -> Path:
        prefix = "" if item is None else f"{item:d}-"
        return self._folder(run_id, node_id) / f"{prefix}{attempt:d}.log"


def _create(path: Path) -> int:
    """Open a log for its user alone, and make its folders so: whatever the umask is."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _FLAGS
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        # One after the other: the mode is not that of parents made on the way.
        for folder in reversed(path.parents[:3]):
            folder.mkdir(mode=0o700, exist_ok=True)
        return os.open(path, flags, 0o600)


def _ends_with(fd: int, text: bytes) -> bool:
    start = os.fstat(fd).st_size - len(text)
    return start >= 0 and os.pread(fd, len(text), start) == text


def _parse(name: str) -> tuple[int | None, int] | None:
    """Give the item and the attempt that a file belongs to; None for what somebody else put there."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    item, attempt = found.groups()
    return (None if item is None else int(item)), int(attempt)
