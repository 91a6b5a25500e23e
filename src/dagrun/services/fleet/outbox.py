"""What is to be sent to an engine."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from dagrun.domain.ids import RunId
from dagrun.ports.frames import BeatSeen, Durable, Frame, LogsKept, Stop

MAX_STOPS: Final = 10_000
"""How many orders to stop a run wait at once; the next heartbeat brings the others."""


class Outbox:
    """What waits to be sent on one stream; acknowledgements of one thing replace each other."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._durable: dict[RunId, tuple[int, int]] = {}
        self._stops: set[tuple[RunId, int]] = set()
        """Runs with epochs that an order waits to stop."""

        self._logs_kept: int | None = None
        self._beat_seen: int | None = None
        self._some = trio.Event()

    def put(self, *frames: Frame) -> None:
        """Queue frames. Does not block."""
        self._frames.extend(frames)
        self._some.set()

    def put_stop(self, stop: Stop) -> None:
        """Queue an order, unless it waits already. Does not block."""
        run = stop.run_id, stop.epoch
        if run not in self._stops and len(self._stops) < MAX_STOPS:
            self._stops.add(run)
            self.put(stop)

    def put_beat_seen(self, number: int) -> None:
        """Queue the answer to a heartbeat, which is one to all before it, too. Does not block."""
        self._beat_seen = number
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
        while not (frames := self._all()):
            self._some = trio.Event()
            await self._some.wait()
        return frames

    def _all(self) -> list[Frame]:
        frames = list(self._frames)
        self._frames.clear()
        self._stops.clear()
        if self._durable:
            runs = tuple((run_id, *known) for run_id, known in self._durable.items())
            self._durable.clear()
            frames.append(Durable(runs=runs))
        if self._logs_kept is not None:
            frames.append(LogsKept(count=self._logs_kept))
            self._logs_kept = None
        if self._beat_seen is not None:
            frames.append(BeatSeen(number=self._beat_seen))
            self._beat_seen = None
        return frames
