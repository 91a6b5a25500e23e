"""The guard: does what the engine asks for, until either is gone."""

import errno
import os
import select
import signal
import socket
from collections import deque

from .descendants import Descendants
from .system import now

FENCE_LOOK = 1000  # milliseconds between looks at a clock that also runs in a suspended machine
LOOK = 50  # milliseconds between looks whether a group that was told to terminate is empty
READ = 1 << 16  # bytes
MAX_FDS = 48  # three a request; a read returns those of one request only


class Guard:
    """Starts, watches and kills.

    Args:
        engine: the connected socket.
        devnull: a descriptor of ``/dev/null``.
        keeper: the read end of a pipe that ends with the keeper.
    """

    def __init__(self, engine: socket.socket, devnull: int, keeper: int) -> None:
        self.engine, self.keeper = engine, keeper
        self.descendants = Descendants(devnull, lambda *end: self.reply(b"exited", *end))
        self.data = bytearray()
        self.fds: deque[int] = deque()
        self.fence: int | None = None
        self.wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Work until the engine or the keeper is gone."""
        poll = select.poll()
        for source in (self.engine, self.wake_read, self.keeper):
            poll.register(source, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll(self.patience())]
            if self.fence is not None and now() >= self.fence:
                return
            if self.wake_read in ready:
                os.read(self.wake_read, READ)
            if self.wake_read in ready or self.descendants.terminated:
                self.descendants.reap()
            if self.engine.fileno() in ready and not self.receive():
                return
            if self.keeper in ready:
                return

    def patience(self) -> int | None:
        """Give the milliseconds until something has to be looked at, though nothing happens."""
        times = [LOOK] if self.descendants.terminated else []
        if self.fence is not None:
            times.append(min(max(self.fence - now(), 0), FENCE_LOOK))
        return min(times, default=None)

    def receive(self) -> bool:
        """Handle what the engine sent; say whether it is still there."""
        data, control, _, _ = self.engine.recvmsg(
            READ, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, payload in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self.fds.extend(memoryview(payload).cast("i"))
        self.data += data
        while (frame := self.next_frame()) is not None:
            self.handle(frame)
        return bool(data)

    def next_frame(self) -> bytes | None:
        """Take one whole frame from what was received."""
        end = 4 + int.from_bytes(self.data[:4], "little")
        if len(self.data) < max(end, 4):
            return None
        frame = bytes(self.data[4:end])
        del self.data[:end]
        return frame

    def handle(self, frame: bytes) -> None:
        """Carry out one request."""
        kind, number, *fields = frame.split(b"\0")
        if kind == b"fence":
            self.fence = int(number) if number else None
            return
        if kind == b"kill":
            self.descendants.kill(number, int(fields[0]))
            return
        if kind == b"terminate":
            self.descendants.terminate(number)
            return
        stdio, argc, cwd, path, *rest = fields
        passed = [self.fds.popleft() if flag == 49 else None for flag in stdio]  # 49 is b"1"[0]
        try:
            argv, variables = rest[: int(argc)], rest[int(argc) :]
            pid = self.descendants.spawn(number, argv, variables, cwd, path, passed)
        except OSError as error:
            self.reply(b"failed", number, error.errno or errno.EINVAL)
        except ValueError:  # a name that no variable can have
            self.reply(b"failed", number, errno.EINVAL)
        else:
            self.reply(b"spawned", number, pid)
        finally:
            for fd in passed:
                if fd is not None:
                    os.close(fd)

    def reply(self, kind: bytes, number: bytes, value: int) -> None:
        """Tell the engine; that it is gone is noticed by the next read."""
        body = b"%b\0%b\0%d" % (kind, number, value)
        try:
            self.engine.sendall(len(body).to_bytes(4, "little") + body)
        except OSError:
            return
