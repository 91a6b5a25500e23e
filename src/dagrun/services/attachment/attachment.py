"""An engine's side of the stream to its orchestrator."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from dagrun.domain.plan import Plan
from dagrun.errors import ChannelLost, as_one_loss
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
    BeatSeen,
    ChildStarted,
    Dispatch,
    Drain,
    Durable,
    Frame,
    JournalPart,
    LogsKept,
    Stop,
    Tell,
    Welcome,
)
from dagrun.ports.journal import Upstream
from dagrun.ports.store import Definition
from dagrun.ports.transport import Channel
from dagrun.services.attachment.handshake import hello_of, welcome
from dagrun.services.attachment.heartbeats import Heartbeats
from dagrun.services.attachment.identity import Identity
from dagrun.services.attachment.lease import Lease
from dagrun.services.attachment.lease_watch import LeaseWatch
from dagrun.services.attachment.outbox import Outbox
from dagrun.services.attachment.remote_children import RemoteChildren
from dagrun.services.attachment.runs import HeldRuns
from dagrun.services.attachment.shipping import Shipping

_log: Final = logging.getLogger(__name__)


class Attachment:
    """Talks to the orchestrator for an engine, and minds the engine's lease.

    Args:
        uplink: where the engine's events go.
        logs: what nodes write; it is sent when there is nothing else to say.
        lease: the engine's right to its runs; the uplink's ``fenced`` asks it.
        identity: who the engine is.
        compile_plan: makes a plan of a workflow's definition.
        kill: kills all processes of nodes at once; others may be started after that.
        renewed: is told when all must be dead unless the lease is renewed, by the lease's clock.
        healthy: says whether nodes can start here; if not, no more runs are wanted.
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
        healthy: Callable[[], bool] = lambda: True,
    ) -> None:
        self._uplink = uplink
        self._logs = logs
        self._lease = lease
        self._identity = identity
        self._kill = kill
        self._outbox = Outbox(uplink, logs)
        self.runs = HeldRuns(uplink=uplink, outbox=self._outbox, compile_plan=compile_plan)
        """Listens to the engine."""

        self.children = RemoteChildren(self._outbox)
        """Starts child runs for the engine."""

        self._healthy = healthy
        self._heartbeats = Heartbeats(
            lease=lease, outbox=self._outbox, holdings=self.runs.holdings, healthy=healthy
        )
        self._watch = LeaseWatch(lease, expired=self._fence, renewed=renewed)
        self._conversation: trio.CancelScope | None = None
        self._talking: trio.CancelScope | None = None

    def speak_for(self, engine: AttachedEngine) -> None:
        """Say whose attachment it is, before anything else: the two know each other."""
        self.runs.engine = engine

    async def run(
        self, *, task_status: trio.TaskStatus["Attachment"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Mind the lease until cancelled: at its end, kill without grace what runs under it."""
        task_status.started(self)
        await self._watch.run()

    def _fence(self) -> None:
        """End what may be somebody else's by now. The runs are given back on the next stream."""
        if self.runs.holdings():
            self._kill_all()
        self.hang_up()

    def _kill_all(self) -> None:
        _log.warning("the orchestrator was not heard for too long: all nodes are killed")
        self._kill()
        self.runs.engine.halt()

    @property
    def attached(self) -> int:
        """How often an orchestrator has welcomed the engine."""
        return self._heartbeats.streams

    @property
    def heard(self) -> bool:
        """Whether there is a conversation in which the orchestrator answers."""
        return self._talking is not None and self._lease.fresh()

    @property
    def interval(self) -> float:
        """Seconds between heartbeats; infinite before an orchestrator has said how long a lease is."""
        return self._lease.interval

    def hang_up(self) -> None:
        """End the present conversation; whoever holds it begins another one."""
        if self._conversation is not None:
            self._conversation.cancel()

    def report(self) -> EngineReport:
        """Say how the engine is."""
        who, holdings = self._identity, self.runs.holdings()
        status = RUNNING if holdings else IDLE
        if self._heartbeats.draining:
            status = DRAINING
        elif not self._healthy():
            status = UNHEALTHY
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
            await self.runs.take(frame)
            return (
                None if self.runs.has(frame.run_id, frame.epoch) else "it cannot be executed here"
            )
        if not self.runs.has(frame.run_id, frame.epoch):
            return "the engine does not have the run under this epoch"
        self.runs.stop(frame)
        return None

    def say_health(self) -> None:
        """Let the orchestrator know at once that the engine is unhealthy, or is no more."""
        self._heartbeats.say_health()

    def drain(self) -> None:
        """Take no more runs. Those that the engine has go on."""
        self._heartbeats.say_draining(on=True)

    async def hand_over(self) -> None:
        """Give back all runs, see :meth:`HeldRuns.hand_over`, and be known to take no more."""
        await self.runs.hand_over()
        await self._heartbeats.wait_drain_heard()

    async def logs_arrived(self) -> None:
        """Wait until the orchestrator has all that nodes have written.

        It may be cancelled if that lasts too long: what has not arrived stays on the disk.
        """
        await self._logs.wait_arrived()

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
            holdings = self.runs.holdings()
            await channel.send([self._hello(holdings)])
            answer, rest = await welcome(channel)
            self._settle(answer, holdings, since)
            self._talking = scope
            try:
                with as_one_loss():
                    await self._talk(channel, rest)
            finally:
                if self._talking is scope:
                    self._talking = None
        raise ChannelLost("the conversation was ended")

    def _hello(self, holdings: Sequence[Holding]) -> Frame:
        inventory = ((held.run_id, held.epoch) for held in holdings)
        return hello_of(self._identity, draining=self._heartbeats.draining, held=inventory)

    def _settle(self, answer: Welcome, holdings: Sequence[Holding], since: float) -> None:
        """Keep and drop runs as the orchestrator says, and begin the lease."""
        if self._lease.fenced() and not all(held.halted for held in self.runs.holdings()):
            self._kill_all()  # the guard may have done so while this process stood still
        self._outbox.clear()
        self.runs.settle(holdings, answer.kept)
        self._logs.send_again()
        self._heartbeats.begin()
        _log.info("engine %s is attached", self._identity.engine_id)
        self._watch.begin(answer.lease, since)
        self.children.ask_again()
        self.runs.give_halted_back()
        self._uplink.look_for_room()

    async def _talk(self, channel: Channel, first: Sequence[Frame]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, channel)
            nursery.start_soon(self._heartbeats.run)
            await self._hear(first)
            while True:
                await self._hear(await channel.receive())

    async def _send(self, channel: Channel) -> None:
        while True:
            await channel.send(await self._outbox.take())

    async def _hear(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            match frame:
                case BeatSeen(number=number):
                    self._answered(number)
                case Durable(runs=runs):
                    for run_id, _, seq in runs:
                        self._uplink.acknowledge(run_id, seq)
                case LogsKept(count=count):
                    self._logs.acknowledge(count)
                case Dispatch() | JournalPart():
                    await self.runs.take(frame)
                case Tell():
                    self.runs.tell(frame)
                case Stop():
                    self.runs.stop(frame)
                case ChildStarted():
                    self.children.answered(frame)
                case Drain(on=False) if self.runs.leaving:
                    pass  # it is closing, and takes no runs whatever is asked for
                case Drain(on=on):
                    self._heartbeats.say_draining(on=on)
                case other:
                    raise ChannelLost(f"the orchestrator says {type(other).__name__}")

    def _answered(self, number: int) -> None:
        """Renew the lease, unless it has ended already.

        Then the answer lay unread while this process stood still, and the guard may have killed the
        nodes meanwhile: what comes of them is none of their own doing.
        """
        self._heartbeats.answered(number)
        if self._lease.fenced():
            self._fence()
        else:
            self._watch.renew(number)
