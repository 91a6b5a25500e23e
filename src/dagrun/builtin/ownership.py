"""Who executes a run: a lock file that the process holds for as long as it lives.

``<data>/owners/<id>.lock`` is locked with ``flock`` and holds the process id. The operating system
lets go of the lock however the process ends, so a lock that can be taken means a dead owner.

``<data>/restore.lock`` is shared by all owners, and by who deletes runs, so that whoever replaces
the database has it alone.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from dagrun.domain.ids import is_id
from dagrun.errors import ConfigError, ConflictError, StoreError, StoreFull

FOLDER: Final = "owners"
GATE: Final = "restore.lock"
ORCHESTRATOR: Final = "orchestrator"
"""The owner of the runs of whichever process is the orchestrator, see
:mod:`dagrun.builtin.leadership`."""

HOUR: Final = 3600.0  # seconds


class OwnerLock:
    """A new owner's lock. Use it as ``with``; leaving gives it back.

    Args:
        data_dir: the data directory; it is made if it is missing, for its user alone.
    """

    def __init__(self, data_dir: Path) -> None:
        self.owner = secrets.token_hex(8)
        """The name under which the owner stands in a run's row."""

        self._path = lock_file(data_dir, self.owner)
        self._fd = self._gate = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            ConfigError: the data directory cannot be written to.
            ConflictError: its database is being replaced.
            StoreFull: there is no room on its disk.
        """
        try:
            # One after the other: the mode is not that of parents made on the way.
            self._path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._gate = open_gate(self._path.parent.parent, fcntl.LOCK_SH)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._fd, b"%d\n" % os.getpid())
        except OSError as error:
            if self._fd >= 0:
                self._path.unlink(missing_ok=True)
            self._let_go()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"{self._path.parent.parent}: {error.strerror}") from error
            why = error.strerror or error
            raise ConfigError(f"the data directory {self._path.parent.parent}: {why}") from error
        _sweep(self._path.parent)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back, and remove its file.

        Nobody can be waiting for this file: its name was never used before, and whoever looks at
        it later finds it missing, which means a dead owner, too.
        """
        self._path.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        held, self._fd, self._gate = (self._fd, self._gate), -1, -1
        for fd in held:
            if fd >= 0:
                os.close(fd)


@contextmanager
def shared_use(data_dir: Path) -> Iterator[None]:
    """Let nobody replace the database of a data directory, for who writes to it and owns no run.

    Raises:
        ConflictError: it is being replaced.
        ConfigError: the data directory cannot be written to.
    """
    try:
        gate = open_gate(data_dir, fcntl.LOCK_SH)
    except OSError as error:
        raise ConfigError(f"the data directory {data_dir}: {error.strerror or error}") from error
    try:
        yield
    finally:
        os.close(gate)


@contextmanager
def sole_use(data_dir: Path) -> Iterator[None]:
    """Keep owners out of a data directory; it is made if it is missing.

    Raises:
        ConflictError: there is an owner, or somebody else keeps them out.
        OSError: the data directory cannot be written to.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    gate = open_gate(data_dir, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(gate)


def open_gate(data_dir: Path, mode: int) -> int:
    """Take the lock that all owners share, without waiting. Give its file descriptor.

    The file stays when it is let go of: who opened it before it was removed would have another.
    """
    fd = os.open(data_dir / GATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        if mode == fcntl.LOCK_SH:
            raise ConflictError(
                f"the database of {data_dir} is being restored; try again when that is done"
            ) from None
        pids = ", ".join(map(str, live_owners(data_dir)))
        who = f"process {pids}" if pids else "another process"
        raise ConflictError(f"{data_dir} is used by {who}; end it first") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def owner_pid(data_dir: Path, owner: str) -> int | None:
    """Give the process id of a live owner; None when it has ended.

    A live owner whose process id cannot be read is given as 0.

    Raises:
        StoreError: its lock cannot be looked at. That does not mean that it has ended.
    """
    if not is_id(owner):
        return None
    try:
        fd = os.open(lock_file(data_dir, owner), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the owner of a run cannot be looked up: {error}") from error
    try:
        return _holder(fd) if _is_locked(fd) else None
    finally:
        os.close(fd)


def live_owners(data_dir: Path) -> list[int]:
    """Give the process ids of all live owners in a data directory.

    Raises:
        StoreError: a lock cannot be looked at.
    """
    owners = [path.stem for path in (data_dir / FOLDER).glob("*.lock")]
    found = [owner_pid(data_dir, owner) for owner in (*owners, ORCHESTRATOR)]
    return sorted(pid for pid in found if pid is not None)


def _is_locked(fd: int) -> bool:
    """Try the lock in shared mode, so that two who look do not take each other for the owner."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def _holder(fd: int) -> int:
    try:
        return int(os.read(fd, 32).partition(b"\n")[0])
    except ValueError:
        return 0


def _sweep(folder: Path) -> None:
    """Remove the files of owners that died without doing so."""
    for path in folder.glob("*.lock"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            # The owner locks its file right after making it; a new file without content may be
            # one between the two, and is left alone.
            about = os.fstat(fd)
            made = about.st_size or time.time() - about.st_mtime > HOUR
            if made and not _is_locked(fd):
                path.with_suffix(".sock").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
        finally:
            os.close(fd)


def lock_file(data_dir: Path, owner: str) -> Path:
    """Give the file that an owner locks."""
    if owner == ORCHESTRATOR:
        return data_dir / f"{owner}.lock"
    return data_dir / FOLDER / f"{owner}.lock"
