"""The subscriber ``file``: appends every event to a file, as a line of JSON."""

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

import attrs
import trio

from dagrun.domain.monitoring import MonitorEvent
from dagrun.errors import ConfigError

NAME: Final = "events.jsonl"


class FileSubscriber:
    """Writes ``events.jsonl``, in which each event is a line of its own.

    Args:
        folder: where the file is, or will be.
    """

    settings: ClassVar[Mapping[str, str]] = {"folder": "data_dir"}

    def __init__(self, *, folder: Path) -> None:
        self._path = Path(folder) / NAME
        self._file: io.FileIO

    async def __aenter__(self) -> Self:
        """Open the file."""
        try:
            self._file = await trio.to_thread.run_sync(io.FileIO, self._path, "a")
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from error
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self._file.close()

    async def handle(self, events: Sequence[MonitorEvent]) -> None:
        """Write lines, in a thread, as a disk may be slow.

        Raises:
            OSError: the disk is full, for example. Then there is nothing of them in the file.
        """
        lines = "".join(f"{json.dumps(_fields(event))}\n" for event in events)
        await trio.to_thread.run_sync(self._append, lines.encode())

    def _append(self, lines: bytes) -> None:
        before = self._file.seek(0, os.SEEK_END)
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
        except OSError:
            self._file.truncate(before)
            raise


def _fields(event: MonitorEvent) -> Mapping[str, object]:
    known = attrs.asdict(event, recurse=False, filter=lambda _, value: value not in (None, {}))
    return {**known, "time": event.time.isoformat()}
