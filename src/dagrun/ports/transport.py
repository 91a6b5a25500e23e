"""How an orchestrator and its engines reach each other."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import attrs
import trio

if TYPE_CHECKING:  # most commands have no use for it
    from dagrun.ports.engine import EngineEvents, EngineReport, ReportSeen
    from dagrun.ports.frames import Dispatch, Frame, Stop
    from dagrun.ports.management import Management
    from dagrun.ports.tokens import Gate


class Channel(Protocol):
    """One stream between an engine and an orchestrator.

    Frames arrive whole and in their order. All methods raise
    :class:`~dagrun.errors.ChannelLost` when the stream has ended, on whichever side and for
    whatever reason; it stays so. One task sends, and one receives. Cancelling one of them ends the
    stream, since nobody could say what of it was sent or received. Who opened it closes it; a served
    one is closed when its handler returns. What was sent before that still arrives, unless the
    connection is lost.
    """

    @property
    def peer(self) -> str:
        """Who is at the other end, for people: an address."""
        ...

    async def send(self, frames: Sequence["Frame"]) -> None:
        """Send frames; they travel together. Waits while the other side takes no more.

        Returns when they are on their way. That they arrive is for others to say.

        Raises:
            ValueError: a frame is larger than the transport can carry.
        """
        ...

    async def receive(self) -> Sequence["Frame"]:
        """Wait for what comes next: one frame or more, as they were sent together."""
        ...


Handler = Callable[[Channel], Awaitable[None]]
"""Holds the conversation on a stream that the other side opened. ``ChannelLost`` out of it is its
usual end; any other exception stops the listener."""


@attrs.frozen(kw_only=True)
class Offered:
    """What an orchestrator offers beside the streams with engines, and to whom."""

    management: "Management"
    gate: "Gate"
    """Is asked before anything is done for somebody, also for engines."""

    register: Callable[[str], None]
    """Is told of engines that wait to be dialled at ``host:port``. Does not block; raises
    :class:`~dagrun.errors.ConfigError` if nobody dials them, or there are too many already."""

    report: Callable[["EngineReport"], "ReportSeen"]
    """Is told by an engine, beside its stream, how it is. Does not block; raises
    :class:`~dagrun.errors.NotFound` if that has no stream, and
    :class:`~dagrun.errors.ConflictError` if the stream is of another instance."""


@attrs.frozen(kw_only=True)
class EngineOffered:
    """What an engine offers beside the stream with its orchestrator."""

    report: Callable[[], "EngineReport"]
    """Says how the engine is. Does not block."""

    hear: Callable[["Dispatch | Stop"], Awaitable[str | None]]
    """Takes a frame as if it had come on the stream. Gives why it is refused; None if it is not."""

    events: "EngineEvents"


class Transport(Protocol):
    """Opens and serves streams. Use it with ``async with``; leaving closes all that is open.

    The one method of each pair is for the process that dials, the other for the one that listens:
    ``attach`` meets ``serve_orchestrator``, ``dial`` meets ``serve_engine``.
    """

    async def __aenter__(self) -> Self:
        """Get ready."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all streams."""
        ...

    def attach(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an engine to an orchestrator.

        Raises:
            ChannelLost: nobody answers within the connection timeout, or this is refused.
            ConfigError: the address is none.
        """
        ...

    def dial(self, address: str, *, trusted: bool = True) -> AbstractAsyncContextManager[Channel]:
        """Open a stream from an orchestrator to an engine; raises as :meth:`attach`.

        Args:
            address: where it listens.
            trusted: whether it may see the token of this side, whoever listens there. If not, it is
                shown only to who is proven to be one of ours, such as by a certificate.
        """
        ...

    def manage(self, address: str) -> AbstractAsyncContextManager["Management"]:
        """Reach what an orchestrator offers to clients.

        The server is called when something is asked for, and not before. All that is asked for
        raises :class:`~dagrun.errors.Unreachable` if nobody answers.

        Raises:
            ConfigError: the address is none, or this transport does not reach clients.
        """
        ...

    async def serve_orchestrator(
        self,
        handler: Handler,
        *,
        offered: Offered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for engines until cancelled, and for clients. ``started`` gives the address.

        Args:
            handler: talks with engines.
            offered: what else there is; None for nothing. A transport that does not reach clients
                has no use for it.
            task_status: see :meth:`trio.Nursery.start`.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        ...

    async def serve_engine(
        self,
        handler: Handler,
        *,
        offered: EngineOffered | None = None,
        task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen for orchestrators until cancelled; as :meth:`serve_orchestrator`."""
        ...
