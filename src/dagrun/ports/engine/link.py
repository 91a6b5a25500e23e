"""What an orchestrator asks of its engines."""

from collections.abc import Sequence
from typing import Final, Protocol

from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState
from dagrun.ports.engine.offers import Offers
from dagrun.ports.store import Message

IS_DRAINING: Final = "is draining"
"""Why an engine may be given no runs that somebody asked to take none."""


class EngineLink(Protocol):
    """An engine, seen from the orchestrator. In one process the engine itself is one."""

    name: str
    """Unique among the engines of an orchestrator."""

    capacity: int
    """Most runs that it wants at once."""

    @property
    def ready(self) -> bool:
        """Whether it may be given runs now."""
        ...

    @property
    def unready(self) -> str | None:
        """Why it may not, to be said behind its name, such as :data:`IS_DRAINING`; None if it may."""
        ...

    @property
    def offers(self) -> Offers | None:
        """What it has of what runs may need; None for everything."""
        ...

    def execute(
        self,
        state: RunState,
        *,
        epoch: int,
        messages: Sequence[Message] = (),
        lost: bool = False,
    ) -> object | None:
        """Start a run that is queued, or go on with one under a new epoch. Does not block.

        Gives something of the engine's own, or None when the state is not the one that goes on. How
        the run goes is in the journal, and its end comes through :meth:`EngineListener.left`. An engine
        that has ended, or has more runs than its capacity, does not refuse: the one leaves the run
        as it is in the journal, the other takes it.

        Args:
            state: the run.
            epoch: the new one.
            messages: what was posted to the run and not taken up yet, in order. Nothing starts
                before they are.
            lost: whether the engine that had it before was lost.

        Raises:
            IllegalEvent: the run has ended, or the epoch is older than the run's.
        """
        ...

    async def cancel(self, run_id: RunId, *, reason: str) -> bool:
        """Cancel a run. Give False if it has ended, or is being cancelled already.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        ...

    async def pause(self, run_id: RunId) -> bool:
        """Start nothing more of a run; it is given back when nothing of it is going on any more.

        Gives False if it is not running. Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        ...

    async def resume(self, run_id: RunId) -> bool:
        """Go on with a paused run that was not given back yet. Give False if it is not paused.

        Returns when the request is durable.

        Raises:
            ConflictError: the run was taken over.
        """
        ...

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Pass on what was posted to a run. Give False if the engine does not have the run.

        Does not block. One that it was given before changes nothing.
        """
        ...
