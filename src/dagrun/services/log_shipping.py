"""Brings what nodes print to the orchestrator, as far as there is room for it."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import attrs
import trio

from dagrun.domain.ids import RunId
from dagrun.ports.frames import LogChunk

PIECE: Final = 64 * 1024  # bytes that travel together
KEPT: Final = 60.0  # seconds for which the log of an attempt that has ended may be sent once more


class Key(NamedTuple):
    """Which log is meant."""

    run_id: str
    node_id: str
    attempt: int
    item: int | None


@attrs.define(eq=False)
class _Shipped:
    """How far a log has been sent on the present stream."""

    place: int = 0
    ended_at: float | None = None


class LogShipping:
    """Sends what is new in logs, and all of it once more on a new stream.

    What a lost stream had taken may not have arrived; the receiver knows by the offset what it has.

    Args:
        read: gives at most so many bytes of a log behind a place.
        ship: sends a piece; waits while there is no stream, or no room on it.
    """

    def __init__(
        self,
        read: Callable[[Key, int, int], bytes],
        ship: Callable[[LogChunk], Awaitable[None]],
    ) -> None:
        self._read, self._ship = read, ship
        self._logs: dict[Key, _Shipped] = {}
        self._dirty: dict[Key, None] = {}
        self._some = trio.Event()

    def wrote(self, key: Key) -> None:
        """Hear that there is more in a log. Does not block."""
        if key not in self._logs:
            self._logs[key] = _Shipped()
        self._mark(key)

    def ended(self, key: Key) -> None:
        """Hear that nothing more comes in a log. Does not block."""
        if key in self._logs:
            self._logs[key].ended_at = trio.current_time()

    def again(self) -> None:
        """Begin anew: there is a new stream. Does not block."""
        self._forget()
        for key, shipped in self._logs.items():
            shipped.place = 0
            self._mark(key)

    async def run(
        self, *, task_status: trio.TaskStatus["LogShipping"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Send until cancelled."""
        task_status.started(self)
        while True:
            await self._some.wait()
            self._some = trio.Event()
            while self._dirty:
                key = next(iter(self._dirty))
                del self._dirty[key]
                await self._send(key)
            self._forget()

    async def _send(self, key: Key) -> None:
        """Send a piece of a log; it is the others' turn then."""
        shipped = self._logs.get(key)
        if shipped is None:
            return
        place = shipped.place
        data = self._read(key, place, PIECE)
        if not data:
            return
        await self._ship(
            LogChunk(
                run_id=RunId(key.run_id),
                node_id=key.node_id,
                attempt=key.attempt,
                item=key.item,
                offset=place,
                data=data,
            )
        )
        if shipped.place == place:  # else all is sent once more
            shipped.place += len(data)
        self._mark(key)

    def _mark(self, key: Key) -> None:
        self._dirty[key] = None
        self._some.set()

    def _forget(self) -> None:
        before = trio.current_time() - KEPT
        for key, shipped in list(self._logs.items()):
            if (
                shipped.ended_at is not None
                and shipped.ended_at < before
                and key not in self._dirty
            ):
                del self._logs[key]
