"""What files, pipes and sockets have in common. Imports next to nothing."""

import os


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``; one call of the system may take a part of it only."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
