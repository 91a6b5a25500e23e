"""What is to be sent to the orchestrator, and in which order."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from dagrun.ports.frames import Beat, Frame
from dagrun.ports.journal import Upstream
from dagrun.services.attachment.shipping import Shipping

MAX_REPORTS: Final = 4  # reports that travel together
MAX_LOGS: Final = 256 * 1024
"""Bytes of logs that travel together. A heartbeat may have to wait for them."""


class Outbox:
    """What waits to be sent, from three sources.

    Heartbeats go first; what is said of a run comes behind its events; logs go when there is
    nothing else to say.

    Args:
        uplink: where the engine's events are.
        logs: what nodes write.
    """

    def __init__(self, uplink: Upstream, logs: Shipping) -> None:
        self._uplink = uplink
        self._logs = logs
        self._beats: list[Frame] = []
        self._frames: deque[Frame] = deque()
        self._some = trio.Event()
        uplink.call_when_unsent(self._wake)
        logs.call_when_unsent(self._wake)

    def put(self, *frames: Frame) -> None:
        """Queue frames behind all events that there are now. Does not block."""
        self._frames.extend(frames)
        self._wake()

    def put_beat(self, beat: Beat) -> None:
        """Queue a heartbeat. Does not block."""
        self._beats.append(beat)
        self._wake()

    def clear(self) -> None:
        """Forget what was to be said on a stream that has ended."""
        self._beats.clear()
        self._frames.clear()

    async def take(self) -> Sequence[Frame]:
        """Wait for something, and give what is to travel together."""
        while not (frames := self._next()):
            self._some = trio.Event()
            await self._some.wait()
        return frames

    def _next(self) -> Sequence[Frame]:
        frames, self._beats = self._beats, []
        for _ in range(MAX_REPORTS):
            report = self._uplink.take_report()
            if report is None:
                frames += self._frames
                self._frames.clear()
                break
            frames.append(report)
        return frames or self._logs.take(MAX_LOGS)

    def _wake(self) -> None:
        self._some.set()
