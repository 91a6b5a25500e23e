"""How many files may be open at once: as many as possible here, and as before in children."""

import resource
from functools import cache
from typing import Final

MOST: Final = 1 << 20
"""Files. Some hard limits are a thousand times as high, and some programs close each number."""


@cache
def raise_open_files() -> tuple[int, int]:
    """Raise this process's limit of open files as far as the system allows; does so once.

    A node takes two or three descriptors while it runs, and the usual limit is 1024. A child should
    not inherit the raised limit: a program that uses ``select`` knows no number above 1023.

    Returns:
        The soft and the hard limit that were found, for the children.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft, hard
