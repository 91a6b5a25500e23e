"""What files, pipes and sockets have in common. Imports next to nothing."""

import os
from collections.abc import Iterable


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``; one call of the system may take a part of it only."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def duplicates(fds: Iterable[int]) -> list[int]:
    """Duplicate descriptors, all of them or none.

    Raises:
        OSError: no more may be open.
    """
    copies: list[int] = []
    try:
        copies.extend(os.dup(fd) for fd in fds)
    except OSError:
        for fd in copies:
            os.close(fd)
        raise
    return copies
