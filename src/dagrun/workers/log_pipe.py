"""The pipe through which a process's standard output and error reach its node's log."""

import os
from typing import Final

import trio

from dagrun.ports.executor import NodeLog

READ: Final = 1 << 16  # bytes, as much as a pipe holds
TAIL: Final = 2048  # bytes that are remembered for the error message


class LogPipe:
    """A pipe into a log. Closed by ``with``; ``write_fd`` is the end for the process."""

    def __init__(self, log: NodeLog) -> None:
        self._log = log
        self._tail = b""
        self._cut = False
        """Whether there was more before the tail."""
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._writer_open = True

    def __enter__(self) -> "LogPipe":
        return self

    def __exit__(self, *_: object) -> None:
        self.close_writer()
        os.close(self._read_fd)

    def close_writer(self) -> None:
        """Close this process's copy of the write end, once the child has its own."""
        if self._writer_open:
            self._writer_open = False
            os.close(self.write_fd)

    async def copy(self) -> None:
        """Copy until all write ends are closed."""
        while self.drain():
            await trio.lowlevel.wait_readable(self._read_fd)

    def drain(self) -> bool:
        """Copy what is there without waiting; give False at the end of the pipe."""
        while True:
            try:
                data = os.read(self._read_fd, READ)
            except BlockingIOError:
                return True
            if not data:
                return False
            self._cut = self._cut or len(self._tail) + len(data) > TAIL
            self._tail = (self._tail + data)[-TAIL:]
            self._log.write(data)

    def last_line(self, *, whole: bool = False) -> str:
        """Give the last line that is not blank, as text; empty if nothing was printed.

        Args:
            whole: give no line whose beginning is not known any more, which could be the rest of
                a secret.
        """
        lines = self._tail.decode(errors="replace").split("\n")
        if whole and self._cut:
            del lines[0]
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
