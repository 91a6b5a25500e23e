"""How a stream from an engine begins."""

from typing import Final

import trio

from dagrun.errors import ChannelLost
from dagrun.ports.frames import PROTOCOL, Hello, TurnedAway
from dagrun.ports.transport import Channel

GREETING: Final = 30.0  # seconds that an engine may take to introduce itself


async def greeting(channel: Channel) -> Hello:
    """Wait until an engine introduces itself.

    Raises:
        ChannelLost: it does not, or the stream has ended.
    """
    with trio.move_on_after(GREETING):
        first = (await channel.receive())[0]
        if isinstance(first, Hello):
            return first
        raise ChannelLost(f"{channel.peer} begins with {type(first).__name__}")
    raise ChannelLost(f"{channel.peer} did not introduce itself for {GREETING:g} s")


def unfit(hello: Hello) -> TurnedAway | None:
    """Give why an engine is of no use to any orchestrator of this kind; None if it is."""
    if hello.protocol != PROTOCOL:
        reason = (
            f"it speaks version {hello.protocol} of the protocol (dagrun {hello.release}),"
            f" this orchestrator version {PROTOCOL}"
        )
        return TurnedAway(reason=reason, final=True)
    if hello.capacity < 1:
        return TurnedAway(reason="its capacity is less than 1", final=True)
    return None
