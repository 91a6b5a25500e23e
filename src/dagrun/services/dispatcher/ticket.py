"""One run of this process, from when it was accepted to its end."""

from collections.abc import Callable, Sequence
from enum import Enum, auto

import attrs
import trio

from dagrun.domain import decide
from dagrun.domain.entry import NOTHING, Entry, Needs
from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import OnLimit, Workflow
from dagrun.ports.engine import EngineLink
from dagrun.ports.store import Message, Slot


class Rest(Enum):
    """Why a run waits for no engine."""

    PAUSED = auto()
    PARKED = auto()
    """It only waits for runs that it started."""


@attrs.define(eq=False, kw_only=True)
class Ticket:
    """A run of this process, from when it was accepted to its end.

    There may be 100,000 of them, so what few need is made when it is needed.
    """

    run_id: RunId
    workflow: Workflow
    make: Callable[[], RunState] | None = None
    """Makes what the run begins with. None: the journal says, and the run goes on under the next
    epoch.
    """

    ready: RunState | None = None
    """What ``make`` makes, if it need not wait and was made already."""

    epoch: int = 1
    """Under which it begins with what ``make`` makes."""

    priority: int = 0
    slot: Slot | None = None
    """What it must be given before it may go to an engine, and keeps until it ends."""

    admitted: bool = False
    """Whether it has its slot."""

    needs: Needs = NOTHING
    """What its nodes need of an engine."""

    lost: bool = False
    """Whether the engine that had it was lost."""

    gate: str | None = attrs.field(init=False)
    """The key at whose gate it waits in the queue. It stays the same for the life of the ticket."""

    key: str | None = None
    """What a balancer chooses an engine by; None for the run's id."""

    due: float | None = None
    """When its ``start_timeout`` ends, on the loop's clock; None once it is placed."""

    fresh: bool = True
    """Whether it was never with an engine."""

    child: bool = False
    """Whether another run started it; then it goes before those that nobody waits for."""

    posted: Sequence[Message] = ()
    """Messages that it has not been given yet, as far as this process heard of them."""

    state: RunState | None = None
    """What is known of it; None until something happens after it was accepted."""

    ending: bool = False
    """Whether it needs an engine only to end: it is being cancelled or was asked to be, or its time is
    over. What it would have to wait for may be what takes the room."""

    rest: Rest | None = None
    """Why it waits for no engine, as the engine elsewhere said that had it last."""

    engine: EngineLink | None = None
    abandoned: str | None = None
    """Why it is somebody else's now."""

    gone: bool = False
    """Whether this process has no more to do with it."""

    alarm: trio.CancelScope | None = None
    """What ends the wait for the end of its time, while it is parked."""

    moving: trio.Event | None = None
    """There while it is on its way into the queue, or to an engine."""

    _lock: trio.Lock | None = None
    _left: trio.Event | None = None

    def __attrs_post_init__(self) -> None:
        """Decide on the gate."""
        self.gate = _gate(self)

    def picture(self) -> RunState | None:
        """Give what is known of it now; None for a run of another process."""
        return self.made() if self.state is None and self.make is not None else self.state

    def made(self) -> RunState:
        """Give what it begins with."""
        assert self.make is not None  # noqa: S101 — asked for only then
        return self.make() if self.ready is None else self.ready

    def alone(self) -> trio.Lock:
        """Give what is held while it is brought to an engine, or something is asked of it."""
        if self._lock is None:
            self._lock = trio.Lock()
        return self._lock

    def take_posted(self, stored: Sequence[Message]) -> Sequence[Message]:
        """Give what an engine that gets it now is to be told, in order.

        Args:
            stored: what the store has for it; some of that may have been heard of, too.
        """
        by_number = {message.number: message for message in (*stored, *self.posted)}
        self.posted = ()
        return [by_number[number] for number in sorted(by_number)]

    @property
    def parked(self) -> bool:
        """Whether it is with no engine because it only waits for runs that it started."""
        if self.engine is not None:
            return False
        if self.rest is not None:
            return self.rest is Rest.PARKED
        state = self.picture()
        return state is not None and decide.parked(state)

    @property
    def paused(self) -> bool:
        """Whether it is with no engine until it is resumed."""
        if self.engine is not None:
            return False
        if self.rest is not None:
            return self.rest is Rest.PAUSED
        state = self.picture()
        return state is not None and state.status is RunStatus.PAUSED

    @property
    def untouched(self) -> bool:
        """Whether no engine may write to its journal: none had it, or the last one gave it back."""
        return self.fresh or self.make is not None or self.parked or self.paused

    @property
    def cancels_oldest(self) -> bool:
        """Whether others have to go when there is no slot for it."""
        concurrency = self.workflow.concurrency
        return concurrency is not None and concurrency.on_limit is OnLimit.CANCEL_OLDEST

    @property
    def in_hand(self) -> bool:
        """Whether it is on its way, or something is just being done with it."""
        return self.moving is not None or (self._lock is not None and self._lock.locked())

    def set_off(self) -> None:
        """Note that it is on its way. What is asked of it waits until it arrives."""
        self.moving = trio.Event()

    def arrive(self) -> None:
        """Note that it is where it was to go."""
        if self.moving is not None:
            self.moving.set()
            self.moving = None

    async def arrived(self) -> None:
        """Wait until it is where it is on its way to, if it is on its way."""
        while self.moving is not None:
            await self.moving.wait()

    async def wait(self) -> None:
        """Wait until it has ended, was abandoned, or the dispatcher is closed."""
        if not self.gone:
            if self._left is None:
                self._left = trio.Event()
            await self._left.wait()

    def silence(self) -> None:
        """Wait for the end of its time no more."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def leave(self) -> None:
        """Let those go on who wait for its end."""
        if self._left is not None:
            self._left.set()

    def entry(self) -> Entry:
        """Give what the queue knows of it."""
        limit = 1 if self.slot is None else self.slot.limit
        return Entry(
            run_id=self.run_id,
            workflow_id=self.workflow.id,
            priority=self.priority,
            fresh=self.fresh and not self.child,
            needs=self.needs,
            key=self.gate,
            limit=limit,
        )


def _gate(ticket: Ticket) -> str | None:
    """Give the key of a run that may have to wait for others of this process.

    The store knows who has slots; the gate only keeps many runs of one key from asking it at once.
    A run that has its slot must not wait there for one that waits for it, and one that may cancel
    others must come to ask.
    """
    if ticket.slot is None or ticket.admitted or ticket.cancels_oldest:
        return None
    return ticket.slot.key
