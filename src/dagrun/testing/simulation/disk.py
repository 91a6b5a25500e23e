"""The store of a simulated orchestrator: what one life of it has written, the next one finds."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from dagrun.errors import StoreBusy, StoreFull
from dagrun.testing.simulation.clock import VirtualClock

BEFORE: Final = 0.0005  # seconds from a call to when what it writes is durable
AFTER: Final = 0.0005  # seconds from there to the answer
PATIENCE: Final = 3.0  # seconds that a write waits for another process; then it fails
WRITES: Final = frozenset({"admit", "claim", "commit", "post", "prune", "register", "unregister"})
"""What needs room, and waits for others. Who reads waits for nobody, as in SQLite."""


class Medium:
    """What is kept, whichever process uses it, and what is wrong with that.

    Args:
        store: what is kept.
        clock: what its calls take time by.
    """

    def __init__(self, store: Any, clock: VirtualClock) -> None:
        self.store, self.clock = store, clock
        self.full = False
        """Whether there is no room for anything more."""

        self._free = trio.Event()
        self._free.set()
        self._turn = trio.Lock()

    def hold(self) -> None:
        """Let another process hold the database: who writes waits."""
        if self._free.is_set():
            self._free = trio.Event()

    def mend(self) -> None:
        """Let it have room, and be held by nobody."""
        self.full = False
        self._free.set()

    async def ready(self) -> None:
        """Wait until something can be written, one after the other.

        As a thread in SQLite would be, this is not cancelled.

        Raises:
            StoreFull: there is no room.
            StoreBusy: another process holds it for too long.
        """
        if not self._free.is_set():
            with trio.CancelScope(shield=True):
                async with self._turn:
                    await self._wait()
        if self.full:
            raise StoreFull("there is no room")

    async def _wait(self) -> None:
        with trio.move_on_after(PATIENCE):
            await self._free.wait()
            return
        raise StoreBusy("another process holds it")


class Disk:
    """A store as one process sees it, until the process is killed.

    It stands before the store that is kept, and passes on all calls. A process that is killed
    between the two delays of a call has written, and does not know it.

    Args:
        medium: what is kept.
    """

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self._alive = True

    def kill(self) -> None:
        """Let nothing more be written: the process is dead, whatever its tasks still do."""
        self._alive = False

    @property
    def place(self) -> str:
        """What people know it by."""
        return str(self._medium.store.place)

    async def __aenter__(self) -> "Disk":
        """Do nothing: the store is open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: the store stays open for the next life."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Give a method that takes time, and does nothing once the process is dead."""
        method, medium = getattr(self._medium.store, name), self._medium

        async def call(*args: Any, **kwargs: Any) -> Any:
            await medium.clock.sleep(BEFORE)
            if name in WRITES:
                await medium.ready()
            if not self._alive:
                raise StoreFull("this process is dead")
            result = await method(*args, **kwargs)
            await medium.clock.sleep(AFTER)
            return result

        return call
