"""How a stream from an engine begins."""

from math import isfinite
from typing import Final

import trio

from dagrun.domain.ids import is_engine_id, is_id
from dagrun.errors import ChannelLost
from dagrun.ports.frames import MAX_CAPACITY, PROTOCOL, Hello, TurnedAway
from dagrun.ports.transport import Channel

GREETING: Final = 30.0  # seconds that an engine may take to introduce itself

MAX_ENTRIES: Final = 1000
"""Labels, resources and executors that an engine may have, each."""

MAX_TEXT: Final = 1000  # characters of a label, or of a name
MAX_SAID: Final = 16 * 1024
"""Characters that an engine may say of itself, all in all: a list of a hundred engines is shown in
one answer, which has 4 MiB at most."""


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
            f"it speaks version {hello.protocol} of the protocol (dagrun {hello.release[:100]}),"
            f" this orchestrator version {PROTOCOL}"
        )
        return TurnedAway(reason=reason, final=True)
    odd = _odd(hello)
    return None if odd is None else TurnedAway(reason=odd, final=True)


def _odd(hello: Hello) -> str | None:
    """Say what an engine says of itself that cannot be, or is too long to be kept."""
    if not (is_engine_id(hello.engine_id) and is_id(hello.instance)):
        return "its id, or that of its instance, is none"
    if hello.capacity < 1:
        return "its capacity is less than 1"
    if hello.capacity > MAX_CAPACITY:
        return f"its capacity is more than {MAX_CAPACITY}"
    if not all(isfinite(amount) and amount >= 0 for amount in hello.resources.values()):
        return "it has resources whose amount is no number from 0"
    shown = (hello.executors, hello.labels, hello.resources)
    texts = (hello.release, *hello.labels.values(), *(name for part in shown for name in part))
    if max(map(len, shown)) > MAX_ENTRIES or max(map(len, texts)) > MAX_TEXT:
        return f"it has more than {MAX_ENTRIES} labels, or one of more than {MAX_TEXT} characters"
    if sum(map(len, texts)) > MAX_SAID:
        return f"its labels have more than {MAX_SAID} characters all in all"
    return None
