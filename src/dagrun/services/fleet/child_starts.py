"""Child runs that nodes of engines ask for."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from dagrun.errors import ChannelLost, DagrunError, NodeError
from dagrun.ports.children import Children, ChildRequest
from dagrun.ports.frames import ChildStarted, StartChild
from dagrun.ports.tasks import Spawn
from dagrun.services.fleet.remote import RemoteEngine

MAX_WANTED: Final = 10_000
"""Child runs that an engine may have asked for, and not got yet."""


class ChildStarts:
    """Starts child runs for engines, and answers on the stream that is there by then.

    An engine asks again on its next stream for what was not answered. What is under way already is
    not begun once more for that.

    Args:
        children: starts them; None where nobody does.
        spawn: starts what takes a while.
    """

    def __init__(self, children: Children | None, spawn: Spawn) -> None:
        self._children = children
        self._spawn = spawn
        self._wanted: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        """Id of an engine → which life of it waits for what, by number."""

    def wanted(self, engine: RemoteEngine, frame: StartChild) -> None:
        """Hear that a node of an engine wants a child run. Does not block.

        Raises:
            ChannelLost: it wants too many at once.
        """
        wanted, this = self._wanted[engine.name], (engine.instance, frame.number)
        if this in wanted:
            return
        if len(wanted) >= MAX_WANTED:
            raise ChannelLost(f"engine {engine.name} wants too many child runs at once")
        wanted.add(this)
        self._spawn(self._answer, engine, frame)

    async def _answer(self, engine: RemoteEngine, frame: StartChild) -> None:
        try:
            answer = await self._started(frame.number, frame.request)
        finally:
            self._wanted[engine.name].discard((engine.instance, frame.number))
            if not self._wanted[engine.name]:
                del self._wanted[engine.name]
        engine.say(answer)

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
