"""The folder in which runs have their scratch directories, and whether it can be used."""

import logging
import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import trio

from dagrun.domain.jsonvalue import MAX_AGGREGATE
from dagrun.errors import HostTrouble
from dagrun.workers.host import make_private

FIRST_PAUSE: Final = 0.5  # seconds before it is first tried whether the disk can be used again
LONGEST_PAUSE: Final = 10.0  # seconds

ROOM: Final = MAX_AGGREGATE  # bytes that must fit on the disk before it counts as usable again
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
        self._usable = trio.Event()
        self._usable.set()
        self._recovered = -math.inf
        self._pause = FIRST_PAUSE
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
        if not directory.is_dir():
            try:
                make_private(directory)
            except FileExistsError:
                raise  # a node has put something else there, which no waiting removes
            except OSError as error:
                raise HostTrouble(str(error)) from error
        return directory

    def report(self, trouble: HostTrouble) -> bool:
        """Hear that an attempt could not be prepared. Give True if :meth:`recover` is to be run."""
        if not self.usable():
            return False
        relapse = trio.current_time() - self._recovered < LONGEST_PAUSE
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if relapse else FIRST_PAUSE
        self._usable = trio.Event()
        _log.warning("nodes wait until %s can be used again: %s", self.root, trouble)
        self._changed()
        return True

    def usable(self) -> bool:
        """Whether attempts can be prepared, as far as is known."""
        return self._usable.is_set()

    async def wait_usable(self) -> None:
        """Wait until attempts can be prepared."""
        await self._usable.wait()

    async def recover(self) -> None:
        """Try with growing pauses until attempts can be prepared again, and say so."""
        await trio.sleep(self._pause)
        while not await trio.to_thread.run_sync(self._has_room, abandon_on_cancel=True):
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            await trio.sleep(self._pause)
        self._recovered = trio.current_time()
        self._usable.set()
        _log.warning("%s can be used again", self.root)
        self._changed()

    def _has_room(self) -> bool:
        try:
            make_private(self.root)
            with TemporaryFile(dir=self.root, buffering=0) as file, ExitStack() as stack:
                os.posix_fallocate(file.fileno(), 0, ROOM)
                for _ in range(DESCRIPTORS):
                    stack.callback(os.close, os.dup(file.fileno()))
        except OSError:
            return False
        return True
