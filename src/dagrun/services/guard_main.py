"""The guard: a small process that starts all children of an engine, and ends with it.

It runs alone (``python -I -S guard_main.py``), with the engine's socket as its standard input,
and imports as little as it can: its start-up stands before an engine's first node.

It is two processes: the keeper, which the engine started, only waits for the guard, which it
forked. Whichever of the two is killed, the other one kills every descendant. Both hold the engine's
socket, so that its end tells the engine that nothing is left.

Both directions carry frames: 4 bytes of length, little-endian, then fields joined by NUL, which
no argument, variable or path can hold. Requests::

    spawn      number  stdio  argc  cwd  PATH  argv…  NAME=value…    (with descriptors: SCM_RIGHTS)
    kill       number  signal
    terminate  number
    fence      time             (milliseconds of CLOCK_BOOTTIME; nothing for never)

``stdio`` holds a ``1`` for each of the three standard streams whose descriptor came along, and a
``0`` for each that becomes ``/dev/null``. What is left of a group when its leader ends is killed,
unless the group was told to terminate: then it lives until it is empty, or until ``kill`` is told
to kill it. At the time of the fence the guard ends, and kills all that it started, unless it was told
another time before: so an engine that hangs or is frozen does nothing for longer than it may. Replies::

    spawned  number  pid
    failed   number  errno
    exited   number  code                        (minus the signal, if one ended it)

The end of the engine's socket, whatever caused it, is the order to kill every descendant.
"""

import errno
import os
import resource
import select
import signal
import socket
import time
from collections import deque

MARK = 10
"""The limit of file locks, RLIMIT_LOCKS. No Linux since 2.4.25 obeys it, but every child inherits
it: its value is the mark by which a descendant is recognised that left its session."""

