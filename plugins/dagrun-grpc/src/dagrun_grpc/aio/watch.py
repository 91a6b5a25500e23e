"""Whether there is anybody at the other end of a connection, and whether it is of use."""

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import Final

from dagrun_grpc.aio.connection import GuardedConnection
from dagrun_grpc.aio.stream import GuardedStream
from dagrun_grpc.limits import Patience

_LOOKS: Final = 4
"""How often it looks within the shortest of its times."""


class Watch:
    """Ends a connection that is silent, or idle, or on which nobody is let in.

    Args:
        connection: the connection.
        streams: its open streams, by number.
        patience: for how long it waits.
        accepted: whether the peer opened the connection; only such a one may be idle for too long.
        loop: whose time counts.
        close: ends the connection when all is sent.
        abort: ends it now, for a reason.
    """

    def __init__(
        self,
        *,
        connection: GuardedConnection,
        streams: Mapping[int, GuardedStream],
        patience: Patience,
        accepted: bool,
        loop: asyncio.AbstractEventLoop,
        close: Callable[[], None],
        abort: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._streams = streams
        self._patience = patience
        self._accepted = accepted
        self._loop = loop
        self._close = close
        self._abort = abort
        self._shortest = min(patience.handshake, patience.keepalive, patience.answer, patience.idle)
        self._made = self._heard = self._busy = self._looked = loop.time()
        self._asked: float | None = None
        """When an answer was asked for that did not come yet."""

        self._spoke = False
        """Whether the peer said anything."""

        self._next: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """Note that something came."""
        self._heard, self._asked, self._spoke = self._loop.time(), None, True

    def look(self) -> None:
        """Look now, and again and again."""
        now = self._loop.time()
        if now - self._looked > self._shortest:  # nobody is to blame for what was not heard here
            self._heard, self._asked = now, None
            self._made = self._made if self._spoke else now
        self._looked = now
        self._judge(now)
        self._next = self._loop.call_later(self._shortest / _LOOKS, self.look)

    def stop(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()

    def _judge(self, now: float) -> None:
        if self._connection.is_closing():  # by grpclib, which waits for a peer that may not read
            self._close()
        elif not self._accepted and not self._spoke:
            if now - self._made > self._patience.handshake:
                self._abort(f"no answer within {self._patience.handshake:g} s")
        elif self._accepted and not self._connection.let_in:
            if now - self._made > self._patience.handshake:
                self._abort(f"no call within {self._patience.handshake:g} s that was let in")
        elif self._asked is not None:
            if now - self._asked > self._patience.answer:
                self._abort(f"no answer within {self._patience.answer:g} s")
        elif now - self._heard > self._patience.keepalive:
            self._asked = now
            self._connection.ping(struct.pack("!d", now))
        elif self._accepted:
            self._idle(now)

    def _idle(self, now: float) -> None:
        if any(stream.keeps_open for stream in self._streams.values()):
            self._busy = now
        elif now - self._busy > self._patience.idle:
            self._connection.reason = "idle"
            self._close()
