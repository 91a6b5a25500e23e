"""Brings runs to engines."""

from collections.abc import Awaitable, Callable, Sequence

import trio

from dagrun.domain.events import Event
from dagrun.domain.moves import first_event
from dagrun.domain.remembered import is_small
from dagrun.domain.state import RunState
from dagrun.domain.workflow import Workflow
from dagrun.errors import DagrunError
from dagrun.ports.journal import AssigningFeed
from dagrun.ports.patience import patiently
from dagrun.ports.store import Assignment, Definition, Message, Store
from dagrun.ports.tasks import Spawn
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.parts import dispatch_frames
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.services.fleet.roster import Roster


class Dispatching:
    """Assigns a run to an engine, and sends it when that is durable.

    Args:
        store: where journals are.
        journal: takes assignments.
        definition: gives what is stored of a workflow.
        roster: knows whether an engine is still there.
        assignments: knows which engine has a run.
        spawn: starts what takes a while.
    """

    def __init__(
        self,
        *,
        store: Store,
        journal: AssigningFeed,
        definition: Callable[[Workflow], Awaitable[Definition]],
        roster: Roster,
        assignments: Assignments,
        spawn: Spawn,
    ) -> None:
        self._store = store
        self._journal = journal
        self._definition = definition
        self._roster = roster
        self._assignments = assignments
        self._spawn = spawn

    def dispatch(
        self,
        engine: RemoteEngine,
        state: RunState,
        epoch: int,
        messages: Sequence[Message],
        *,
        lost: bool,
    ) -> None:
        """Assign a run to an engine, and send it when that is durable. Does not block.

        Args:
            engine: who gets it.
            state: the run.
            epoch: the new one.
            messages: what was posted to the run and not taken up yet, in order.
            lost: whether the engine that had it before was lost.
        """
        assigned = Assigned(state.run_id, epoch, trio.current_time(), sent=False, lost=lost)
        self._assignments.begin(engine, assigned)
        self._spawn(self._dispatch, engine, assigned, state, messages)

    async def _dispatch(
        self,
        engine: RemoteEngine,
        assigned: Assigned,
        state: RunState,
        messages: Sequence[Message],
    ) -> None:
        if not self._roster.has(engine):  # it went while the run was read
            self._assignments.take_back(engine, assigned.run_id, lost=assigned.lost)
            return
        if not await self._is_assigned(engine, assigned):
            return
        try:
            definition = await patiently(lambda: self._definition(state.plan.workflow))
            events = await self._events(engine, state)
        except DagrunError as error:  # damaged: the others go on
            self._assignments.give_up(engine, assigned.run_id, str(error))
            return
        if engine.runs.get(assigned.run_id) is not assigned:
            return
        self._journal.continue_from(assigned.run_id, events[-1].seq)
        assigned.sent, assigned.renewed = True, trio.current_time()
        told = (*messages, *assigned.kept)
        if engine.outbox is not None:  # else its next inventory lacks the run
            engine.outbox.put(*dispatch_frames(assigned, state, definition, events, messages=told))

    async def _is_assigned(self, engine: RemoteEngine, assigned: Assigned) -> bool:
        """Note that an engine has a run. Give False if it is somebody else's."""
        refusal = await self._journal.assign(
            Assignment(
                run_id=assigned.run_id,
                epoch=assigned.epoch,
                engine_id=engine.name,
                instance=engine.instance,
            )
        )
        if refusal is not None:
            self._assignments.refused(engine, assigned.run_id, refusal)
        return refusal is None

    async def _events(self, engine: RemoteEngine, state: RunState) -> Sequence[Event]:
        """Give a run's journal; it need not be read when there is nothing but its beginning.

        An engine that remembers the run is told what it has not seen, behind the last event that it
        has.
        """
        if state.seq == 1:
            return [first_event(state)]
        known = engine.remembers.take(state.run_id) or 1
        after = known - 1 if is_small(state) else 0
        return await patiently(lambda: self._store.events(state.run_id, after=after))
