"""How a stream to an orchestrator begins."""

from collections.abc import Iterable, Sequence
from typing import Final

import trio

from dagrun.domain.ids import RunId
from dagrun.errors import ChannelLost, DagrunError
from dagrun.ports.frames import Frame, Hello, TurnedAway, Welcome
from dagrun.ports.transport import Channel
from dagrun.services.attachment.identity import Identity

GREETING: Final = 30.0  # seconds that an orchestrator may take for its welcome


class Unwelcome(DagrunError):
    """The orchestrator will never take this engine."""

    code = "unwelcome"


def hello_of(who: Identity, *, draining: bool, held: Iterable[tuple[RunId, int]]) -> Hello:
    """Give what an engine says of itself."""
    return Hello(
        release=who.release,
        engine_id=who.engine_id,
        instance=who.instance,
        capacity=who.capacity,
        executors=who.executors,
        labels=who.labels,
        resources=who.resources,
        draining=draining,
        held=tuple(held),
    )


async def welcome(channel: Channel) -> tuple[Welcome, Sequence[Frame]]:
    """Wait for the orchestrator's welcome. Give what came with it, too.

    Raises:
        ChannelLost: the engine is turned away for now, or the stream has ended.
        Unwelcome: this engine is not wanted, and will not be.
    """
    with trio.move_on_after(GREETING):
        first, *rest = await channel.receive()
        match first:
            case Welcome():
                return first, rest
            case TurnedAway(final=True):
                raise Unwelcome(first.reason)
            case TurnedAway():
                raise ChannelLost(f"{channel.peer} turns this engine away: {first.reason}")
            case other:
                raise ChannelLost(f"{channel.peer} begins with {type(other).__name__}")
    raise ChannelLost(f"{channel.peer} did not answer for {GREETING:g} s")
