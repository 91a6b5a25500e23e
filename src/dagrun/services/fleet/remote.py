"""An engine in another process, as the orchestrator knows it."""

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
import trio

from dagrun.domain.ids import RunId
from dagrun.domain.remembered import Remembered
from dagrun.domain.state import RunState
from dagrun.ports.engine import (
    DRAINING,
    IDLE,
    IS_DRAINING,
    RUNNING,
    UNHEALTHY,
    EngineView,
    Offers,
    ReportSeen,
)
from dagrun.ports.frames import Drain, Frame, Hello, Stop, Tell
from dagrun.ports.store import Message, MessageKind
from dagrun.services.fleet.mailbox import Mailbox
from dagrun.services.fleet.outbox import Outbox


@attrs.define(eq=False)
class Assigned:
    """A run that an engine has, or is being given."""

    run_id: RunId
    epoch: int
    renewed: float
    """When its lease began, on the loop's clock."""

    sent: bool = True
    """Whether the engine was told of it."""

    lost: bool = False
    """Whether the engine before was lost; the next one hears of that if this one never has the run."""

    leaving: bool = False
    """Whether the engine has given it back, and that is on its way into the store."""

    kept: list[Message] = attrs.field(factory=list)
    """What was posted to it before it was sent, or since it was given back."""


class Bring(Protocol):
    """Brings a run to an engine; see :mod:`dagrun.services.fleet.dispatching`."""

    def __call__(
        self,
        engine: "RemoteEngine",
        state: RunState,
        epoch: int,
        messages: Sequence[Message],
        *,
        lost: bool,
    ) -> None:
        """Assign a run to an engine, and send it when that is durable. Does not block."""
        ...


