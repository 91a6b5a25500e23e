"""What the log says of callers who are not let in."""

import logging
import time
from collections.abc import Callable
from typing import Final

from dagrun_grpc.address import joined

PAUSE: Final = 10.0  # seconds between two lines, lest strangers fill the log

_log: Final = logging.getLogger(__name__)


class TurnedAway:
    """Tells of a caller who is not let in; of many within a short time it tells how many there were.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock()
        self._more = 0

    def note(self, what: str, peer: tuple[str, int] | None, why: Exception) -> None:
        """Know of one more.

        Args:
            what: what is refused.
            peer: whose it is: an address and a port; None if that is not known.
            why: says why.
        """
        now = self._clock()
        if now < self._next:
            self._more += 1
            return
        who = joined(peer or ("unknown", 0))
        more = f"; {self._more} others were refused before" if self._more else ""
        _log.warning("%s from %s is refused: %s%s", what, who, why, more)
        self._next, self._more = now + PAUSE, 0
