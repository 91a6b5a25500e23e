"""One worker process, seen from the engine: a socket for frames and a pipe for its log."""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress

import trio

from dagrun.errors import NodeError, WorkerDied
from dagrun.ports.executor import NodeLog
from dagrun.ports.processes import Process, Processes
from dagrun.workers.terminate import kill, terminate

READ = 1 << 16  # bytes
HEAD = 4  # bytes; the length in front of a frame


class Worker:
    """A started worker. Serves one call at a time; :meth:`aclose` ends it."""

    def __init__(
        self, process: Process, link: socket.socket, log_fd: int, arguments: tuple[str, ...]
    ) -> None:
        self.process, self.arguments = process, arguments
        self.log: NodeLog | None = None
        self._link = link
        self._log_fd = log_fd
        self._closed = False

    @classmethod
    async def start(
        cls,
        processes: Processes,
        argv: Sequence[str],
        env: Mapping[str, str],
        arguments: tuple[str, ...] = (),
    ) -> "Worker":
        """Start a worker with ``arguments`` behind ``argv``; calls may be sent at once.

        Raises:
            OSError: the program cannot be started.
            WorkerDied: the guard ended.
        """
        ours, theirs = socket.socketpair()
        log_read, log_write = os.pipe()
        try:
            process = await processes.spawn(
                [*argv, *arguments],
                env=env,
                cwd="/",
                stdin=theirs.fileno(),
                stdout=log_write,
                stderr=log_write,
            )
        except BaseException:
            ours.close()
            os.close(log_read)
            raise
        finally:
            theirs.close()
            os.close(log_write)
        ours.setblocking(False)
        os.set_blocking(log_read, False)
        return cls(process, ours, log_read, arguments)

    def is_alive(self) -> bool:
        """Whether an idle worker can take a request: it has said nothing and not hung up."""
        if self._closed:
            return False
        try:
            self._link.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    async def call(self, request: bytes, *, max_reply: int) -> bytes:
        """Send a request and give the reply; what was printed before it is in the log.

        Raises:
            WorkerDied: it ended before it replied.
            NodeError: the reply is over ``max_reply`` bytes (type ``output``).
        """
        try:
            await self._send(len(request).to_bytes(HEAD, "little") + request)
            reply = await self._receive(max_reply)
        except OSError:
            reply = None
        self.drain()
        if reply is None:
            code = await self._ended()
            raise WorkerDied(f"the worker process ended with exit code {code} during a call")
        return reply

    async def copy_log(self) -> None:
        """Copy what is printed to the log, until the worker has ended or is closed."""
        try:
            while self.drain():
                await trio.lowlevel.wait_readable(self._log_fd)
        except trio.ClosedResourceError:
            return

    def drain(self) -> bool:
        """Copy what has been printed so far; give False at the end."""
        while not self._closed:
            try:
                data = os.read(self._log_fd, READ)
            except BlockingIOError:
                return True
            if not data:
                return False
            if self.log is not None:
                self.log.write(data)
        return False

    async def aclose(self, *, kill_after: float = 0.0) -> None:
        """End the worker with its group, and wait until it is gone.

        Args:
            kill_after: seconds between SIGTERM and SIGKILL; 0 kills at once.
        """
        if self._closed:
            return
        if kill_after > 0:
            with suppress(OSError):
                self._link.shutdown(socket.SHUT_RDWR)  # so that it ends when its call does
            await terminate(self.process, kill_after=kill_after)
        else:
            await kill(self.process)
        self.drain()
        self._closed = True
        trio.lowlevel.notify_closing(self._log_fd)
        os.close(self._log_fd)
        self._link.close()

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._link.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._link)

    async def _receive(self, limit: int) -> bytes | None:
        data = bytearray()
        end = HEAD
        while len(data) < end:
            await trio.lowlevel.wait_readable(self._link)
            chunk = self._link.recv(READ)
            if not chunk:
                return None
            data += chunk
            if end == HEAD and len(data) >= HEAD:
                end = HEAD + _length(data, limit)
        return bytes(data[HEAD:end])

    async def _ended(self) -> int:
        """Wait for the end of a worker that hung up, which it may have done while alive."""
        await kill(self.process)
        return await self.process.wait()


def _length(data: bytearray, limit: int) -> int:
    length = int.from_bytes(data[:HEAD], "little")
    if length > limit:
        raise NodeError("output", f"the reply has {length} bytes; at most {limit} are allowed")
    return length
