"""Child processes that cannot outlive the engine: the engine's side of the guard.

What the two say to each other is described in :mod:`dagrun.services.guard`. All spawning is
the guard's work, on another core; there is no moment at which a child exists that it does not
know of.
"""

import errno
import math
import os
import resource
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
import trio

from dagrun.errors import WorkerDied
from dagrun.ports.processes import DEFAULT_PATH
from dagrun.workers.descriptors import duplicates
from dagrun.workers.open_files import raise_open_files

SERVICES: Final = str(Path(__file__).parent)
GUARD: Final = f"import sys; sys.path.append({SERVICES!r}); from guard.keeper import main; main()"
"""The program: it finds the package of the guard, and nothing else of dagrun."""

COMMAND = (sys.executable, "-I", "-S", "-c", GUARD)
READ: Final = 1 << 16  # bytes


@attrs.frozen(kw_only=True)
class ProcessStatistics:
    """What runs at the moment."""

    running: int
    """Children that were asked for and have not ended."""

    guard: int | None
    """Process id of the guard's keeper, or None while there is none."""


class GuardedProcess:
    """One child. Implements :class:`~dagrun.ports.processes.Process`."""

    def __init__(self, number: int, guard: "_Guard") -> None:
        self.pid = 0
        self._number = number
        self._guard = guard
        self._answered = trio.Event()
        self._ended = trio.Event()
        self._errno: int | None = None
        self._code: int | None = None

    async def wait(self) -> int:
        """Wait for the end, and give the exit code; see the port."""
        await self._ended.wait()
        if self._code is None:
            raise WorkerDied("the guard process was killed, and all that it watched ended with it")
        return self._code

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        if not self._ended.is_set():
            self._guard.send(_frame(b"kill", b"%d" % self._number, b"%d" % number))

    def terminate(self) -> None:
        """Send SIGTERM to the whole group, and let it outlive its leader; see the port."""
        if not self._ended.is_set():
            self._guard.send(_frame(b"terminate", b"%d" % self._number))

    def set_spawned(self, pid: int) -> None:
        """Hear from the guard that it has started it, as the leader of its group."""
        self.pid = pid
        self._answered.set()

    def set_failed(self, code: int) -> None:
        """Hear that it could not be started; ``code`` is the error number."""
        self._errno = code
        self._answered.set()
        self._ended.set()

    def set_exited(self, code: int) -> None:
        """Hear that it has ended, and that nothing of it is left."""
        self._code = code
        self._ended.set()

    def set_lost(self) -> None:
        """Hear that the guard is gone; the group is killed from here."""
        if self.pid and not self._ended.is_set():
            _kill_group(self.pid)
        self._answered.set()
        self._ended.set()

    async def wait_spawned(self, program: str) -> None:
        """Wait for the guard's answer; on cancellation leave no child behind."""
        try:
            await self._answered.wait()
        except trio.Cancelled:
            self.signal(signal.SIGKILL)  # comes after the request, so it finds the child
            with trio.CancelScope(shield=True):
                await self._ended.wait()
            raise
        if self._errno is not None:
            raise OSError(self._errno, os.strerror(self._errno), program)
        if not self.pid:
            raise WorkerDied("the guard process was killed before it started the program")


