"""What the dispatcher asks of the store."""

from collections.abc import Sequence
from typing import Protocol

from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.ports.store import Message, RunRecord, Slot


class Runs(Protocol):
    """The store, in the words of runs."""

    async def load(self, run_id: RunId) -> tuple[RunState, int]:
        """Give a run as its journal tells it, and its present epoch."""
        ...

    async def status(self, run_id: RunId) -> RunStatus:
        """Give how a run stands."""
        ...

    async def claim(self, run_id: RunId) -> tuple[RunState, int, Sequence[Message]]:
        """Begin a new epoch of a run. Give the run, the epoch, and what was posted to the run.

        Raises:
            RunHasEnded: there is nothing more to execute.
            ConflictError: the run is another process's now.
        """
        ...

    async def post_cancel(self, run_id: RunId, *, reason: str) -> bool:
        """Keep a request to cancel a run until an engine has it. Give False if there is one.

        Raises:
            ConflictError: the run is another process's now.
        """
        ...

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free."""
        ...

    async def rivals(self, run_id: RunId, slot: Slot) -> Sequence[RunRecord]:
        """Give the runs that hold a slot of its key, or wait for one and are not newer than a run.

        The oldest comes first. The run itself is among them unless it has ended.
        """
        ...

    async def cancel(self, record: RunRecord, *, reason: str) -> bool:
        """Cancel a run, whoever has it. Give False if it has ended, or is being cancelled."""
        ...
