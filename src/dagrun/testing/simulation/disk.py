"""The store of a simulated orchestrator: what one life of it has written, the next one finds."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from dagrun.errors import StoreFull
from dagrun.testing.simulation.clock import VirtualClock

BEFORE: Final = 0.0005  # seconds from a call to when what it writes is durable
AFTER: Final = 0.0005  # seconds from there to the answer


class Disk:
    """A store as one process sees it, until the process is killed.

    It stands before the store that is kept, and passes on all calls. A process that is killed
    between the two delays of a call has written, and does not know it.

    Args:
        store: what is kept.
        clock: what its calls take time by.
    """

    def __init__(self, store: Any, clock: VirtualClock) -> None:
        self._store, self._clock = store, clock
        self._alive = True

    def kill(self) -> None:
        """Let nothing more be written: the process is dead, whatever its tasks still do."""
        self._alive = False

    @property
    def place(self) -> str:
        """What people know it by."""
        return str(self._store.place)

    async def __aenter__(self) -> "Disk":
        """Do nothing: the store is open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: the store stays open for the next life."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Give a method that takes time, and does nothing once the process is dead."""
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._clock.sleep(BEFORE)
            if not self._alive:
                raise StoreFull("this process is dead")
            result = await method(*args, **kwargs)
            await self._clock.sleep(AFTER)
            return result

        return call
