"""Writes what nodes have written elsewhere."""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import attrs
import trio

from dagrun.domain.ids import RunId
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

    Pieces of runs that nobody knows any more are dropped: nothing would ever delete them.

    Args:
        logs: where they are kept. Nobody else puts pieces there.
        known: says whether there is such a run; asked only if nothing of it is kept yet.
    """

    def __init__(self, logs: NodeLogs, known: Callable[[RunId], Awaitable[bool]]) -> None:
        self._logs = logs
        self._known = known
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
            known = await self._of_known({chunk.run_id for chunk, _ in batch})
            chunks = [chunk for chunk, _ in batch if chunk.run_id in known]
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

    async def _of_known(self, runs: Collection[RunId]) -> Collection[RunId]:
        """Give those of some runs that there are."""
        return [run for run in runs if self._logs.has(run) or await self._known(run)]

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
