"""Child runs that nodes of engines ask for."""

from collections.abc import Mapping

from dagrun.errors import DagrunError, NodeError
from dagrun.ports.children import Children, ChildRequest
from dagrun.ports.frames import ChildStarted, StartChild
from dagrun.ports.tasks import Spawn
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import RemoteEngine


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

    def wanted(self, engine: RemoteEngine, frame: StartChild) -> None:
        """Hear that a node of an engine wants a child run. Does not block."""
        self._spawn(self._answer, engine, engine.outbox, frame)

    async def _answer(self, engine: RemoteEngine, outbox: Outbox | None, frame: StartChild) -> None:
        answer = await self._started(frame.number, frame.request)
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
