"""What outlives a process, what goes with it, and the processes that it has started."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
import trio

from dagrun.errors import NodeError
from dagrun.services.attachment import Lease
from dagrun.testing.simulation.clock import VirtualClock
from dagrun.testing.simulation.disk import Disk
from dagrun.testing.simulation.network import Host

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Child:
    """The process of a node. It goes on while its engine is frozen, until the guard ends it.

    Args:
        clock: by which it takes time.
        seconds: how long that takes.
        succeeded: is called when that has passed.
        over: is called when there is no such process any more, whatever ended it.
    """

    def __init__(
        self,
        clock: VirtualClock,
        seconds: float,
        succeeded: Callable[[], None],
        over: Callable[["Child"], None],
    ) -> None:
        self._succeeded, self._over = succeeded, over
        self._ended = trio.Event()
        self._killed = False
        self._timer = clock.call_at(clock.current_time() + seconds, self._exit)

    async def wait(self) -> None:
        """Wait for its end.

        Raises:
            NodeError: it was killed.
        """
        await self._ended.wait()
        if self._killed:
            raise NodeError("exit", "it was killed")

    def kill(self) -> None:
        """End it. No error if it has ended."""
        if not self._ended.is_set():
            self._killed = True
            self._timer.cancel()
            self._end()

    def _exit(self) -> None:
        self._succeeded()
        self._end()

    def _end(self) -> None:
        self._ended.set()
        self._over(self)


@attrs.define(eq=False)
class Life:
    """One life of a process."""

    host: Host
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    root: trio.lowlevel.Task | None = None
    """Its first task; None before it begins."""

    nursery: trio.Nursery | None = None
    """In which others may call it; None before it begins."""

    disk: Disk | None = None
    lease: Lease | None = None
    """Of an engine."""

    children: dict[Child, None] = attrs.field(factory=dict)
    killed: bool = False

    def kill_children(self) -> None:
        """End the processes of all nodes."""
        for child in list(self.children):
            child.kill()


@attrs.define(eq=False)
class Machine:
    """What outlives the process on it: its clock."""

    name: str
    life: Life | None = None
    offset: float = 0.0
    """Seconds by which its wall clock was set."""

    def now(self) -> datetime:
        """Give what the wall clock says."""
        return BEGIN + timedelta(seconds=trio.current_time() + self.offset)
