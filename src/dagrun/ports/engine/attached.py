"""What an orchestrator elsewhere asks of an engine."""

from collections.abc import Sequence
from typing import Protocol

import attrs

from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState
from dagrun.ports.store import Message


@attrs.frozen(kw_only=True)
class Holding:
    """A run that an engine has."""

    run_id: RunId
    epoch: int
    halted: bool
    """Whether its attempts were killed, and it only waits to be given back."""


class AttachedEngine(Protocol):
    """An engine, seen from what carries its orchestrator's words to it. No method blocks."""

    def execute(
        self, state: RunState, *, epoch: int, messages: Sequence[Message] = (), lost: bool = False
    ) -> object:
        """Start a run, or go on with one under a new epoch.

        Args:
            state: the run, as its journal tells it.
            epoch: the present one.
            messages: what was posted to it and not taken up yet.
            lost: whether the engine that had it was lost.

        Raises:
            IllegalEvent: the run has ended, or the epoch is older than the run's.
        """
        ...

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Take up what was posted to a run. Give False if the engine does not have it."""
        ...

    def abandon(self, run_id: RunId, why: str) -> None:
        """Stop all work on a run that is somebody else's now, if the engine has it."""
        ...

    def hold(self) -> None:
        """Start nothing more, from now on."""
        ...

    def halt(self) -> None:
        """Stop all attempts, and record nothing of them. The runs stay until they are abandoned."""
        ...

    def holdings(self) -> Sequence[Holding]:
        """Give the runs that the engine has."""
        ...

    def holding(self, run_id: RunId) -> Holding | None:
        """Give a run if the engine has it. Takes no longer with many runs."""
        ...