FENCE_LOOK = 1000  # milliseconds between looks at a clock that also runs in a suspended machine
LOOK = 50  # milliseconds between looks whether a group that was told to terminate is empty
PR_SET_CHILD_SUBREAPER = 36
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEFAULTS = (*IGNORED, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
READ = 1 << 16  # bytes
MAX_FDS = 48  # three a request; a read returns those of one request only


class Child:
    """One process that the engine asked for."""

    def __init__(self, number: bytes, pid: int) -> None:
        self.number, self.pid = number, pid
        self.code: int | None = None
        self.left: set[int] = set()


class Guard:
    """Starts, watches and kills.

    Args:
        engine: the connected socket.
        devnull: a descriptor of ``/dev/null``.
        keeper: the read end of a pipe that ends with the keeper.
    """

    def __init__(self, engine: socket.socket, devnull: int, keeper: int) -> None:
        self.engine, self.devnull, self.keeper = engine, devnull, keeper
        self.data = bytearray()
        self.fds: deque[int] = deque()
        self.children: dict[bytes, Child] = {}
        self.leaders: dict[int, Child] = {}
        self.terminated: set[Child] = set()
        self.fence: int | None = None
        self.marks = int.from_bytes(os.urandom(7), "little")  # a dagrun in a node has other ones
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
            if self.wake_read in ready or self.terminated:
                self.reap()
            if self.engine.fileno() in ready and not self.receive():
                return
            if self.keeper in ready:
                return

    def patience(self) -> int | None:
        """Give the milliseconds until something has to be looked at, though nothing happens."""
        times = [LOOK] if self.terminated else []
        if self.fence is not None:
            times.append(min(max(self.fence - now(), 0), FENCE_LOOK))
        return min(times, default=None)

    # requests

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
            self.kill(number, int(fields[0]))
            return
        if kind == b"terminate":
            self.terminate(number)
            return
        stdio, argc, cwd, path, *rest = fields
        passed = [self.fds.popleft() if flag == 49 else None for flag in stdio]  # 49 is b"1"[0]
        try:
            self.mark(number)
            pid = self.spawn(rest[: int(argc)], rest[int(argc) :], cwd, path, passed)
        except OSError as error:
            self.reply(b"failed", number, error.errno or errno.EINVAL)
        except ValueError:  # a name that no variable can have
            self.reply(b"failed", number, errno.EINVAL)
        else:
            self.children[number] = self.leaders[pid] = Child(number, pid)
            self.reply(b"spawned", number, pid)
        finally:
            for fd in passed:
                if fd is not None:
                    os.close(fd)

    def spawn(
        self,
        argv: list[bytes],
        variables: list[bytes],
        cwd: bytes,
        path: bytes,
        stdio: list[int | None],
    ) -> int:
        """Start a program in a session of its own."""
        env = dict(variable.split(b"=", 1) for variable in variables)
        actions = [
            (os.POSIX_SPAWN_DUP2, self.devnull if fd is None else fd, place)
            for place, fd in enumerate(stdio)
        ]
        os.chdir(cwd)
        try:
            return os.posix_spawn(
                find(argv[0], path),
                argv,
                env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=DEFAULTS,
            )
        finally:
            os.chdir("/")  # pins no directory that somebody wants to remove or unmount

    def mark(self, number: bytes) -> None:
        """Let the next child inherit its mark, if the system allows marks of this size."""
        try:
            _, hard = resource.getrlimit(MARK)
            resource.setrlimit(MARK, (self.marks + int(number), hard))
        except (OSError, ValueError):
            return

    def kill(self, number: bytes, what: int) -> None:
        """Send a signal to the group of a child that is not over yet."""
        child = self.children.get(number)
        if child is None or self.is_over(child):
            return
        kill_group(child.pid, what)
        if what == signal.SIGKILL and child in self.terminated:
            self.terminated.remove(child)
            self.reap()

    def terminate(self, number: bytes) -> None:
        """Send SIGTERM to the group of a child, and from now on let it outlive its leader."""
        child = self.children.get(number)
        if child is not None and not self.is_over(child):
            kill_group(child.pid, signal.SIGTERM)
            self.terminated.add(child)

    def is_over(self, child: Child) -> bool:
        """Whether a child has ended, and its group need not live on."""
        return child.code is not None and child not in self.terminated

    def reply(self, kind: bytes, number: bytes, value: int) -> None:
        """Tell the engine; that it is gone is noticed by the next read."""
        body = b"%b\0%b\0%d" % (kind, number, value)
        try:
            self.engine.sendall(len(body).to_bytes(4, "little") + body)
        except OSError:
            return

    # ends

    def reap(self) -> None:
        """Take the exit codes of all that ended, and end what they left behind."""
        while self.reap_one():
            pass
        if self.terminated:
            self.settle()
        orphans = self.orphans()
        for pid in orphans:
            self.end_orphan(pid)
        for child in [child for child in self.children.values() if self.is_over(child)]:
            child.left.intersection_update(orphans)
            if not child.left:
                self.forget(child)

    def reap_one(self) -> bool:
        """Reap one child, if any has ended. Its group is killed while its id is still taken.

        The id of a group that lives on stays taken, as long as one process is in it.
        """
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return False
        if ended is None:
            return False
        child = self.leaders.get(ended.si_pid)
        if child is not None and child not in self.terminated:
            kill_group(child.pid, signal.SIGKILL)
        _, status = os.waitpid(ended.si_pid, 0)
        if child is not None:
            child.code = os.waitstatus_to_exitcode(status)
        return True

    def settle(self) -> None:
        """Find the groups that have ended as they were told to."""
        for child in list(self.terminated):
            if child.code is not None and not group_exists(child.pid):
                self.terminated.remove(child)

    def orphans(self) -> list[int]:
        """List the children that nobody asked for: they outlived the parent they had."""
        return [
            pid
            for pid in own_children()
            if (child := self.leaders.get(pid)) is None or child.code is not None
        ]

    def end_orphan(self, pid: int) -> None:
        """Kill an orphan, unless it belongs, or may belong, to a child that still runs."""
        owner = self.owner(pid)
        if owner is None:
            doomed = all(self.is_over(child) for child in self.children.values())
        else:
            doomed = self.is_over(owner)
        if doomed and kill(pid) and owner is not None:
            owner.left.add(pid)

    def owner(self, pid: int) -> Child | None:
        """Find out from whom an orphan descends: by its session, or else by its mark."""
        try:
            return self.leaders.get(os.getsid(pid)) or self.marked(pid)
        except OSError:
            return None

    def marked(self, pid: int) -> Child | None:
        """Find the child whose mark a process has inherited."""
        mark, _ = resource.prlimit(pid, MARK)
        return self.children.get(b"%d" % (mark - self.marks))

    def forget(self, child: Child) -> None:
        """Report a child's end: it and all that descended from it are gone."""
        del self.children[child.number]
        del self.leaders[child.pid]
        self.reply(b"exited", child.number, child.code or 0)


def now() -> int:
    """Give the milliseconds since the machine was started, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def find(program: bytes, path: bytes) -> bytes:
    """Look a program up as ``execvp`` does."""
    if b"/" in program:
        return program
    missing: type[OSError] = FileNotFoundError
    for folder in path.split(b":"):
        candidate = os.path.join(folder or b".", program)  # noqa: PTH118 — pathlib costs 5 ms
        if os.path.isfile(candidate):  # noqa: PTH113 — as above
            if os.access(candidate, os.X_OK):
                return candidate
            missing = PermissionError
    raise missing(errno.EACCES if missing is PermissionError else errno.ENOENT, "not found on PATH")


def kill(pid: int) -> bool:
    """Kill a process that may have ended; say whether it is allowed to."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except OSError:  # of another user
        return False
    return True


def kill_group(pid: int, what: int) -> None:
    """Signal a process group that may be gone."""
    try:
        os.killpg(pid, what)
    except OSError:
        return


def group_exists(pid: int) -> bool:
    """Whether a process is in the group, a zombie too."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of other users
        return True
    return True


def own_children() -> list[int]:
    """List all children of this process, adopted ones too."""
    try:
        with open("/proc/thread-self/children", "rb") as file:  # noqa: PTH123 — as above
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def kill_everything() -> None:
    """Kill all descendants. Each death hands the dead one's children to this process.

    Those of other users, which it is not allowed to kill, are not waited for.
    """
    while any(list(map(kill_with_group, own_children()))):  # a list: all at once
        os.waitpid(-1, 0)


def kill_with_group(pid: int) -> bool:
    """Kill a process and, if it leads one, its group; say whether it is allowed to."""
    kill_group(pid, signal.SIGKILL)
    return kill(pid)


def adopt_orphans() -> None:
    """Ask the system to make orphaned descendants children of this process, where it can."""
    try:
        import ctypes  # noqa: PLC0415 — may be missing

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def take_descriptors() -> tuple[socket.socket, int]:
    """Give the engine's socket and a descriptor of ``/dev/null``; close all others."""
    engine = socket.socket(fileno=os.dup(0))
    devnull = os.open("/dev/null", os.O_RDWR)
    os.dup2(devnull, 0)
    keep = sorted((engine.fileno(), devnull))
    os.closerange(3, keep[0])
    os.closerange(keep[0] + 1, keep[1])
    os.closerange(keep[1] + 1, os.sysconf("SC_OPEN_MAX"))
    return engine, devnull


def guard(engine: socket.socket, devnull: int, keeper: int) -> None:
    """Guard until the engine's socket ends, or the keeper does."""
    adopt_orphans()
    try:
        Guard(engine, devnull, keeper).serve()
    except OSError:
        return


def main() -> None:
    """Be the keeper and the guard; each of them leaves nothing behind."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    engine, devnull = take_descriptors()
    os.chdir("/")
    adopt_orphans()
    ended, alive = os.pipe()
    guard_pid = os.fork()
    try:
        if guard_pid:
            os.close(ended)
            os.waitpid(guard_pid, 0)
        else:
            os.close(alive)
            guard(engine, devnull, ended)
    finally:
        kill_everything()
        os._exit(0)  # the usual end costs 5 ms, as each half copies the memory that they share


if __name__ == "__main__":
    main()
