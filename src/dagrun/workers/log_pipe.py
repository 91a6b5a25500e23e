"""The pipe through which a process's standard output and error reach its node's log."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from dagrun.ports.executor import NodeLog
from dagrun.workers.host import FILES, host_trouble

READ: Final = 1 << 16  # bytes that are copied before other tasks have their turn


class LogPipe:
    """A pipe into a log. Closed by ``with``; ``write_fd`` is the end for the process.

    Args:
        log: gets what comes out of the pipe; may be changed at any time. Without one that is
            dropped.

    Raises:
        HostTrouble: no more files can be opened.
    """

    def __init__(self, log: NodeLog | None = None) -> None:
        self.log = log
        with host_trouble(FILES):
            self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._open = self._writer_open = True

    def __enter__(self) -> "LogPipe":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both ends; :meth:`copy` returns."""
        self.close_writer()
        if self._open:
            self._open = False
            trio.lowlevel.notify_closing(self._read_fd)
            os.close(self._read_fd)

    def close_writer(self) -> None:
        """Close this process's copy of the write end, once the child has its own."""
        if self._writer_open:
            self._writer_open = False
            os.close(self.write_fd)

    @asynccontextmanager
    async def copied(self) -> AsyncIterator[None]:
        """Copy while the block runs, though it is cancelled, and then what the pipe still holds.

        A process that is being stopped may have much to say, and waits while nobody reads it.
        """
        scope = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._copy_within, scope)
            try:
                yield
            finally:
                scope.cancel()
        await self.catch_up()

    async def _copy_within(self, scope: trio.CancelScope) -> None:
        with scope:
            await self.copy()

    async def copy(self) -> None:
        """Copy until all write ends are closed, or the pipe is."""
        try:
            while self._copy_some() != 0:
                await trio.lowlevel.wait_readable(self._read_fd)
        except trio.ClosedResourceError:
            return

    async def catch_up(self) -> None:
        """Copy what the pipe holds now, whatever is cancelled, and not what others still add."""
        room = fcntl.fcntl(self._read_fd, fcntl.F_GETPIPE_SZ) if self._open else 0
        while room > 0 and (size := self._copy_some()):
            room -= size
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _copy_some(self) -> int | None:
        """Give how many bytes were there, at most READ; 0 at the end, None if there may be more."""
        if not self._open:
            return 0
        try:
            data = os.read(self._read_fd, READ)
        except BlockingIOError:
            return None
        if data and self.log is not None:
            self.log.write(data)
        return len(data)
