"""What the dispatcher does while nobody waits for it."""

from collections.abc import Awaitable, Callable
from typing import TypeVarTuple, Unpack

import trio

Args = TypeVarTuple("Args")


class Tasks:
    """What is done to its end, whether or not anybody waits for it; the end of all ends it."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None

    @property
    def open(self) -> bool:
        """Whether anything can be started."""
        return self._nursery is not None

    def start(self, task: Callable[[Unpack[Args]], Awaitable[object]], *args: *Args) -> bool:
        """Start a task. Give False if it is too late, or too early."""
        if self._nursery is None:
            return False
        self._nursery.start_soon(task, *args)
        return True

    async def run(
        self, *, task_status: trio.TaskStatus["Tasks"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Let tasks run until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started(self)
                await trio.sleep_forever()
            finally:
                self._nursery = None