class GuardedProcesses:
    """Implements :class:`~dagrun.ports.processes.Processes`; works while :meth:`run` runs.

    The guard starts with the first child; if it dies, the next child gets a new one.
    """

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._guard: _Guard | None = None
        self._numbers = 0
        self._fence = math.inf
        self._ended = False

    async def run(
        self, *, task_status: trio.TaskStatus["GuardedProcesses"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled; on return no child and no descendant of one is left."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            raise_open_files()
            try:
                task_status.started(self)
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def start(self) -> None:
        """Start the guard now, so that the first child need not wait for it."""
        self._ensure_guard()
        await trio.lowlevel.checkpoint()

    def kill_all(self, *, for_good: bool = True) -> None:
        """Kill every child at once.

        Args:
            for_good: start none from now on, either.
        """
        self._ended = for_good
        if self._guard is not None:
            self._guard.end()
            self._guard.gone = True  # the next child gets a new one

    def fence_at(self, time: float) -> None:
        """Let the guard kill every child at a time, unless it is told another one before.

        It does so even if this process hangs or is frozen.

        Args:
            time: seconds of CLOCK_BOOTTIME; infinity for never.
        """
        self._fence = time
        if self._guard is not None and not self._guard.gone:
            self._guard.send(_fence_frame(time))

    def statistics(self) -> ProcessStatistics:
        """Say what runs."""
        guard = self._guard
        return ProcessStatistics(
            running=len(guard.processes) if guard else 0, guard=guard.pid if guard else None
        )

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> GuardedProcess:
        """Start a program in a new session; see the port."""
        stdio = (stdin, stdout, stderr)
        self._numbers += 1
        number = self._numbers
        frame = _spawn_frame(number, argv, env, cwd, stdio)
        guard = self._ensure_guard()
        process = GuardedProcess(number, guard)
        guard.send(frame, [fd for fd in stdio if fd is not None])  # may fail for want of files
        guard.processes[number] = process
        await process.wait_spawned(argv[0])
        return process

    def _ensure_guard(self) -> "_Guard":
        if self._nursery is None:
            raise RuntimeError("GuardedProcesses.run() is not running")
        if self._ended:
            raise WorkerDied("all child processes were killed, and none is started any more")
        if self._guard is None or self._guard.gone:
            self._guard = _Guard()
            self._nursery.start_soon(self._guard.run)
            if self._fence < math.inf:
                self._guard.send(_fence_frame(self._fence))
        return self._guard


@asynccontextmanager
async def open_processes() -> AsyncIterator[GuardedProcesses]:
    """Run :class:`GuardedProcesses` for the length of an ``async with`` block."""
    async with trio.open_nursery() as nursery:
        yield await nursery.start(GuardedProcesses().run)
        nursery.cancel_scope.cancel()


class _Guard:
    """One guard process and the socket to it."""

    def __init__(self) -> None:
        self.processes: dict[int, GuardedProcess] = {}
        self.gone = False
        self._outgoing: deque[tuple[bytes, list[int]]] = deque()
        self._waiting_to_write = trio.Event()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.pid = _start(theirs.fileno())
        self._pidfd = os.pidfd_open(self.pid)
        self._socket.setblocking(False)

    async def run(self) -> None:
        """Read replies and write what could not be written at once, until the guard ends."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._close()

    def end(self) -> None:
        """Hang up, which the guard takes for the order to kill all; the reader sees to the rest."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def send(self, frame: bytes, fds: Sequence[int] = ()) -> None:
        """Send a frame, at once if there is room; keeps copies of descriptors otherwise."""
        if not self._outgoing:
            frame, fds = self._try_send(frame, fds)
        if frame and not self.gone:
            self._outgoing.append((frame, duplicates(fds)))
            self._waiting_to_write.set()

    def _try_send(self, frame: bytes, fds: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """Send what there is room for; give what is left."""
        try:
            if fds:
                return frame[socket.send_fds(self._socket, [frame], list(fds)) :], ()
            return frame[self._socket.send(frame) :], ()
        except BlockingIOError:
            return frame, fds
        except OSError:
            return b"", ()  # the guard is gone, as the reader will see

    async def _write(self) -> None:
        while True:
            await self._waiting_to_write.wait()
            self._waiting_to_write = trio.Event()
            while self._outgoing:
                await trio.lowlevel.wait_writable(self._socket)
                self._write_some()

    def _write_some(self) -> None:
        frame, fds = self._outgoing[0]
        rest, left = self._try_send(frame, fds)
        if not left:
            _close_all(fds)
        if rest:
            self._outgoing[0] = (rest, list(left))
        else:
            self._outgoing.popleft()

    async def _read(self) -> None:
        data = bytearray()
        while chunk := await self._receive():
            data += chunk
            position = 0
            while len(data) >= position + 4:
                end = position + 4 + int.from_bytes(data[position : position + 4], "little")
                if len(data) < end:
                    break
                self._handle(bytes(data[position + 4 : end]))
                position = end
            del data[:position]

    async def _receive(self) -> bytes:
        await trio.lowlevel.wait_readable(self._socket)
        try:
            return self._socket.recv(READ)
        except BlockingIOError:
            return await self._receive()
        except OSError:
            return b""

    def _handle(self, frame: bytes) -> None:
        kind, number, value = frame.split(b"\0")
        process = self.processes[int(number)]
        if kind == b"spawned":
            process.set_spawned(int(value))
            return
        del self.processes[int(number)]
        if kind == b"failed":
            process.set_failed(int(value))
        else:
            process.set_exited(int(value))

    async def _close(self) -> None:
        """End the guard, wait for it, and release all who wait for its children."""
        self.gone = True
        self._socket.close()
        await trio.lowlevel.wait_readable(self._pidfd)
        with suppress(ChildProcessError):  # a program that ignores SIGCHLD, or reaps all there is
            os.waitpid(self.pid, 0)  # noqa: ASYNC222 — it has ended, as was waited for
        os.close(self._pidfd)
        for process in self.processes.values():
            process.set_lost()
        self.processes.clear()
        for _, fds in self._outgoing:
            _close_all(fds)


def _start(engine: int) -> int:
    """Start a guard with the socket as its standard input, and give its process id.

    It and its children inherit no signal that is blocked or ignored here, and may open no more
    files than they could if this process had not raised its own limit.
    """
    null = (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)
    pid = os.posix_spawn(
        COMMAND[0],
        COMMAND,
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, engine, 0), null, (os.POSIX_SPAWN_DUP2, 1, 2)],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )
    with suppress(OSError):  # some sandboxes know no such call; then it keeps the raised limit
        resource.prlimit(pid, resource.RLIMIT_NOFILE, raise_open_files())
    return pid


def _spawn_frame(
    number: int,
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    stdio: Sequence[int | None],
) -> bytes:
    flags = "".join("0" if fd is None else "1" for fd in stdio)
    head = ("spawn", str(number), flags, str(len(argv)), cwd, env.get("PATH", DEFAULT_PATH))
    texts = [*head, *argv, *[f"{name}={value}" for name, value in env.items()]]
    body = os.fsencode("\0".join(texts))
    if not argv or body.count(b"\0") != len(texts) - 1:
        raise OSError(errno.EINVAL, "no program, or a NUL character in an argument or variable")
    for name in env:
        if not name or "=" in name:
            raise OSError(errno.EINVAL, f"{name!r} is no name of a variable")
    return len(body).to_bytes(4, "little") + body


def _fence_frame(time: float) -> bytes:
    """Write milliseconds; nothing for never."""
    return _frame(b"fence", b"" if time == math.inf else b"%d" % (time * 1000))


def _frame(*fields: bytes) -> bytes:
    body = b"\0".join(fields)
    return len(body).to_bytes(4, "little") + body


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        return


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
