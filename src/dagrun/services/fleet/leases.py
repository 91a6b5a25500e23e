"""When an orchestrator may say that an engine was silent for too long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

TICKS: Final = 10  # looks in a lease
STALL: Final = 2  # ticks; a loop that was away for longer has not heard what was said meanwhile


class Leases:
    """Looks at the time, and notices when this process itself was away.

    After its start, and after each stall of its own loop, nothing expires before one full lease has
    passed: what engines said in the meantime may still lie unread in a socket.

    Args:
        length: seconds of silence.
        expire: is called at each tick with the time before which a lease must have begun that
            has ended now.
    """

    def __init__(self, length: float, expire: Callable[[float], None]) -> None:
        self.length = length
        self._expire = expire
        self._held = False
        self._not_before = 0.0
        """Nothing expires before one lease has passed since then, on the loop's clock."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing expire in the block, nor before one full lease has passed after it."""
        self._held = True
        try:
            yield
        finally:
            self._held, self._not_before = False, trio.current_time()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled."""
        tick = self.length / TICKS
        present = self._not_before = trio.current_time()
        task_status.started()
        while True:
            await trio.sleep(tick)
            last, present = present, trio.current_time()
            if present - last > STALL * tick:
                self._not_before = present
            if not self._held and present - self._not_before >= self.length:
                self._expire(present - self.length)
