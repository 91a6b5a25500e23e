"""Runs that engines give back."""

import logging
from typing import Final

from dagrun.ports.engine import Placer
from dagrun.ports.frames import GivenBack, Why
from dagrun.ports.journal import AssigningFeed
from dagrun.ports.store import Assignment, Refusal
from dagrun.ports.tasks import Spawn
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.services.fleet.roster import Roster

SHOWN: Final = 1000  # characters in the log of why a run was given back

_log: Final = logging.getLogger(__name__)


class Returns:
    """Takes runs from engines that have nothing more to do for them, or cannot execute them.

    Args:
        journal: takes assignments.
        placer: is told again of what was posted meanwhile.
        roster: hears that an engine takes no more for now.
        assignments: says what becomes of the run.
        spawn: starts what takes a while.
    """

    def __init__(
        self,
        *,
        journal: AssigningFeed,
        placer: Placer,
        roster: Roster,
        assignments: Assignments,
        spawn: Spawn,
    ) -> None:
        self._journal = journal
        self._placer = placer
        self._roster = roster
        self._assignments = assignments
        self._spawn = spawn

    def given_back(self, engine: RemoteEngine, frame: GivenBack) -> None:
        """Hear that an engine has a run no more. Does not block."""
        assigned = engine.assigned(frame.run_id, frame.epoch)
        if assigned is None:
            engine.stop(frame.run_id, frame.epoch)
        elif frame.why is Why.UNUSABLE:
            why = frame.detail[:SHOWN]
            _log.warning("engine %s: run %s: %s", engine.name, frame.run_id, why)
            engine.refuses = True  # until its next heartbeat
            self._roster.changed(engine)
            self._assignments.take_back(engine, frame.run_id, lost=assigned.lost)
        else:
            assigned.leaving = True
            self._spawn(self._end_assignment, engine, assigned, frame)

    async def _end_assignment(
        self, engine: RemoteEngine, assigned: Assigned, frame: GivenBack
    ) -> None:
        """Note that a run is with no engine, behind all its events."""
        refusal = await self._journal.assign(
            Assignment(
                run_id=frame.run_id,
                epoch=frame.epoch,
                engine_id=None,
                instance=None,
                seen=frame.seen,
            )
        )
        if engine.runs.get(frame.run_id) is not assigned:
            return  # it has ended, or the lease has
        if frame.why is not Why.STOPPED and (known := self._journal.durable(frame.run_id)):
            engine.remembers.put(frame.run_id, known, known)
        if refusal is Refusal.UNSEEN or frame.why is Why.STOPPED:
            self._assignments.take_back(engine, frame.run_id, lost=False)
        elif refusal is None:
            self._assignments.rests(engine, frame.run_id, parked=frame.why is Why.PARKED)
            self._tell_kept(assigned)
        else:
            self._assignments.refused(engine, frame.run_id, refusal)
        engine.stop(frame.run_id, frame.epoch)

    def _tell_kept(self, assigned: Assigned) -> None:
        """Tell of what was posted while a run was given back, and the engine had it no more."""
        for message in assigned.kept:
            self._placer.tell(assigned.run_id, message)
