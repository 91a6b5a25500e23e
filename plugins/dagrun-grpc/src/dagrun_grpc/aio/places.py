"""How many connections are served at once, and who makes room for others."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from dagrun_grpc.aio.protocol import GuardedProtocol


@attrs.define(eq=False)
class Place:
    """One connection among those that are served."""

    protocol: GuardedProtocol | None = None
    """There as soon as something is known of the connection."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Ends serving it."""

    @property
    def is_strangers(self) -> bool:
        """Whether no call was let in on it so far."""
        protocol = self.protocol
        return protocol is None or not protocol.is_open or not protocol.connection.let_in

    def leave(self) -> None:
        """End it at once. Does not block."""
        if self.protocol is not None:
            self.protocol.abort("others need its place")
        self.scope.cancel()


class Places:
    """The places for connections.

    When all are taken, the stranger who has had one for longest leaves it to who comes. Else a
    hundred of them who say nothing would keep out all engines.

    Args:
        most: how many there are.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[Place, None] = {}
        """In the order in which they were taken."""

    @contextmanager
    def taken(self) -> Iterator[Place | None]:
        """Take a place for the length of the block; None if there is none. It may be cut short."""
        if len(self._taken) >= self._most and not self._make_room():
            yield None
            return
        place = Place()
        self._taken[place] = None
        try:
            with place.scope:
                yield place
        finally:
            self._taken.pop(place, None)

    def _make_room(self) -> bool:
        for place in self._taken:
            if place.is_strangers:
                del self._taken[place]
                place.leave()
                return True
        return False
