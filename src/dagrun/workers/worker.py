"""One worker process, seen from the engine: a socket for frames and a pipe for its log."""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import trio

from dagrun.errors import NodeError, WorkerDied
from dagrun.ports.executor import NodeLog
from dagrun.ports.processes import Process, Processes
from dagrun.workers.child import HEAD, NUMBER
from dagrun.workers.host import FILES, host_trouble
from dagrun.workers.log_pipe import LogPipe
from dagrun.workers.terminate import kill, terminate

READ: Final = 1 << 16  # bytes
_OTHER: Final = "the worker process sent something else than its reply"


class Worker:
    """A started worker. Serves one call at a time; :meth:`aclose` ends it."""

    def __init__(
        self, process: Process, link: socket.socket, pipe: LogPipe, arguments: tuple[str, ...]
    ) -> None:
        self.process, self.arguments = process, arguments
        self._link = link
        self._pipe = pipe
        self._calls = 0
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
            HostTrouble: no more files can be opened.
            OSError: the program cannot be started.
            WorkerDied: the guard ended.
        """
        with host_trouble(FILES):
            ours, theirs = socket.socketpair()
        pipe = _pipe_beside(ours, theirs)
        try:
            with host_trouble(FILES):
                process = await processes.spawn(
                    [*argv, *arguments],
                    env=env,
                    cwd="/",
                    stdin=theirs.fileno(),
                    stdout=pipe.write_fd,
                    stderr=pipe.write_fd,
                )
        except BaseException:
            ours.close()
            pipe.close()
            raise
        finally:
            theirs.close()
            pipe.close_writer()
        ours.setblocking(False)
        return cls(process, ours, pipe, arguments)

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

    async def call(self, request: bytes, *, log: NodeLog | None, max_reply: int) -> bytes:
        """Send a request and give the reply; what was printed before it is in the log.

        Raises:
            WorkerDied: it ended before it replied, or sent something else than its reply.
            NodeError: the reply is over ``max_reply`` bytes (type ``output``).
        """
        self._calls += 1
        number = self._calls.to_bytes(NUMBER, "little")
        self._pipe.log = log
        try:
            await self._send((NUMBER + len(request)).to_bytes(HEAD, "little") + number + request)
            reply = await self._receive(number, max_reply)
        except OSError:
            reply = None
        await self._pipe.catch_up()
        if reply is None:
            code = await self._ended()
            raise WorkerDied(f"the worker process ended with exit code {code} during a call")
        self._pipe.log = None
        return reply

    async def copy_log(self) -> None:
        """Copy what is printed to the log, until the worker has ended or is closed.

        It goes on when it is cancelled: a worker that is being stopped may still have to print.
        """
        with trio.CancelScope(shield=True):
            await self._pipe.copy()

    async def aclose(self, *, kill_after: float = 0.0) -> None:
        """End the worker with its group, and wait until it is gone.

        Args:
            kill_after: seconds between SIGTERM and SIGKILL; 0 kills at once.
        """
        if self._closed:
            return
        try:
            if kill_after > 0:
                with suppress(OSError):
                    self._link.shutdown(socket.SHUT_RDWR)  # so that it ends when its call does
                await terminate(self.process, kill_after=kill_after)
            else:
                await kill(self.process)
            await self._pipe.catch_up()
        finally:
            self._closed = True
            self._pipe.close()
            self._link.close()

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._link.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._link)

    async def _receive(self, number: bytes, limit: int) -> bytes | None:
        data = bytearray()
        begin = end = HEAD + NUMBER
        while len(data) < end:
            await trio.lowlevel.wait_readable(self._link)
            chunk = self._link.recv(READ)
            if not chunk:
                return None
            data += chunk
            if end == begin and len(data) >= begin:
                end = HEAD + _length(data, number, limit)
        if len(data) > end:
            raise WorkerDied(_OTHER)
        return bytes(data[begin:end])

    async def _ended(self) -> int:
        """Wait for the end of a worker that hung up, which it may have done while alive."""
        await kill(self.process)
        return await self.process.wait()


def _pipe_beside(*sockets: socket.socket) -> LogPipe:
    """Make the pipe, or close the sockets that were made for it."""
    try:
        return LogPipe()
    except BaseException:
        for one in sockets:
            one.close()
        raise


def _length(data: bytearray, number: bytes, limit: int) -> int:
    """Give the length of a reply, with its number. An earlier reply must not count for this one."""
    length = int.from_bytes(data[:HEAD], "little")
    if data[HEAD : HEAD + NUMBER] != number or length < NUMBER:
        raise WorkerDied(_OTHER)
    if length - NUMBER > limit:
        raise NodeError(
            "output", f"the reply has {length - NUMBER} bytes; at most {limit} are allowed"
        )
    return length
