"""Where an engine hands its events, and learns when they are durable."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.ports.store import Assignment, Refusal, Taken

if TYPE_CHECKING:  # most commands have no use for it
    from dagrun.ports.frames import Report


class JournalFeed(Protocol):
    """Takes the events of the runs that one engine executes."""

    def append(self, events: Sequence[Event], taken: Sequence[Taken] = ()) -> None:
        """Queue events of one run for the next commit. Does not block.

        Args:
            events: what happened; may be nothing if something was taken up.
            taken: messages to the run that were taken up with them.
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

    def fenced(self) -> bool:
        """Whether the runs may be somebody else's by now: the engine's lease has ended.

        Then nothing is started, and nothing that comes of an attempt is recorded.
        """
        ...

    def continue_from(self, run_id: RunId, seq: int) -> None:
        """Say that a run's events up to ``seq`` were read from the store."""
        ...

    def forget(self, run_id: RunId) -> None:
        """Drop what is remembered of a run that has ended."""
        ...


class AssigningFeed(JournalFeed, Protocol):
    """The journal of an orchestrator, seen from what speaks for engines elsewhere."""

    def hurry(self) -> None:
        """Commit what was appended without waiting for more: somebody elsewhere waits for it."""
        ...

    async def assign(self, assignment: Assignment) -> Refusal | None:
        """Note which engine executes a run, behind all that was queued before.

        Returns when it is durable: None, or why the store refused it.
        """
        ...


class Upstream(JournalFeed, Protocol):
    """The feed of an engine whose orchestrator is elsewhere, seen from what talks to that."""

    def call_when_unsent(self, wake: Callable[[], None]) -> None:
        """Call something whenever there is more to send. It must not block."""
        ...

    def take_report(self) -> "Report | None":
        """Give what is to be sent next, or None. It is kept until it is known to be durable."""
        ...

    def acknowledge(self, run_id: RunId, seq: int) -> None:
        """Hear that a run's events up to ``seq`` are durable."""
        ...

    def refuse(self, run_id: RunId) -> None:
        """Hear that a run is somebody else's now: nothing that is kept of it is of use."""
        ...

    def send_again(self, runs: Sequence[RunId]) -> None:
        """Queue all that is kept of some runs, and nothing else, for a new stream."""
        ...

    def look_for_room(self) -> None:
        """Let those go on who wait for room, if there is some."""
        ...