class RemoteEngine:
    """Implements :class:`~dagrun.ports.engine.EngineLink` for an engine in another process.

    Args:
        hello: how it introduced itself, or what the store knows of it.
        bring: brings a run to it.
        mailbox: keeps what is asked of its runs.
    """

    def __init__(self, hello: Hello, bring: Bring, mailbox: Mailbox) -> None:
        self.name = hello.engine_id
        self.instance = hello.instance
        self._bring = bring
        self._mailbox = mailbox
        self.runs: dict[RunId, Assigned] = {}
        self.outbox: Outbox | None = None
        """Of the present stream; None while there is none."""

        self.address = ""
        self.heard = trio.current_time()
        """When its last heartbeat came, on the loop's clock."""

        self.refuses = False
        """Whether it refused a run since its last heartbeat."""

        self.unhealthy = False
        """Whether it said at last that it cannot start nodes."""

        self.unacknowledged: dict[RunId, tuple[int, int]] = {}
        """Run → epoch and highest ``seq`` that it reported on this stream."""

        self.remembers: Remembered[int] = Remembered()
        """Run that it gave back → the ``seq`` up to which it has its journal."""

        self._close: Callable[[], None] = lambda: None
        """Ends the present stream."""

        self.known_to_have_joined = False
        """Whether subscribers were told of it, since this orchestrator was started."""

        self.known_to_drain = False
        """Whether subscribers were told that it takes no more runs."""

        self._drains_next: bool | None = None
        """What it was asked for since its last heartbeat; None if nothing was."""

        self.introduce(hello)

    def introduce(self, hello: Hello) -> None:
        """Take over what an engine says of itself."""
        self.capacity = hello.capacity
        self.offers = Offers(
            executors=frozenset(hello.executors), labels=hello.labels, resources=hello.resources
        )
        self.draining = hello.draining if self._drains_next is None else self._drains_next

    def attach(self, outbox: Outbox, *, address: str, close: Callable[[], None]) -> None:
        """Have a new stream.

        Args:
            outbox: what is put in is sent on it.
            address: where it comes from.
            close: ends it.
        """
        self.outbox, self.address, self._close = outbox, address, close
        self.heard = trio.current_time()
        self.unacknowledged.clear()

    def detach(self, outbox: Outbox) -> bool:
        """Have the stream of an outbox no more. Give False if it had another one already."""
        if self.outbox is not outbox:
            return False
        self.outbox = None
        return True

    def hang_up(self) -> None:
        """End the present stream, if there is one."""
        self.outbox = None
        self._close()

    def drain(self, *, on: bool) -> None:
        """Ask it to take no more runs, or to take some again. It counts at once."""
        self.draining = self._drains_next = on
        self.say(Drain(on=on))

    def ask_again(self) -> None:
        """Ask once more for what it may not have heard before its last stream ended."""
        if self._drains_next is not None:
            self.say(Drain(on=self._drains_next))

    @property
    def goes(self) -> bool:
        """Whether it says itself that it takes no more runs."""
        return self.draining and self._drains_next is None

    def drains(self, *, on: bool) -> bool:
        """Hear from a heartbeat whether it drains. Give False if that was known.

        A heartbeat that crossed what it was asked for is no answer to that.
        """
        asked, self._drains_next = self._drains_next, None
        if on == self.draining or (asked is not None and asked != on):
            return False
        self.draining = on
        return True

    def say(self, frame: Frame) -> None:
        """Send a frame, if there is a stream. Does not block."""
        if self.outbox is not None:
            self.outbox.put(frame)

    def stop(self, run_id: RunId, epoch: int) -> None:
        """Have it stop a run that is not its own under this epoch. Does not block."""
        if self.outbox is not None:
            reason = "it is somebody else's now, or has ended"
            self.outbox.put_stop(Stop(run_id=run_id, epoch=epoch, reason=reason))

    def assigned(self, run_id: RunId, epoch: int) -> Assigned | None:
        """Give a run that it has under this epoch."""
        assigned = self.runs.get(run_id)
        return assigned if assigned is not None and assigned.epoch == epoch else None

    def drop(self, run_id: RunId) -> None:
        """Note that it has a run no more."""
        self.runs.pop(run_id, None)
        self.unacknowledged.pop(run_id, None)

    @property
    def ready(self) -> bool:
        """Whether it may be given runs now."""
        return self.unready is None

    @property
    def unready(self) -> str | None:
        """Why it may not; see the port."""
        if self.outbox is None:
            return "is not connected"
        if self.draining:
            return IS_DRAINING
        if self.unhealthy:
            return "is unhealthy: it cannot use its disk, as its log says"
        return "takes no runs for now: it has refused one" if self.refuses else None

    def seen(self, named: Sequence[tuple[RunId, int]]) -> ReportSeen:
        """Say which of some runs, with their epochs, it has."""
        return ReportSeen(
            kept=[run for run in named if self.assigned(*run) is not None],
            stopped=[run for run in named if self.assigned(*run) is None],
        )

    def view(self) -> EngineView:
        """Give what lists show."""
        if self.outbox is None:
            status = UNHEALTHY
        elif self.draining:
            status = DRAINING
        elif self.unhealthy:
            status = UNHEALTHY
        else:
            status = RUNNING if self.runs else IDLE
        return EngineView(
            id=self.name,
            address=self.address,
            status=status,
            capacity=self.capacity,
            active_runs=len(self.runs),
            labels=self.offers.labels,
        )

    def execute(
        self,
        state: RunState,
        *,
        epoch: int,
        messages: Sequence[Message] = (),
        lost: bool = False,
    ) -> None:
        """Give it a run; see the port. The run is folded there, and not here."""
        self._bring(self, state, epoch, messages, lost=lost)

    async def cancel(self, run_id: RunId, *, reason: str) -> bool:
        """Post a request to cancel; see the port."""
        return await self._mailbox.post(run_id, MessageKind.CANCEL, {"reason": reason})

    async def pause(self, run_id: RunId) -> bool:
        """Post a request to pause; see the port."""
        return await self._mailbox.post(run_id, MessageKind.PAUSE)

    async def resume(self, run_id: RunId) -> bool:
        """Post a request to go on; see the port."""
        return await self._mailbox.post(run_id, MessageKind.RESUME)

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Pass on what was posted to a run; see the port.

        What cannot be sent now is sent at the next attachment, or with the next dispatch.
        """
        assigned = self.runs.get(run_id)
        if assigned is None:
            return False
        if not assigned.sent or assigned.leaving:
            assigned.kept.append(message)
        else:
            self.say(Tell(run_id=run_id, epoch=assigned.epoch, message=message))
        return True
