"""What the guard asks of the operating system."""

import errno
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36


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
