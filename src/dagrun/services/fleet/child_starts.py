"""Child runs that nodes of engines ask for."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from dagrun.errors import ChannelLost, DagrunError, NodeError
from dagrun.ports.children import Children, ChildRequest
from dagrun.ports.frames import ChildStarted, StartChild
from dagrun.ports.tasks import Spawn
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import RemoteEngine

MAX_WANTED: Final = 10_000
"""Child runs that an engine may have asked for, and not got yet."""


class ChildStarts:
    """Starts child runs for engines, and answers on the stream on which they were asked for.

    An engine asks again on its next stream for what was not answered.

    Args:
        children: starts them; None where nobody does.
        spawn: starts what takes a while.
    """

    def __init__(self, children: Children | None, spawn: Spawn) -> None:
        self._children = children
        self._spawn = spawn
        self._wanted: Counter[str] = Counter()
        """Id of an engine → how many it waits for."""

    def wanted(self, engine: RemoteEngine, frame: StartChild) -> None:
        """Hear that a node of an engine wants a child run. Does not block.

        Raises:
            ChannelLost: it wants too many at once.
        """
        if self._wanted[engine.name] >= MAX_WANTED:
            raise ChannelLost(f"engine {engine.name} wants too many child runs at once")
        self._wanted[engine.name] += 1
        self._spawn(self._answer, engine, engine.outbox, frame)

    async def _answer(self, engine: RemoteEngine, outbox: Outbox | None, frame: StartChild) -> None:
        try:
            answer = await self._started(frame.number, frame.request)
        finally:
            self._wanted[engine.name] -= 1
            self._wanted += Counter()  # without those that are 0
        if outbox is not None and engine.outbox is outbox:
            outbox.put(answer)

    async def _started(self, number: int, request: ChildRequest) -> ChildStarted:
        if self._children is None:
            return ChildStarted(number=number, error=_error("workflow", "it starts no children"))
        try:
            return ChildStarted(number=number, child=await self._children.start(request))
        except NodeError as error:
            return ChildStarted(
                number=number,
                error=_error(error.type, error.message),
                retryable=error.retryable,
            )
        except DagrunError as error:
            return ChildStarted(number=number, error=_error(error.code, str(error)))


def _error(kind: str, message: str) -> Mapping[str, str]:
    return {"type": kind, "message": message}
