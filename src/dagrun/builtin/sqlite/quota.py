"""Finds out whether a quota is used up, for which SQLite has no word."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

PROBE: Final = 32 * 1024 * 1024
"""Bytes that are tried; more than a transaction of usual size."""

_PIECE: Final = 1024 * 1024  # bytes


def quota_is_used_up(folder: Path) -> bool:
    """Whether a file in a folder would run into a quota. It tries, and leaves nothing behind."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            for _ in range(PROBE // _PIECE):
                os.write(probe.fileno(), bytes(_PIECE))
            os.fsync(probe.fileno())  # some file systems of the network say it only then
    except OSError as error:
        return error.errno == errno.EDQUOT
    return False
