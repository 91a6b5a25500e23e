"""Child processes that cannot outlive the engine."""

from collections.abc import Mapping, Sequence
from typing import Protocol

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Process(Protocol):
    """One child, leader of a session and a process group of its own.

    When it ends, whatever else is left of it is killed: its group, and all that it started.
    """

    @property
    def pid(self) -> int:
        """The leader's process id, which is its process group's id too."""
        ...

    async def wait(self) -> int:
        """Wait for the end; give the leader's exit code, or minus the number of the signal.

        Then no other process of its group is left. May be called again, and by several tasks.

        Raises:
            WorkerDied: the guard ended, and took the process with it.
        """
        ...

    def signal(self, number: int) -> None:
        """Send a signal to the whole group. Does not block; no error if it has ended."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM to the whole group, and leave it the time to end by itself.

        When the leader ends, the others live on, and :meth:`wait` waits for them too. The caller
        ends that time with SIGKILL. Does not block; no error if it has ended.
        """
        ...


class Processes(Protocol):
    """Starts child processes. Its owner closes it; all children end with it."""

    async def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Process:
        """Start a program in a new session.

        Args:
            argv: program and arguments; the program is looked up on the PATH of ``env``.
            env: the whole environment of the child.
            cwd: absolute working directory.
            stdin: file descriptor to read from; None for ``/dev/null``. The caller keeps and
                closes its own copies of all three.
            stdout: file descriptor to write to; None for ``/dev/null``.
            stderr: file descriptor to write to; None for ``/dev/null``.

        Raises:
            OSError: the program or the directory is missing, forbidden, or no program.
            WorkerDied: the guard ended.
        """
        ...
