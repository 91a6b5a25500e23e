"""What an engine has on its disk: a folder for each of its lives."""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

LOGS: Final = "logs"
SCRATCH: Final = "scratch"
STALE: Final = 86400.0
"""Seconds for which somebody may look at what an engine left that was killed."""


@contextmanager
def engine_folder(root: Path) -> Iterator[Path]:
    """Make a folder for the length of the block, with a lock by which others see that it is used.

    It goes with the block, but for logs that are in it then. Old ones go before it, of engines
    that do not live any more.

    Args:
        root: holds such folders; its own parent must be there.
    """
    root.mkdir(mode=0o700, exist_ok=True)
    _sweep(root)
    folder = root / secrets.token_hex(8)
    folder.mkdir(mode=0o700)
    lock = _open(folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)
        with suppress(OSError):  # there are logs in it
            if (folder / LOGS).exists():
                (folder / LOGS).rmdir()
            folder.rmdir()
        os.close(lock)


def _sweep(root: Path) -> None:
    for folder in root.iterdir():
        with suppress(OSError):  # in use, gone meanwhile, or no folder
            lock = _open(folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - _last_change(folder) > STALE:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _last_change(folder: Path) -> float:
    """Give when something in a folder was last made, written or removed, in seconds since 1970."""
    return max(os.lstat(path).st_mtime for path in (folder, *folder.rglob("*")))
