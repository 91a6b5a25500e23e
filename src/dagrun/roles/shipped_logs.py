"""Logs on an engine that go to its orchestrator, too; and what becomes of them there."""

import logging
from collections import OrderedDict
from typing import Final

from dagrun.ports.frames import LogChunk
from dagrun.services.engine.context import AttemptLog
from dagrun.services.log_shipping import Key, LogShipping
from dagrun.services.node_logs import NodeLogs

_log: Final = logging.getLogger(__name__)
KNOWN: Final = 10_000  # logs of which it is known who writes them


class ShippedLogs:
    """The logs of an engine's attempts: files, which are sent as they grow.

    Args:
        logs: the files.
    """

    def __init__(self, logs: NodeLogs) -> None:
        self._logs = logs
        self.shipping: LogShipping
        """Set before the first attempt."""

    def open(self, run_id: str, node_id: str, attempt: int, item: int | None = None) -> AttemptLog:
        """Give the log of one attempt."""
        file = self._logs.open(run_id, node_id, attempt, item)
        return _ShippedLog(file, Key(run_id, node_id, attempt, item), self.shipping)

    def read(self, key: Key, start: int, size: int) -> bytes:
        """Give at most so many bytes of a log behind a place."""
        return self._logs.read(*key, start=start, size=size)


class _ShippedLog:
    def __init__(self, file: AttemptLog, key: Key, shipping: LogShipping) -> None:
        self._file, self._key, self._shipping = file, key, shipping

    @property
    def ended(self) -> bool:
        return self._file.ended

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._shipping.wrote(self._key)

    def tail(self) -> bytes:
        return self._file.tail()

    def close(self) -> None:
        self._file.close()
        self._shipping.ended(self._key)


class KeptLogs:
    """The same logs on the orchestrator.

    An attempt that is made again by another engine is written behind what the first one wrote.

    Args:
        logs: the files.
    """

    def __init__(self, logs: NodeLogs) -> None:
        self._logs = logs
        self._writers: OrderedDict[Key, tuple[str, int]] = OrderedDict()
        """Log → the engine that writes it, and where that engine's part begins."""

    def came(self, engine_id: str, chunk: LogChunk) -> None:
        """Write a piece of a log to its place. One that belongs nowhere is left out."""
        key = Key(chunk.run_id, chunk.node_id, chunk.attempt, chunk.item)
        try:
            self._put(engine_id, key, chunk)
        except ValueError as error:
            _log.warning("engine %s sends a log of nothing: %s", engine_id, error)

    def _put(self, engine_id: str, key: Key, chunk: LogChunk) -> None:
        writer, begin = self._writers.pop(key, (engine_id, 0))
        if writer != engine_id:
            begin = self._logs.cut_off(*key)
        self._writers[key] = engine_id, begin
        if len(self._writers) > KNOWN:
            self._writers.popitem(last=False)
        self._logs.put(*key, place=begin + chunk.offset, data=chunk.data)
