"""What the guard has started, and what descends from that."""

import os
import resource
import signal
from collections.abc import Callable

from .system import find, group_exists, kill, kill_group, own_children

MARK = 10
"""The limit of file locks, RLIMIT_LOCKS. No Linux since 2.4.25 obeys it, but every child inherits
it: its value is the mark by which a descendant is recognised that left its session."""

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEFAULTS = (*IGNORED, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)


class Child:
    """One process that the engine asked for."""

    def __init__(self, number: bytes, pid: int) -> None:
        self.number, self.pid = number, pid
        self.code: int | None = None
        self.left: set[int] = set()


class Descendants:
    """Starts programs, and ends all that they leave behind.

    Args:
        devnull: a descriptor of ``/dev/null``.
        exited: hears the number and the exit code of a child that is gone, with all that descended
            from it.
    """

    def __init__(self, devnull: int, exited: Callable[[bytes, int], None]) -> None:
        self.devnull, self.exited = devnull, exited
        self.children: dict[bytes, Child] = {}
        self.leaders: dict[int, Child] = {}
        self.terminated: set[Child] = set()
        self.marks = int.from_bytes(os.urandom(7), "little")  # a dagrun in a node has other ones

    def spawn(
        self,
        number: bytes,
        argv: list[bytes],
        variables: list[bytes],
        cwd: bytes,
        path: bytes,
        stdio: list[int | None],
    ) -> int:
        """Start a program in a session of its own, and give its process id.

        Raises:
            OSError: it cannot be started.
            ValueError: a variable has a name that no variable can have.
        """
        self.mark(number)
        pid = self.start(argv, variables, cwd, path, stdio)
        self.children[number] = self.leaders[pid] = Child(number, pid)
        return pid

    def start(
        self,
        argv: list[bytes],
        variables: list[bytes],
        cwd: bytes,
        path: bytes,
        stdio: list[int | None],
    ) -> int:
        """Start it."""
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
        self.exited(child.number, child.code or 0)
