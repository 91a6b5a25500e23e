"""What happens at the end of an engine's lease."""

from collections.abc import Callable

import trio

from dagrun.services.attachment.lease import Lease


class LeaseWatch:
    """Minds the lease.

    Args:
        lease: the engine's right to its runs.
        expired: is called at its end. Nothing may be done under the lease any more.
        renewed: is told when all must be dead unless the lease is renewed, by the lease's clock.
    """

    def __init__(
        self, lease: Lease, *, expired: Callable[[], None], renewed: Callable[[float], None]
    ) -> None:
        self._lease = lease
        self._expired = expired
        self._renewed = renewed
        self._begun = trio.Event()
        self._changed = trio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._begun.wait()
            while (left := self._lease.left()) > 0:
                self._changed = trio.Event()
                with trio.move_on_after(left):
                    await self._changed.wait()
            self._begun = trio.Event()
            self._expired()

    def begin(self, length: float, since: float) -> None:
        """Begin a lease of some seconds; see :meth:`Lease.begin`."""
        self._lease.begin(length, since)
        self._begun.set()
        self._changed.set()  # it may be a shorter one than the last
        self._renewed(self._lease.dead_at())

    def renew(self, number: int) -> None:
        """Renew it: a heartbeat was answered."""
        self._lease.answered(number)
        self._renewed(self._lease.dead_at())
