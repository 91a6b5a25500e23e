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
    """

    def __init__(
        self, *, lease: Lease, outbox: Outbox, holdings: Callable[[], Sequence[Holding]]
    ) -> None:
        self._lease = lease
        self._outbox = outbox
        self._holdings = holdings
        self._due = trio.Event()
        self._draining = False
        self.streams = 0
        """On how many streams there were some so far."""

    @property
    def draining(self) -> bool:
        """Whether the engine takes no more runs."""
        return self._draining

    def say_draining(self, *, on: bool) -> None:
        """Let the engine take no more runs, or take some again, and say so at once."""
        self._draining = on
        self._due.set()

    def begin(self) -> None:
        """Know that there is a new stream."""
        self.streams += 1

    async def run(self) -> None:
        """Send heartbeats until cancelled, with the stream."""
        while True:
            held = tuple((held.run_id, held.epoch) for held in self._holdings() if not held.halted)
            self._outbox.put_beat(
                Beat(number=self._lease.beat(), held=held, draining=self._draining)
            )
            self._due = trio.Event()
            with trio.move_on_after(self._lease.interval):
                await self._due.wait()
