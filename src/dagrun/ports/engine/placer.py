"""What becomes of runs, as it is said to who gives them to engines."""

from typing import Protocol

from dagrun.domain.ids import RunId
from dagrun.ports.engine.link import EngineLink
from dagrun.ports.store import Message


class Placer(Protocol):
    """An orchestrator's dispatcher, seen from what speaks for engines elsewhere. Nothing blocks."""

    def add_engine(self, engine: EngineLink) -> None:
        """Take an engine in. Its name must be new."""
        ...

    def remove_engine(self, engine: EngineLink) -> None:
        """Give an engine no more runs. Those that it has stay where they are."""
        ...

    def engine_changed(self, engine: EngineLink) -> None:
        """Look again whether an engine takes runs, and how many."""
        ...

    def ended(self, run_id: RunId) -> None:
        """Hear that a run has ended, whether an engine has it or not; that is durable."""
        ...

    def cancelling(self, run_id: RunId) -> None:
        """Hear that a run is being cancelled: it needs no room any more, only an engine."""
        ...

    def rests(self, run_id: RunId, *, parked: bool) -> None:
        """Hear that a run is with no engine any more.

        Args:
            run_id: the run.
            parked: whether it waits for its children; else it is paused.
        """
        ...

    def take_back(self, run_id: RunId, *, lost: bool) -> None:
        """Let a run go on under the next epoch, wherever there is room.

        Args:
            run_id: the run.
            lost: whether its engine was silent for a lease.
        """
        ...

    def abandoned(self, run_id: RunId, why: str) -> None:
        """Hear that a run is somebody else's now, or damaged."""
        ...

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Hear what was posted to a run, wherever that is. Give False if it is not known."""
        ...
