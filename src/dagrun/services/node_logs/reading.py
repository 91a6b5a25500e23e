"""Reads the log of one attempt while it is written."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dagrun.services.node_logs.log_file import SEAM, length_of, read_file
from dagrun.services.node_logs.names import Part

LATE: Final = b"\n[dagrun: came late, from before it was made again]\n"
"""Stands before what came of an earlier epoch when a later one was begun with."""

BACK: Final = b"\n[dagrun: so far what came late]\n"


class Reading:
    """Reads the log of one attempt further and further.

    It gives each byte once, and one epoch behind the other. What comes of an earlier epoch when a
    later one was begun with is given all the same, between two lines that say so.

    Args:
        parts: gives the files of the attempt, in the order of their epochs.
        first: the epoch under which the attempt began, as far as is known.
    """

    def __init__(self, parts: Callable[[], Sequence[Part]], *, first: int = 0) -> None:
        self._parts, self._latest = parts, first
        self._places: dict[int, int] = {}
        """Epoch → bytes of it that were given."""

        self._current: int | None = None
        """The epoch of what was given last."""

    def take(self, most: int, *, settled: bool) -> bytes:
        """Give what comes next; empty if there is nothing for now.

        Args:
            most: bytes.
            settled: whether no more is expected of the epochs that were begun with, so that a later
                one may begin.
        """
        for epoch, path in self._parts():
            if epoch > self._latest and not settled:
                return b""
            place = self._places.get(epoch, 0)
            if length_of(path) > place:
                return self._mark_before(epoch) or self._read(epoch, path, place, most)
        return b""

    def _mark_before(self, epoch: int) -> bytes:
        """Begin with an epoch, or go back to it. Give what stands between it and the one before."""
        before, self._current = self._current, epoch
        self._latest = max(self._latest, epoch)
        if before is None or before == epoch:
            return b""
        if epoch < before:
            return LATE
        return BACK if epoch in self._places else SEAM

    def _read(self, epoch: int, path: Path, place: int, most: int) -> bytes:
        data = read_file(path, place, most)
        self._places[epoch] = place + len(data)
        return data
