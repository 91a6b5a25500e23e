"""What the log says of callers who are not let in."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from grpclib.server import Stream

from dagrun.errors import AccessError
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

    def note(self, stream: Stream[Any, Any], path: str, error: AccessError) -> None:
        """Know of one more."""
        now = self._clock()
        if now < self._next:
            self._more += 1
            return
        peer = joined(stream.peer.addr() or ("unknown", 0))
        more = f"; {self._more} other calls were refused before" if self._more else ""
        _log.warning("%s from %s is refused: %s%s", path, peer, error, more)
        self._next, self._more = now + PAUSE, 0
