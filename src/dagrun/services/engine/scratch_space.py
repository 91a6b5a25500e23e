"""The folder in which runs have their scratch directories, and whether it can be used."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import trio

from dagrun.domain.jsonvalue import MAX_OUTPUT
from dagrun.errors import HostTrouble
from dagrun.workers.descriptors import write_all
from dagrun.workers.host import make_private

FIRST_PAUSE: Final = 0.5  # seconds before an attempt that could not start is tried again
LONGEST_PAUSE: Final = 10.0  # seconds

ROOM: Final = MAX_OUTPUT  # bytes that must fit on the disk before it counts as usable again
DESCRIPTORS: Final = 8  # files that it must be possible to open then; an attempt takes some five

_log: Final = logging.getLogger(__name__)


class ScratchSpace:
    """The folder that holds a scratch directory for each run, on the engine's own disk.

    An attempt that cannot be prepared there has not started: it waits, and the engine is not usable
    meanwhile. Nothing is written to find out, as long as all goes well.

    Args:
        root: the folder; it is made when needed, with those above it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._in_trouble = False
        self._changed: Callable[[], None] = lambda: None

    def call_when_changed(self, changed: Callable[[], None]) -> None:
        """Call something whenever it cannot be used any more, or can again."""
        self._changed = changed

    def make(self, name: str) -> Path:
        """Give a directory in it for its user alone; it is made if it is not there.

        Raises:
            HostTrouble: it cannot be made.
        """
        directory = self.root / name
        if not os.path.isdir(directory):  # noqa: PTH112 — light, for each attempt
            try:
                make_private(directory)
            except FileExistsError:
                raise  # a node has put something else there, which no waiting removes
            except OSError as error:
                raise HostTrouble(str(error)) from error
        return directory

    def report(self, trouble: HostTrouble) -> None:
        """Hear that an attempt could not be prepared. The first time is logged."""
        if not self._in_trouble:
            self._in_trouble = True
            _log.warning("nodes wait until %s can be used again: %s", self.root, trouble)
            self._changed()

    def usable(self) -> bool:
        """Whether attempts can be prepared; after trouble it is tried."""
        if self._in_trouble and self._try():
            self._in_trouble = False
            _log.warning("%s can be used again", self.root)
            self._changed()
        return not self._in_trouble

    def _try(self) -> bool:
        try:
            make_private(self.root)
            with TemporaryFile(dir=self.root, buffering=0) as file, ExitStack() as stack:
                write_all(file.fileno(), bytes(ROOM))
                for _ in range(DESCRIPTORS):
                    stack.callback(os.close, os.dup(file.fileno()))
        except OSError:
            return False
        return True

    async def wait_usable(self, pauses: Iterator[float]) -> None:
        """Wait at least one pause, and until it can be used.

        Args:
            pauses: gives the seconds between two trials.
        """
        for pause in pauses:
            await trio.sleep(pause)
            if self.usable():
                break


def growing_pauses() -> Iterator[float]:
    """Give the seconds between the trials of one attempt."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
