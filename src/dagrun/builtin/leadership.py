"""Which orchestrator leads: a lock on the data directory, held for as long as its process lives.

``<data>/orchestrator.lock`` stays when the lock is let go of, for whoever waits for it has it open.
While it is held it has the process id, and on a second line where the orchestrator is reached from
its machine.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import attrs

from dagrun.builtin.ownership import FOLDER, ORCHESTRATOR, lock_file, open_gate, owner_pid
from dagrun.errors import ConfigError, ConflictError


class LeaderExists(ConflictError):
    """Another orchestrator leads. ``pid`` is its process id, or 0 if that cannot be read."""

    code = "leader_exists"

    def __init__(self, data_dir: Path, pid: int) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{who} is the orchestrator of {data_dir}")


class LeaderLock:
    """The right to be the orchestrator of a data directory. Use it as ``with``.

    Args:
        data_dir: the data directory; it is made if it is missing, for its user alone.
    """

    owner: Final = ORCHESTRATOR
    """The name under which it stands in the rows of its runs."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._fd = self._gate = -1

    def __enter__(self) -> Self:
        """Take the lock, without waiting.

        Raises:
            LeaderExists: somebody else has it.
            ConflictError: the database is being replaced.
            ConfigError: the data directory cannot be written to.
        """
        path = lock_file(self._data_dir, ORCHESTRATOR)
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._data_dir / FOLDER).mkdir(mode=0o700, exist_ok=True)
            self._gate = open_gate(self._data_dir, fcntl.LOCK_SH)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            self._say(f"{os.getpid()}\n")
        except BlockingIOError:
            pid = _number(os.pread(self._fd, 32, 0).partition(b"\n")[0])
            self.__exit__()
            raise LeaderExists(self._data_dir, pid) from None
        except OSError as error:
            self.__exit__()
            why = error.strerror or error
            raise ConfigError(f"the data directory {self._data_dir}: {why}") from error
        return self

    def note(self, address: str) -> None:
        """Say where the orchestrator is reached from its machine, if there is room on the disk.

        Else commands must name it: it leads all the same.
        """
        with suppress(OSError):
            self._say(f"{os.getpid()}\n{address}\n")

    def _say(self, text: str) -> None:
        os.pwrite(self._fd, text.encode(), 0)

    def __exit__(self, *_: object) -> None:
        """Let go of the lock."""
        held, self._fd, self._gate = (self._fd, self._gate), -1, -1
        for fd in held:
            if fd >= 0:
                os.close(fd)


@attrs.frozen(kw_only=True)
class Leader:
    """The orchestrator that leads a data directory."""

    pid: int
    """Its process id, or 0 if that cannot be read."""

    address: str | None
    """Where it is reached from its machine, as ``host:port``; None before it listens."""


def leader_of(data_dir: Path) -> Leader | None:
    """Give the orchestrator that leads a data directory now, if one does.

    Raises:
        StoreError: its lock cannot be looked at.
    """
    pid = owner_pid(data_dir, ORCHESTRATOR)
    if pid is None:
        return None
    _, *more = lock_file(data_dir, ORCHESTRATOR).read_text().splitlines() or [""]
    return Leader(pid=pid, address=more[0] if more else None)


def _number(text: bytes) -> int:
    return int(text) if text.strip().isdigit() else 0
