"""What is asked of runs, wherever they are."""

from collections.abc import Awaitable, Callable

import attrs
import trio

from dagrun.domain.ids import RunId
from dagrun.errors import DagrunError, RunHasEnded
from dagrun.ports.engine import EngineLink
from dagrun.services.dispatcher.changes import Changes
from dagrun.services.dispatcher.placing import Placing
from dagrun.services.dispatcher.tasks import Tasks
from dagrun.services.dispatcher.ticket import Ticket


@attrs.define(eq=False)
class _Request:
    """Something that is asked of a run, and what came of it."""

    ticket: Ticket
    of_engine: Callable[[EngineLink], Awaitable[bool]]
    """Asks the engine that has it."""

    of_waiting: Callable[[Ticket], Awaitable[bool]]
    """Does it to a run that no engine has."""

    answer: bool = False
    error: DagrunError | None = None
    done: trio.Event = attrs.field(factory=trio.Event)


class Requests:
    """Asks the engine that has a run, or does it here; one request of a run after the other.

    Each is carried out to its end, whether the caller waits for it or not.

    Args:
        placing: knows where runs are.
        changes: changes those that no engine has.
        tasks: in which requests are carried out.
    """

    def __init__(self, *, placing: Placing, changes: Changes, tasks: Tasks) -> None:
        self._placing = placing
        self._changes = changes
        self._tasks = tasks

    async def cancel(self, run_id: RunId, *, reason: str) -> bool:
        """Cancel a run."""
        return await self._ask(
            run_id,
            lambda engine: engine.cancel(run_id, reason=reason),
            lambda ticket: self._changes.cancel(ticket, reason=reason),
        )

    async def pause(self, run_id: RunId) -> bool:
        """Start nothing more of a run."""
        return await self._ask(run_id, lambda engine: engine.pause(run_id), self._changes.pause)

    async def resume(self, run_id: RunId) -> bool:
        """Go on with a paused run."""
        return await self._ask(run_id, lambda engine: engine.resume(run_id), self._changes.resume)

    async def _ask(
        self,
        run_id: RunId,
        of_engine: Callable[[EngineLink], Awaitable[bool]],
        of_waiting: Callable[[Ticket], Awaitable[bool]],
    ) -> bool:
        ticket = self._placing.ticket(run_id)
        if ticket is None:
            return False
        request = _Request(ticket, of_engine, of_waiting)
        if not self._tasks.start(self._carry_out, request):
            return False
        await request.done.wait()
        if request.error is not None:
            raise request.error
        return request.answer

    async def _carry_out(self, request: _Request) -> None:
        try:
            async with request.ticket.alone():
                request.answer = await self._done(request)
        except RunHasEnded:
            request.answer = False
        except DagrunError as error:
            request.error = error
        finally:
            request.done.set()

    async def _done(self, request: _Request) -> bool:
        ticket = request.ticket
        while (engine := await _engine_of(ticket)) is not None:
            if await request.of_engine(engine):
                return True
            if ticket.engine is engine:
                return False  # else it was given back in the meantime
        return not ticket.gone and await request.of_waiting(ticket)


async def _engine_of(ticket: Ticket) -> EngineLink | None:
    """Wait until a run is where it is on its way to, and give its engine, if it has one."""
    await ticket.arrived()
    return ticket.engine
