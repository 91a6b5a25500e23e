"""What is to be sent to an engine."""

from collections import deque
from collections.abc import Sequence

import trio

from dagrun.domain.ids import RunId
from dagrun.ports.frames import Durable, Frame, LogsKept


class Outbox:
    """What waits to be sent on one stream; acknowledgements of one thing replace each other."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._durable: dict[RunId, tuple[int, int]] = {}
        self._logs_kept: int | None = None
        self._some = trio.Event()

    def put(self, *frames: Frame) -> None:
        """Queue frames. Does not block."""
        self._frames.extend(frames)
        self._some.set()

    def put_durable(self, run_id: RunId, epoch: int, seq: int) -> None:
        """Queue an acknowledgement. Does not block."""
        self._durable[run_id] = (epoch, seq)
        self._some.set()

    def put_logs_kept(self, count: int) -> None:
        """Queue how many bytes of logs were kept since the stream began. Does not block."""
        self._logs_kept = count
        self._some.set()

    async def take(self) -> Sequence[Frame]:
        """Wait for something, and give all there is."""
        while not self._frames and not self._durable and self._logs_kept is None:
            self._some = trio.Event()
            await self._some.wait()
        frames = list(self._frames)
        self._frames.clear()
        if self._durable:
            runs = tuple((run_id, *known) for run_id, known in self._durable.items())
            self._durable.clear()
            frames.append(Durable(runs=runs))
        if self._logs_kept is not None:
            frames.append(LogsKept(count=self._logs_kept))
            self._logs_kept = None
        return frames
