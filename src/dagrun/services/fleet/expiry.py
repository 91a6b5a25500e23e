"""The end of leases."""

import logging
from typing import Final

from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.remote import RemoteEngine
from dagrun.services.fleet.roster import Roster

_log: Final = logging.getLogger(__name__)


class Expiry:
    """Lets runs of silent engines go on elsewhere.

    Args:
        roster: the engines.
        assignments: takes runs back.
    """

    def __init__(self, *, roster: Roster, assignments: Assignments) -> None:
        self._roster = roster
        self._assignments = assignments

    def expire(self, before: float) -> None:
        """Take runs back whose leases began before a time, and forget engines that are gone.

        Does not block.

        Args:
            before: on the loop's clock.
        """
        for engine in self._roster.all():
            silent = engine.heard <= before
            if silent and engine.outbox is not None:
                engine.hang_up()  # lest it is given a run again at once
                self._roster.changed(engine)
            went = engine.draining and not engine.runs
            self._take_back(engine, before)
            if silent and engine.outbox is None and not engine.runs:
                self._roster.forget(engine, lost=not went)

    def _take_back(self, engine: RemoteEngine, before: float) -> None:
        for run_id, assigned in list(engine.runs.items()):
            if assigned.sent and assigned.renewed <= before:
                _log.warning("engine %s is silent: run %s goes on elsewhere", engine.name, run_id)
                engine.stop(run_id, assigned.epoch)
                self._assignments.take_back(engine, run_id, lost=True)
