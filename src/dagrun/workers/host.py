"""What an attempt needs of the engine's machine before it starts: folders, room, open files."""

import errno
from collections.abc import Iterator, Set
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Final

from dagrun.errors import HostTrouble

FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""Error numbers that say that no more files can be opened."""

DISK: Final = FILES | {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.ENOENT,  # somebody has just deleted the folder
}
"""Those that say that a file of dagrun's own cannot be written."""


@contextmanager
def host_trouble(numbers: Set[int] = DISK) -> Iterator[None]:
    """Raise :exc:`~dagrun.errors.HostTrouble` for what is the fault of this machine.

    For what dagrun does before an attempt starts, and for nothing that a node's program does.

    Args:
        numbers: the error numbers that say so.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
        raise HostTrouble(str(error)) from error


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for its user alone.

    Raises:
        OSError: it cannot be made.
    """
    missing = list(takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
    for one in reversed(missing):  # a parent that is made on the way has another mode
        one.mkdir(mode=0o700, exist_ok=True)
