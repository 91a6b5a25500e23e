"""An engine's side of the stream to its orchestrator."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.plan import Plan
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.errors import ChannelLost, ConflictError, DagrunError, NodeError, as_one_loss
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.engine import (
    DRAINING,
    IDLE,
    RUNNING,
    UNHEALTHY,
    AttachedEngine,
    EngineReport,
    Holding,
    Offers,
)
from dagrun.ports.frames import (
    Beat,
    BeatSeen,
    ChildStarted,
    Dispatch,
    Drain,
    Durable,
    Frame,
    GivenBack,
    Held,
    Hello,
    JournalPart,
    StartChild,
    Stop,
    Tell,
    TurnedAway,
    Welcome,
    Why,
)
from dagrun.ports.journal import Upstream
from dagrun.ports.store import Definition
from dagrun.ports.transport import Channel
from dagrun.services.attachment.lease import Lease
from dagrun.services.attachment.shipping import Shipping

GREETING: Final = 30.0  # seconds that an orchestrator may take for its welcome
MAX_REPORTS: Final = 4  # reports that travel together
MAX_LOGS: Final = 256 * 1024
"""Bytes of logs that travel together. A heartbeat may have to wait for them."""

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Identity:
    """Who an engine is, and what it offers."""

    engine_id: str
    instance: str
    """Random, new with each start of the process."""

    release: str
    capacity: int
    executors: tuple[str, ...] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict)
    resources: Mapping[str, float] = attrs.field(factory=dict)


class Unwelcome(DagrunError):
    """The orchestrator will never take this engine."""

    code = "unwelcome"


@attrs.define(eq=False)
class _Incoming:
    """A run whose journal has not come whole yet."""

    dispatch: Dispatch
    events: list[Event]


@attrs.define(eq=False)
class _Question:
    """A child that was asked for, on this stream or an earlier one."""

    asked: StartChild
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: ChildStarted | None = None


class Attachment:
    """Talks to the orchestrator for an engine, and minds the engine's lease.

    Implements :class:`~dagrun.ports.engine.EngineListener` and
    :class:`~dagrun.ports.children.Children` for the engine.

    Args:
        uplink: where the engine's events go.
        logs: what nodes write; it is sent when there is nothing else to say.
        lease: the engine's right to its runs; the uplink's ``fenced`` asks it.
        identity: who the engine is.
        compile_plan: makes a plan of a workflow's definition.
        kill: kills all processes of nodes at once; others may be started after that.
        renewed: is told when all must be dead unless the lease is renewed, by the lease's clock.
    """

    def __init__(
        self,
        *,
        uplink: Upstream,
        logs: Shipping,
        lease: Lease,
        identity: Identity,
        compile_plan: Callable[[Definition], Awaitable[Plan]],
        kill: Callable[[], None] = lambda: None,
        renewed: Callable[[float], None] = lambda _dead_at: None,
    ) -> None:
        self._engine: AttachedEngine
        self._uplink = uplink
        self._logs = logs
        self._lease = lease
        self._identity = identity
        self._compile_plan = compile_plan
        self._kill = kill
        self._renewed = renewed
        self._outgoing: deque[Frame] = deque()
        self._something = trio.Event()
        self._beats_now = trio.Event()
        self._beats = self._beats_seen = 0
        self._beat_seen = trio.Event()
        self._leased = trio.Event()
        self._conversation: trio.CancelScope | None = None
        self._talking: trio.CancelScope | None = None
        self._seen: dict[RunId, int] = {}
        self._incoming: dict[RunId, _Incoming] = {}
        self._questions: dict[int, _Question] = {}
        self._numbers = 0
        self._dropped = trio.Event()
        uplink.call_when_unsent(self._wake)
        logs.call_when_unsent(self._wake)
        self.attached = 0
        """How often an orchestrator has welcomed the engine."""

        self.draining = False
        """Whether the engine takes no more runs."""

    def speak_for(self, engine: AttachedEngine) -> None:
        """Say whose attachment it is, before anything else: the two know each other."""
        self._engine = engine

    async def run(
        self, *, task_status: trio.TaskStatus["Attachment"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Mind the lease until cancelled: at its end, kill without grace what runs under it."""
        task_status.started(self)
        while True:
            await self._leased.wait()
            while (left := self._lease.left()) > 0:  # noqa: ASYNC110 — it is renewed all along
                await trio.sleep(left)
            self._leased = trio.Event()
            self._fence()

    def _fence(self) -> None:
        """End what may be somebody else's by now. The runs are given back on the next stream."""
        if self._engine.holdings():
            self._kill_all()
        self.hang_up()

    def _kill_all(self) -> None:
        _log.warning("the orchestrator was not heard for too long: all nodes are killed")
        self._kill()
        self._engine.halt()

    @property
    def heard(self) -> bool:
        """Whether there is a conversation in which the orchestrator answers."""
        return self._talking is not None and self._lease.fresh()

    def hang_up(self) -> None:
        """End the present conversation; whoever holds it begins another one."""
        if self._conversation is not None:
            self._conversation.cancel()

    # what others ask

    def report(self) -> EngineReport:
        """Say how the engine is."""
        who, holdings = self._identity, self._engine.holdings()
        status = RUNNING if holdings else IDLE
        if self.draining:
            status = DRAINING
        return EngineReport(
            engine_id=who.engine_id,
            instance=who.instance,
            release=who.release,
            status=status if self.heard else UNHEALTHY,
            capacity=who.capacity,
            runs=[(held.run_id, held.epoch) for held in holdings],
            offers=Offers(
                executors=frozenset(who.executors), labels=who.labels, resources=who.resources
            ),
        )

    async def take(self, frame: Dispatch | Stop) -> str | None:
        """Do what a frame says that did not come on the stream. Give why not, if it is refused.

        A run is executed under the lease of the orchestrator that is heard, and reported to it; it
        has the run stopped if it knows nothing of it.
        """
        if not self.heard:
            return "no orchestrator is heard, so there is no lease for a run"
        if isinstance(frame, Dispatch):
            if frame.more:
                return "its journal is not complete"
            await self._execute(frame, list(frame.events))
            return None if self._has(frame.run_id, frame.epoch) else "it cannot be executed here"
        if not self._has(frame.run_id, frame.epoch):
            return "the engine does not have the run under this epoch"
        self._drop(frame.run_id, frame.reason)
        return None

    def _has(self, run_id: RunId, epoch: int) -> bool:
        return any((held.run_id, held.epoch) == (run_id, epoch) for held in self._engine.holdings())

    # what the engine says

    def left(self, state: RunState, abandoned: str | None) -> None:
        """Hear that the engine has no more to do with a run; see the port."""
        self._dropped.set()
        seen = self._seen.pop(state.run_id, 0)
        if abandoned is not None or state.ended:
            return
        why = Why.PAUSED if state.status is RunStatus.PAUSED else Why.PARKED
        self._give_back(state.run_id, state.epoch, state.seq, why, seen)

    async def start(self, request: ChildRequest) -> Child:
        """Ask the orchestrator for a child run; see the port."""
        self._numbers += 1
        question = _Question(StartChild(number=self._numbers, request=request))
        self._questions[self._numbers] = question
        self._say(question.asked)
        try:
            await question.answered.wait()
        finally:
            del self._questions[question.asked.number]
        answer = question.answer
        assert answer is not None  # noqa: S101 — there is one, as was waited for
        if answer.child is not None:
            return answer.child
        error = answer.error or {}
        kind, message = error.get("type", "workflow"), error.get("message", "")
        if kind == ConflictError.code:
            raise ConflictError(message)
        raise NodeError(kind, message, retryable=answer.retryable)

    # draining

    def drain(self) -> None:
        """Take no more runs. Those that the engine has go on."""
        self.draining = True
        self._beats_now.set()

    async def hand_over(self) -> None:
        """Give back all runs, with what is recorded of them. The engine starts nothing more.

        Returns when the orchestrator has taken all of them. If that lasts too long, it may be
        cancelled: the runs wait for the end of the lease then.
        """
        self._engine.halt()
        self._give_halted_back()
        while self._engine.holdings():
            self._dropped = trio.Event()
            await self._dropped.wait()

    async def logs_arrived(self) -> None:
        """Wait until the orchestrator has all that nodes have written; then delete it here.

        It may be cancelled if that lasts too long: what was not sent stays on the disk.
        """
        while self._logs.keeps:
            await self._logs.wait_sent()
            stream, wanted = self.attached, self._beats + 1
            self._beats_now.set()
            while self.attached == stream and self._beats_seen < wanted:
                self._beat_seen = trio.Event()
                await self._beat_seen.wait()
            if self.attached == stream:  # what was sent before that heartbeat was heard
                self._logs.remove_sent()
                return

    # the conversation

    async def converse(self, channel: Channel) -> None:
        """Talk on a new stream until it ends.

        Raises:
            ChannelLost: it has ended.
            Unwelcome: this engine is not wanted, and will not be.
        """
        self.hang_up()  # an older stream that did not end
        with trio.CancelScope() as scope:
            self._conversation = scope
            since = self._lease.now()
            holdings = self._engine.holdings()
            await channel.send([self._hello(holdings)])
            welcome, rest = await self._welcome(channel)
            self._settle(welcome, holdings, since)
            self._talking = scope
            try:
                with as_one_loss():
                    await self._talk(channel, rest)
            finally:
                if self._talking is scope:
                    self._talking = None
        raise ChannelLost("the conversation was ended")

    async def _talk(self, channel: Channel, first: Sequence[Frame]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, channel)
            nursery.start_soon(self._beat)
            await self._hear(first)
            while True:
                await self._hear(await channel.receive())

    def _hello(self, holdings: Sequence[Holding]) -> Hello:
        who = self._identity
        return Hello(
            release=who.release,
            engine_id=who.engine_id,
            instance=who.instance,
            capacity=who.capacity,
            executors=who.executors,
            labels=who.labels,
            resources=who.resources,
            draining=self.draining,
            held=tuple(
                Held(
                    run_id=held.run_id,
                    epoch=held.epoch,
                    durable=self._uplink.durable(held.run_id),
                    last=held.seq,
                    stopped=held.halted,
                )
                for held in holdings
            ),
        )

    async def _welcome(self, channel: Channel) -> tuple[Welcome, Sequence[Frame]]:
        with trio.move_on_after(GREETING):
            first, *rest = await channel.receive()
            match first:
                case Welcome():
                    return first, rest
                case TurnedAway(final=True):
                    raise Unwelcome(first.reason)
                case TurnedAway():
                    raise ChannelLost(f"{channel.peer} turns this engine away: {first.reason}")
                case other:
                    raise ChannelLost(f"{channel.peer} begins with {type(other).__name__}")
        raise ChannelLost(f"{channel.peer} did not answer for {GREETING:g} s")

    def _settle(self, welcome: Welcome, holdings: Sequence[Holding], since: float) -> None:
        """Keep and drop runs as the orchestrator says, and begin the lease."""
        kept = {(run_id, epoch): seq for run_id, epoch, seq in welcome.kept}
        if self._lease.fenced() and not all(held.halted for held in self._engine.holdings()):
            self._kill_all()  # the guard may have done so while this process stood still
        self._outgoing.clear()
        for held in holdings:
            seq = kept.get((held.run_id, held.epoch))
            if seq is None:
                self._drop(held.run_id, "the orchestrator has given it to somebody else")
            else:
                self._uplink.acknowledge(held.run_id, seq)
        self._uplink.send_again([run_id for run_id, _ in kept])
        self._logs.send_again()
        self._lease.begin(welcome.lease, since)
        self.attached += 1
        self._beat_seen.set()
        _log.info("engine %s is attached", self._identity.engine_id)
        self._leased.set()
        self._renewed(self._lease.dead_at())
        self._outgoing.extend(question.asked for question in self._questions.values())
        self._give_halted_back()
        self._uplink.look_for_room()

    async def _send(self, channel: Channel) -> None:
        while True:
            while not (frames := self._next_frames()):
                self._something = trio.Event()
                await self._something.wait()
            await channel.send(frames)

    def _next_frames(self) -> list[Frame]:
        """Give heartbeats first; what is said of a run comes behind its events, and logs at last."""
        frames: list[Frame] = [frame for frame in self._outgoing if isinstance(frame, Beat)]
        self._outgoing = deque(frame for frame in self._outgoing if not isinstance(frame, Beat))
        for _ in range(MAX_REPORTS):
            report = self._uplink.take_report()
            if report is None:
                frames += self._outgoing
                self._outgoing.clear()
                break
            frames.append(report)
        return frames or list(self._logs.take(MAX_LOGS))

    async def _beat(self) -> None:
        while True:
            held = tuple(
                (held.run_id, held.epoch) for held in self._engine.holdings() if not held.halted
            )
            self._beats = self._lease.beat()
            self._say(Beat(number=self._beats, held=held, draining=self.draining))
            self._beats_now = trio.Event()
            with trio.move_on_after(self._lease.interval):
                await self._beats_now.wait()

    # what the orchestrator says

    async def _hear(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            match frame:
                case BeatSeen(number=number):
                    self._answered(number)
                case Durable(runs=runs):
                    for run_id, _, seq in runs:
                        self._uplink.acknowledge(run_id, seq)
                case Dispatch() if frame.more:
                    self._incoming[frame.run_id] = _Incoming(frame, list(frame.events))
                case Dispatch():
                    await self._execute(frame, list(frame.events))
                case JournalPart():
                    await self._go_on(frame)
                case Tell(run_id=run_id, message=message):
                    self._seen[run_id] = max(self._seen.get(run_id, 0), message.number)
                    self._engine.tell(run_id, message)
                case Stop(run_id=run_id, reason=reason):
                    self._drop(run_id, reason)
                case ChildStarted():
                    self._answer(frame)
                case Drain(on=on):
                    self.draining = on
                    self._beats_now.set()
                case other:
                    raise ChannelLost(f"the orchestrator says {type(other).__name__}")

    def _answered(self, number: int) -> None:
        """Renew the lease, unless it has ended already.

        Then the answer lay unread while this process stood still, and the guard may have killed the
        nodes meanwhile: what comes of them is none of their own doing.
        """
        if self._lease.fenced():
            self._fence()
            return
        self._lease.answered(number)
        self._beats_seen = number
        self._beat_seen.set()
        self._renewed(self._lease.dead_at())

    async def _go_on(self, part: JournalPart) -> None:
        incoming = self._incoming.get(part.run_id)
        if incoming is None or incoming.dispatch.epoch != part.epoch:
            return
        incoming.events += part.events
        if not part.more:
            del self._incoming[part.run_id]
            await self._execute(incoming.dispatch, incoming.events)

    async def _execute(self, dispatch: Dispatch, events: list[Event]) -> None:
        run_id, epoch = dispatch.run_id, dispatch.epoch
        if self._has(run_id, epoch):
            return  # it was said twice
        self._drop(run_id, "it goes on under another epoch")
        self._seen[run_id] = max((message.number for message in dispatch.messages), default=0)
        try:
            definition = Definition(hash=dispatch.definition_hash, body=dispatch.definition)
            state = RunState(await self._compile_plan(definition), run_id, dispatch.inputs)
            replay(state, events)
            self._uplink.continue_from(run_id, state.seq)
            self._engine.execute(state, epoch=epoch, messages=dispatch.messages, lost=dispatch.lost)
        except (DagrunError, ValueError, LookupError) as error:
            _log.warning("run %s cannot be executed here: %s", run_id, error)
            self._drop(run_id, str(error))
            self._give_back(run_id, epoch, 0, Why.UNUSABLE, 0, detail=str(error))

    def _drop(self, run_id: RunId, why: str) -> None:
        self._incoming.pop(run_id, None)
        self._engine.abandon(run_id, why)
        self._uplink.refuse(run_id)
        self._seen.pop(run_id, None)
        self._dropped.set()

    # giving back

    def _give_halted_back(self) -> None:
        """Give back what was halted; it comes behind all events that are kept of it.

        The engine has it until the orchestrator says that it is to stop.
        """
        for held in self._engine.holdings():
            if held.halted:
                seen = self._seen.get(held.run_id, 0)
                self._give_back(held.run_id, held.epoch, held.seq, Why.STOPPED, seen)

    def _give_back(
        self, run_id: RunId, epoch: int, seq: int, why: Why, seen: int, *, detail: str = ""
    ) -> None:
        self._say(GivenBack(run_id=run_id, epoch=epoch, why=why, seq=seq, seen=seen, detail=detail))

    def _say(self, frame: Frame) -> None:
        self._outgoing.append(frame)
        self._wake()

    def _wake(self) -> None:
        self._something.set()

    def _answer(self, answer: ChildStarted) -> None:
        question = self._questions.get(answer.number)
        if question is not None:
            question.answer = answer
            question.answered.set()
