"""Writes what nodes have written elsewhere."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from dagrun.ports.frames import LogChunk
from dagrun.services.node_logs.logs import NodeLogs

BATCH: Final = 1024 * 1024  # bytes that are written before who sent them is told


@attrs.frozen(kw_only=True)
class KeepingStatistics:
    """What there is."""

    waiting: int
    """Bytes that are not written yet."""


class Keeping:
    """Writes the pieces of logs that engines send, in a thread: a slow disk holds up nothing else.

    It bounds nothing by itself: who has pieces written waits until they are.

    Args:
        logs: where they are kept. Nobody else puts pieces there.
    """

    def __init__(self, logs: NodeLogs) -> None:
        self._logs = logs
        self._waiting: deque[tuple[LogChunk, Callable[[], None]]] = deque()
        self._some = trio.Event()
        self._bytes = 0

    async def run(
        self, *, task_status: trio.TaskStatus["Keeping"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Write what comes until cancelled. What is not written then comes again."""
        task_status.started(self)
        while True:
            while not self._waiting:
                self._some = trio.Event()
                await self._some.wait()
            batch = self._batch()
            chunks = [chunk for chunk, _ in batch]
            # A disk that answers no more must not keep the process from its end.
            await trio.to_thread.run_sync(self._write, chunks, abandon_on_cancel=True)
            for chunk, kept in batch:
                self._bytes -= len(chunk.data)
                kept()

    def put(self, chunk: LogChunk, kept: Callable[[], None]) -> None:
        """Have a piece written. Does not block.

        Args:
            chunk: the piece.
            kept: is called when it is written, or was dropped.
        """
        self._waiting.append((chunk, kept))
        self._bytes += len(chunk.data)
        self._some.set()

    def statistics(self) -> KeepingStatistics:
        """Say what there is."""
        return KeepingStatistics(waiting=self._bytes)

    def _batch(self) -> Sequence[tuple[LogChunk, Callable[[], None]]]:
        batch, size = [], 0
        while self._waiting and size < BATCH:
            batch.append(self._waiting.popleft())
            size += len(batch[-1][0].data)
        return batch

    def _write(self, chunks: Sequence[LogChunk]) -> None:
        for chunk in chunks:
            self._logs.put(
                chunk.run_id,
                chunk.node_id,
                chunk.attempt,
                chunk.item,
                epoch=chunk.epoch,
                offset=chunk.offset,
                data=chunk.data,
            )
