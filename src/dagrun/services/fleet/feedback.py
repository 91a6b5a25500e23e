"""What the journal says of what engines reported."""

import logging
from collections.abc import Sequence
from typing import Final

from dagrun.domain.events import RUN_ENDS, Event, Type
from dagrun.domain.ids import RunId
from dagrun.ports.journal import JournalFeed
from dagrun.ports.store import Refusal
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.remote import RemoteEngine
from dagrun.services.fleet.roster import Roster

_log: Final = logging.getLogger(__name__)


class Feedback:
    """Acknowledges to engines what is durable, and has them stop what is not theirs.

    Args:
        journal: knows what is durable.
        roster: the engines.
        assignments: says what becomes of runs.
    """

    def __init__(self, *, journal: JournalFeed, roster: Roster, assignments: Assignments) -> None:
        self._journal = journal
        self._roster = roster
        self._assignments = assignments

    def committed(self, events: Sequence[Event]) -> None:
        """Acknowledge what is durable, and let runs go that have ended. Does not block."""
        for engine in self._roster.all():
            if engine.unacknowledged:
                self._acknowledge(engine)
        for event in events:
            if event.type in RUN_ENDS:
                self._assignments.ended(event.run_id)
            elif event.type is Type.RUN_CANCELLING:
                self._assignments.cancelling(event.run_id)

    def _acknowledge(self, engine: RemoteEngine) -> None:
        for run_id, (epoch, seq) in list(engine.unacknowledged.items()):
            durable = min(self._journal.durable(run_id), seq)
            if engine.outbox is not None and durable:
                engine.outbox.put_durable(run_id, epoch, durable)
            if durable == seq:
                del engine.unacknowledged[run_id]

    def refused(self, run_id: RunId, why: Refusal, epoch: int) -> None:
        """Hear that events of a run were not taken. Does not block."""
        engine = self._assignments.of(run_id)
        if engine is None or engine.assigned(run_id, epoch) is None:
            return  # they came late
        engine.stop(run_id, epoch)
        if why is Refusal.UNSEEN:
            self._assignments.take_back(engine, run_id, lost=False)
        elif why is Refusal.GAP:  # it has lost events, or made some up: what is stored goes on
            _log.warning("engine %s: run %s: its events do not follow", engine.name, run_id)
            engine.refuses = True  # until its next heartbeat
            self._roster.changed(engine)
            self._assignments.take_back(engine, run_id, lost=True)
        else:
            self._assignments.refused(engine, run_id, why)
