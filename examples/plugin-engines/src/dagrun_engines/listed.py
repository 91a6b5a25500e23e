"""The discovery ``file``: the engines that a file lists."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import trio

from dagrun.ports.discovery import Found

NAME: Final = "engines.txt"
LOOK: Final = 1.0  # seconds from one look at the file to the next
MOST: Final = 1024 * 1024  # bytes of the file that are read

ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")

_log: Final = logging.getLogger(__name__)


class FileDiscovery:
    """Tells which engines stand in ``engines.txt``: ``host:port``, one a line; ``#`` is a comment.

    Change the file by renaming a new one to it: one that is written in place may be read half.

    Args:
        folder: where the file is, or may be later.
    """

    settings: ClassVar[Mapping[str, str]] = {"folder": "data_dir"}

    def __init__(self, *, folder: Path) -> None:
        self._file = Path(folder) / NAME

    async def run(
        self, found: Found, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Tell whenever the file has changed. While there is none, the last list holds."""
        task_status.started()
        told: str | None = None
        while True:
            text = await trio.to_thread.run_sync(_read, self._file)
            if text is not None and text != told:
                found(_addresses(text, self._file))
                told = text
            await trio.sleep(LOOK)


def _read(file: Path) -> str | None:
    try:
        if not file.is_file():  # reading something else, such as a pipe, might take for ever
            return None
        with file.open("rb") as opened:
            return opened.read(MOST).decode(errors="replace")
    except OSError:
        return None


def _addresses(text: str, file: Path) -> Sequence[str]:
    """Give each address once, and tell of lines that are none."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    wanted = dict.fromkeys(line for line in lines if line)
    for line in wanted:
        if not ADDRESS.fullmatch(line):
            _log.warning("%s: %r is no host:port", file, line[:100])
    return [line for line in wanted if ADDRESS.fullmatch(line)]
