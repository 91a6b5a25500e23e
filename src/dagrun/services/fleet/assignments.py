"""Which run is with which engine."""

from typing import Final

from dagrun.domain.ids import RunId
from dagrun.ports.engine import Placer
from dagrun.ports.journal import JournalFeed
from dagrun.ports.store import Refusal
from dagrun.services.fleet.remote import Assigned, RemoteEngine

MAX_KNOWN: Final = 100_000
"""Of how many runs with epochs it is known which engine had them."""


class Assignments:
    """The runs that engines have, and what becomes of one that an engine has no more.

    Args:
        journal: remembers of each run what is durable.
        placer: hears how an assignment ended, and places the run anew if it goes on.
    """

    def __init__(self, *, journal: JournalFeed, placer: Placer) -> None:
        self._journal = journal
        self._placer = placer
        self._by_run: dict[RunId, RemoteEngine] = {}
        self._whose: dict[tuple[RunId, int], str] = {}
        """Run and epoch → id of the engine that has it, or had it; the latest ones."""

    def __len__(self) -> int:
        return len(self._by_run)

    def of(self, run_id: RunId) -> RemoteEngine | None:
        """Give the engine that has a run."""
        return self._by_run.get(run_id)

    def begin(self, engine: RemoteEngine, assigned: Assigned) -> None:
        """Know that an engine has a run, or is being given one. One that still has it stops it."""
        earlier = self._by_run.get(assigned.run_id)
        if earlier is not None:
            self._take_from(earlier, assigned.run_id)
        engine.runs[assigned.run_id] = assigned
        self._by_run[assigned.run_id] = engine
        self._whose[assigned.run_id, assigned.epoch] = engine.name
        if len(self._whose) > MAX_KNOWN:
            del self._whose[next(iter(self._whose))]

    def is_anothers(self, engine: RemoteEngine, run_id: RunId, epoch: int) -> bool:
        """Whether another engine than this one has, or had, a run under an epoch."""
        return self._whose.get((run_id, epoch), engine.name) != engine.name

    def ended(self, run_id: RunId) -> None:
        """Let a run go whose end is durable. It may have been taken back just before."""
        engine = self._by_run.get(run_id)
        if engine is not None:
            self._end(engine, run_id)
        self._placer.ended(run_id)

    def cancelling(self, run_id: RunId) -> None:
        """Hear that a run is being cancelled, such as by its own timeout."""
        self._placer.cancelling(run_id)

    def rests(self, engine: RemoteEngine, run_id: RunId, *, parked: bool) -> None:
        """Let a run be with no engine until it is told of something."""
        self._end(engine, run_id)
        self._placer.rests(run_id, parked=parked)

    def take_back(self, engine: RemoteEngine, run_id: RunId, *, lost: bool) -> None:
        """Let a run go on with another engine, or the same one, under the next epoch."""
        self._end(engine, run_id)
        self._placer.take_back(run_id, lost=lost)

    def refused(self, engine: RemoteEngine, run_id: RunId, why: Refusal) -> None:
        """Give up a run: the store says that it is somebody else's."""
        self.give_up(engine, run_id, f"it was taken over by somebody else ({why})")

    def give_up(self, engine: RemoteEngine, run_id: RunId, why: str) -> None:
        """Have no more to do with a run that is somebody else's, or damaged."""
        self._end(engine, run_id)
        self._placer.abandoned(run_id, why)

    def _take_from(self, engine: RemoteEngine, run_id: RunId) -> None:
        held = engine.runs.get(run_id)
        engine.drop(run_id)
        if held is not None and held.sent:
            engine.stop(run_id, held.epoch)

    def _end(self, engine: RemoteEngine, run_id: RunId) -> None:
        engine.drop(run_id)
        self._by_run.pop(run_id, None)
        self._journal.forget(run_id)
