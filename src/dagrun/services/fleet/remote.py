"""An engine in another process, as the orchestrator knows it."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs
import trio

from dagrun.domain.ids import RunId
from dagrun.domain.state import RunState
from dagrun.ports.engine import DRAINING, IDLE, RUNNING, UNHEALTHY, EngineView, Offers
from dagrun.ports.frames import Durable, Frame, Hello, LogsKept, Tell
from dagrun.ports.store import Message, MessageKind


@attrs.define(eq=False)
class Assigned:
    """A run that an engine has, or is being given."""

    run_id: RunId
    epoch: int
    renewed: float
    """When its lease began, on the loop's clock."""

    sent: bool = True
    """Whether the engine was told of it."""

    leaving: bool = False
    """Whether the engine has given it back, and that is on its way into the store."""

    kept: list[Message] = attrs.field(factory=list)
    """What was posted to it before it was sent, or since it was given back."""


class Outbox:
    """What waits to be sent on one stream; acknowledgements of one thing replace each other."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._durable: dict[RunId, tuple[int, int]] = {}
        self._logs_kept: int | None = None
        self._some = trio.Event()

    def put(self, *frames: Frame) -> None:
        """Queue frames. Does not block."""
        self._frames.extend(frames)
        self._some.set()

    def put_durable(self, run_id: RunId, epoch: int, seq: int) -> None:
        """Queue an acknowledgement. Does not block."""
        self._durable[run_id] = (epoch, seq)
        self._some.set()

    def put_logs_kept(self, count: int) -> None:
        """Queue how many bytes of logs were kept since the stream began. Does not block."""
        self._logs_kept = count
        self._some.set()

    async def take(self) -> Sequence[Frame]:
        """Wait for something, and give all there is."""
        while not self._frames and not self._durable and self._logs_kept is None:
            self._some = trio.Event()
            await self._some.wait()
        frames = list(self._frames)
        self._frames.clear()
        if self._durable:
            runs = tuple((run_id, *known) for run_id, known in self._durable.items())
            self._durable.clear()
            frames.append(Durable(runs=runs))
        if self._logs_kept is not None:
            frames.append(LogsKept(count=self._logs_kept))
            self._logs_kept = None
        return frames


class Dispatching(Protocol):
    """Brings a run to an engine, and posts to runs; see the fleet."""

    def dispatch(
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

    async def post(
        self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any] | None = None
    ) -> bool:
        """Post something to a run. Give False if that changes nothing."""
        ...


class RemoteEngine:
    """Implements :class:`~dagrun.ports.engine.EngineLink` for an engine in another process.

    Args:
        hello: how it introduced itself, or what the store knows of it.
        dispatching: the fleet.
    """

    def __init__(self, hello: Hello, dispatching: Dispatching) -> None:
        self.name = hello.engine_id
        self.instance = hello.instance
        self._dispatching = dispatching
        self.runs: dict[RunId, Assigned] = {}
        self.outbox: Outbox | None = None
        """Of the present stream; None while there is none."""

        self.address = ""
        self.heard = trio.current_time()
        """When its last heartbeat came, on the loop's clock."""

        self.refuses = False
        """Whether it refused a run since its last heartbeat."""

        self.unacknowledged: dict[RunId, tuple[int, int]] = {}
        """Run → epoch and highest ``seq`` that it reported on this stream."""

        self.closed: Callable[[], None] = lambda: None
        """Ends the present stream."""

        self.introduce(hello)

    def introduce(self, hello: Hello) -> None:
        """Take over what an engine says of itself."""
        self.capacity = hello.capacity
        self.offers = Offers(
            executors=frozenset(hello.executors), labels=hello.labels, resources=hello.resources
        )
        self.draining = hello.draining

    @property
    def ready(self) -> bool:
        """Whether it may be given runs now."""
        return self.outbox is not None and not self.draining and not self.refuses

    def view(self) -> EngineView:
        """Give what lists show."""
        if self.outbox is None:
            status = UNHEALTHY
        elif self.draining:
            status = DRAINING
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
        self._dispatching.dispatch(self, state, epoch, messages, lost=lost)

    async def cancel(self, run_id: RunId, *, reason: str) -> bool:
        """Post a request to cancel; see the port."""
        return await self._dispatching.post(run_id, MessageKind.CANCEL, {"reason": reason})

    async def pause(self, run_id: RunId) -> bool:
        """Post a request to pause; see the port."""
        return await self._dispatching.post(run_id, MessageKind.PAUSE)

    async def resume(self, run_id: RunId) -> bool:
        """Post a request to go on; see the port."""
        return await self._dispatching.post(run_id, MessageKind.RESUME)

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Pass on what was posted to a run; see the port.

        What cannot be sent now is sent at the next attachment, or with the next dispatch.
        """
        assigned = self.runs.get(run_id)
        if assigned is None:
            return False
        if not assigned.sent or assigned.leaving:
            assigned.kept.append(message)
        elif self.outbox is not None:
            self.outbox.put(Tell(run_id=run_id, epoch=assigned.epoch, message=message))
        return True
