"""What an engine says of itself all along."""

from collections.abc import Callable, Sequence

import trio

from dagrun.ports.engine import Holding
from dagrun.ports.frames import Beat
from dagrun.services.attachment.lease import Lease
from dagrun.services.attachment.outbox import Outbox


class Heartbeats:
    """Sends heartbeats.

    Args:
        lease: numbers them, and says how often they are due.
        outbox: where they go.
        holdings: gives the runs that the engine has.
        healthy: says whether nodes can start here.
    """

    def __init__(
        self,
        *,
        lease: Lease,
        outbox: Outbox,
        holdings: Callable[[], Sequence[Holding]],
        healthy: Callable[[], bool] = lambda: True,
    ) -> None:
        self._lease = lease
        self._outbox = outbox
        self._holdings = holdings
        self._healthy = healthy
        self._due = trio.Event()
        self._running = False
        self._draining = False
        self._said: int | None = None
        """Number of the first heartbeat of this stream that said that the engine drains."""

        self._heard = trio.Event()
        """That it drains was heard, or there is nobody to hear it."""

        self.streams = 0
        """On how many streams there were some so far."""

    @property
    def draining(self) -> bool:
        """Whether the engine takes no more runs."""
        return self._draining

    def say_draining(self, *, on: bool) -> None:
        """Let the engine take no more runs, or take some again, and say so at once."""
        self._draining = on
        self._heard.set()  # who waits for the last word waits for this one
        self._said, self._heard = None, trio.Event()
        if not self._running:
            self._heard.set()
        self._due.set()

    def say_health(self) -> None:
        """Send the next heartbeat at once: whether nodes can start here has changed."""
        self._due.set()

    async def wait_drain_heard(self) -> None:
        """Wait until the orchestrator knows that the engine drains, or there is no stream to it."""
        while not (heard := self._heard).is_set():
            await heard.wait()

    def answered(self, number: int) -> None:
        """Know that a heartbeat was answered."""
        if self._said is not None and number >= self._said:
            self._heard.set()

    def begin(self) -> None:
        """Know that there is a new stream."""
        self.streams += 1

    async def run(self) -> None:
        """Send heartbeats until cancelled, with the stream."""
        self._running = True
        try:
            while True:
                self._beat()
                self._due = trio.Event()
                with trio.move_on_after(self._lease.interval):
                    await self._due.wait()
        finally:
            self._running, self._said = False, None
            self._heard.set()

    def _beat(self) -> None:
        held = tuple((held.run_id, held.epoch) for held in self._holdings() if not held.halted)
        number = self._lease.beat()
        if self._draining and self._said is None:
            self._said = number
        unhealthy = not self._healthy()
        self._outbox.put_beat(
            Beat(number=number, held=held, draining=self._draining, unhealthy=unhealthy)
        )
