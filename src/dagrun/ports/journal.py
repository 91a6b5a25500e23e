"""Where an engine hands its events, and learns when they are durable."""

from collections.abc import Sequence
from typing import Protocol

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.ports.store import Taken


class JournalFeed(Protocol):
    """Takes the events of the runs that one engine executes."""

    def append(self, events: Sequence[Event], taken: Sequence[Taken] = ()) -> None:
        """Queue events of one run for the next commit. Does not block.

        Args:
            events: what happened.
            taken: messages of the run that were taken up in these events, or had no effect.
        """
        ...

    def durable(self, run_id: RunId) -> int:
        """Give the highest ``seq`` of a run that is known to be durable."""
        ...

    async def wait_durable(self, run_id: RunId, seq: int) -> None:
        """Wait until a run's events up to ``seq`` are durable.

        Raises:
            ConflictError: they never will be, as the run belongs to somebody else now.
        """
        ...

    def has_room(self) -> bool:
        """Whether nodes may still be started: the disk takes commits, little is waiting."""
        ...

    async def wait_room(self) -> None:
        """Wait until :meth:`has_room`."""
        ...

    def continue_from(self, run_id: RunId, seq: int) -> None:
        """Say that a run's events up to ``seq`` were read from the store."""
        ...

    def forget(self, run_id: RunId) -> None:
        """Drop what is remembered of a run that has ended."""
        ...
