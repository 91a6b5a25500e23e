"""The logs of all attempts, below one folder."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from dagrun.domain.handlers import is_node_id
from dagrun.domain.ids import is_id
from dagrun.services.node_logs.log_file import (
    CAP,
    SEAM,
    LogFile,
    length_of,
    marker,
    put_piece,
    read_file,
)
from dagrun.services.node_logs.names import Listings, Part, name_of, sort_key
from dagrun.services.node_logs.reading import Reading

QUIET: Final = 60.0  # seconds without an error before the next one is logged

_log: Final = logging.getLogger(__name__)


class NodeLogs:
    """The logs of all attempts, below one folder.

    Args:
        root: the folder; made when the first log is.
        cap: bytes that the log of one attempt may have, or of each epoch of it.
        by_epoch: whether what is opened has a file for each epoch. Without that, an attempt that is
            made again goes on with the file that it had.
    """

    def __init__(self, root: Path, *, cap: int = CAP, by_epoch: bool = False) -> None:
        self._root, self._cap, self._by_epoch = root, cap, by_epoch
        self._listings = Listings()
        self._drops = False
        self._quiet_until = -math.inf

    def open(
        self, run_id: str, node_id: str, attempt: int, item: int | None = None, *, epoch: int = 0
    ) -> LogFile:
        """Give the log of an attempt; whoever gets it closes it.

        Raises:
            ValueError: an id is none, and might mean something to a path.
        """
        name = name_of(attempt, item, epoch if self._by_epoch else None)
        return LogFile(self._folder(run_id, node_id) / name, cap=self._cap, heard=self._written)

    def _written(self, error: OSError | None) -> None:
        """Hear how a log was written. Of errors that follow each other the first is logged."""
        if error is None:
            return
        if time.monotonic() > self._quiet_until:
            _log.warning("what nodes print is lost, as it cannot be written: %s", error)
        self._quiet_until = time.monotonic() + QUIET

    def has(self, run_id: str) -> bool:
        """Whether there is a folder of a run."""
        return is_id(run_id) and (self._root / run_id).is_dir()

    def put(
        self,
        run_id: str,
        node_id: str,
        attempt: int,
        item: int | None = None,
        *,
        epoch: int,
        offset: int,
        data: bytes,
    ) -> None:
        """Keep a piece of a log that was written elsewhere. It may come again.

        A piece that cannot be written, or before which one is missing, is dropped; a warning in
        the log of this process says so of the first.

        Args:
            run_id: the run.
            node_id: the node.
            attempt: the attempt.
            item: the item; None without one.
            epoch: under which it was written.
            offset: where it belongs, in bytes from the beginning.
            data: the piece.
        """
        room = self._cap + len(marker(self._cap)) - offset
        try:
            path = self._folder(run_id, node_id) / name_of(attempt, item, epoch)
            put_piece(path, offset, data[: max(room, 0)])
        except (OSError, ValueError) as error:
            if not self._drops:
                _log.warning("pieces of the log of node %s are dropped: %s", node_id, error)
            self._drops = True
        else:
            self._drops = False

    def read(
        self,
        run_id: str,
        node_id: str,
        attempt: int,
        item: int | None = None,
        *,
        start: int = 0,
        size: int = -1,
    ) -> bytes:
        """Give an attempt's log so far; empty if it printed nothing, or a link is in its place.

        What it wrote under one epoch follows what it wrote under an earlier one, behind a line
        that says so.

        Args:
            run_id: the run.
            node_id: the node.
            attempt: the attempt.
            item: the item; None without one.
            start: leave out so many bytes.
            size: give at most so many bytes; -1 gives all.

        Raises:
            ValueError: an id is none.
        """
        found = b""
        for length, read in _pieces(self._parts(run_id, node_id, attempt, item)):
            if start < length:
                found += read(start, size if size < 0 else size - len(found))
            start = max(start - length, 0)
            if 0 <= size <= len(found):
                break
        return found

    def reading(
        self, run_id: str, node_id: str, attempt: int, item: int | None = None, *, first: int = 0
    ) -> Reading:
        """Give what reads the log of an attempt while it is written.

        Args:
            run_id: the run.
            node_id: the node.
            attempt: the attempt.
            item: the item; None without one.
            first: the epoch under which it began, as far as is known.

        Raises:
            ValueError: an id is none.
        """
        return Reading(partial(self._parts, run_id, node_id, attempt, item), first=first)

    def _parts(self, run_id: str, node_id: str, attempt: int, item: int | None) -> Sequence[Part]:
        files = self._listings.files(self._folder(run_id, node_id))
        return files.get((item, attempt), ())

    def attempts(self, run_id: str, node_id: str) -> list[tuple[int | None, int]]:
        """List (item, attempt) of all logs of a node, in order; item is None without one.

        Raises:
            ValueError: an id is none.
        """
        return sorted(self._listings.files(self._folder(run_id, node_id)), key=sort_key)

    def _folder(self, run_id: str, node_id: str) -> Path:
        for text, fits in ((run_id, is_id), (node_id, is_node_id)):
            if not fits(text):
                raise ValueError(f"{text!r} is no id")
        return self._root / run_id / node_id


Piece = tuple[int, Callable[[int, int], bytes]]
"""Bytes of a part of a log, and what reads it: from where, and how much."""


def _pieces(parts: Sequence[Part]) -> Iterator[Piece]:
    """Give what a log is made of: its files that are not empty, and what stands between them."""
    first = True
    for _, path in parts:
        if length := length_of(path):
            if not first:
                yield len(SEAM), _seam
            yield length, partial(read_file, path)
            first = False


def _seam(start: int, size: int) -> bytes:
    return SEAM[start:] if size < 0 else SEAM[start : start + size]
