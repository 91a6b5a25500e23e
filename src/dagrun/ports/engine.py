"""What an orchestrator and an engine say to each other, whatever lies between them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Protocol

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState
from dagrun.ports.store import Message


@attrs.frozen(kw_only=True)
class Offers:
    """What an engine has of what runs may need."""

    executors: frozenset[str]
    labels: Mapping[str, str] = attrs.field(factory=dict)
    resources: Mapping[str, float] = attrs.field(factory=dict)
    """Name and amount."""


IDLE: Final = "idle"
RUNNING: Final = "running"
DRAINING: Final = "draining"
UNHEALTHY: Final = "unhealthy"

"""How an engine is, in lists."""


@attrs.frozen(kw_only=True)
class EngineView:
    """An engine in a list, with the names of ``engines list --json``."""

    id: str
    address: str
    status: str
    capacity: int
    active_runs: int
    labels: Mapping[str, str]


@attrs.frozen(kw_only=True)
class EngineReport:
    """What an engine says of itself when it is asked."""

    engine_id: str
    instance: str
    """Random, new with each start of its process."""

    release: str
    status: str
    """One of :data:`IDLE`, :data:`RUNNING`, :data:`DRAINING` and :data:`UNHEALTHY`; the last one says
    that no orchestrator is heard."""

    capacity: int
    runs: Sequence[tuple[RunId, int]]
    """Those that it has, with their epochs."""

    offers: Offers


@attrs.frozen(kw_only=True)
class ReportSeen:
    """What an orchestrator knows of the runs that an engine's report names."""

    kept: Sequence[tuple[RunId, int]]
    """Those that are the engine's, with their epochs."""

    stopped: Sequence[tuple[RunId, int]]
    """Those that are not, with the epochs under which they were named."""


@attrs.frozen(kw_only=True)
class DurableEvents:
    """Events of an engine's runs that are durable; or that some are missing."""

    events: Sequence[Event]
    """Each run's in the order of ``seq``. None if some are missing."""

    position: str
    """What stands for all up to here."""

    missing: bool = False
    """Whether events may be missing here: they were not read in time, the engine was started anew,
    or it lost a run before it heard what of it is durable."""


class EngineEvents(Protocol):
    """What becomes durable of an engine's runs, as the engine hears of it."""

    def follow(
        self, *, run_id: str | None = None, after: str | None = None
    ) -> AsyncGenerator[DurableEvents, None]:
        """Give events as they become durable, without an end. Close it.

        Args:
            run_id: those of this run; None for all.
            after: a position; None begins with what becomes durable from this call on.

        Raises:
            InputError: the position is none of this engine.
        """
        ...


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


class EngineListener(Protocol):
    """An orchestrator, seen from an engine."""

    def left(self, state: RunState, abandoned: str | None) -> None:
        """Hear that an engine has no more to do with a run. Does not block.

        Args:
            state: the run; all of it is durable. It has ended, is paused, or is parked: it only
                waits for child runs, see :func:`~dagrun.domain.decide.parked`.
            abandoned: why the run is somebody else's now; None when it is not.
        """
        ...


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


@attrs.frozen(kw_only=True)
class Holding:
    """A run that an engine has."""

    run_id: RunId
    epoch: int
    seq: int
    """Its last event, which may not be durable yet."""

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
