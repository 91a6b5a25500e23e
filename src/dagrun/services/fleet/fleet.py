"""All engines in other processes, and the runs that they have."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import attrs
import trio

from dagrun.domain.events import RUN_ENDS, Event
from dagrun.domain.ids import RunId
from dagrun.domain.moves import first_event
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ChannelLost, DagrunError, NodeError, StoreBusy, StoreFull
from dagrun.ports.children import Children
from dagrun.ports.engine import EngineView, Placer
from dagrun.ports.frames import (
    PROTOCOL,
    ChildStarted,
    Drain,
    GivenBack,
    Held,
    Hello,
    LogChunk,
    StartChild,
    Stop,
    Tell,
    TurnedAway,
    Welcome,
    Why,
)
from dagrun.ports.journal import AssigningFeed
from dagrun.ports.store import Assignment, Definition, Message, MessageKind, Refusal, Store
from dagrun.ports.transport import Channel
from dagrun.services.fleet.leases import Leases
from dagrun.services.fleet.parts import dispatch_frames
from dagrun.services.fleet.remote import Assigned, Outbox, RemoteEngine
from dagrun.services.fleet.session import Session

T = TypeVar("T")

GREETING: Final = 30.0  # seconds that an engine may take to introduce itself
PATIENCE: Final = 0.5  # seconds between tries while the store does not answer

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class FleetStatistics:
    """What there is."""

    attached: int
    """Engines with a stream."""

    silent: int
    """Engines without one whose runs wait out their leases."""

    runs: int


class Announce(Protocol):
    """Tells subscribers of something that belongs to no run."""

    def __call__(self, kind: str, *, engine_id: str, data: Mapping[str, Any] | None = None) -> None:
        """Tell. Does not block."""
        ...


def _unheard(kind: str, *, engine_id: str, data: Mapping[str, Any] | None = None) -> None:
    """Tell nobody."""
    del kind, engine_id, data


class Fleet:
    """Engines in other processes.

    Args:
        orchestrator: random, new with each start.
        lease: seconds after which a silent engine loses its runs.
        store: where journals, definitions and messages are.
        journal: takes events and assignments.
        placer: places runs.
        definition: gives what is stored of a workflow.
        children: starts child runs.
        log_came: keeps a piece of a log.
        announce: tells of engines that come and go.
    """

    def __init__(
        self,
        *,
        orchestrator: str,
        lease: float,
        store: Store,
        journal: AssigningFeed,
        placer: Placer,
        definition: Callable[[Workflow], Awaitable[Definition]],
        children: Children | None = None,
        log_came: Callable[[LogChunk], None] = lambda _chunk: None,
        announce: Announce = _unheard,
    ) -> None:
        self._orchestrator = orchestrator
        self._store = store
        self._journal = journal
        self._placer = placer
        self._definition = definition
        self._children = children
        self._announce = announce
        self.log_came = log_came
        self._leases = Leases(lease, self._expire)
        self._engines: dict[str, RemoteEngine] = {}
        self._departed: dict[RemoteEngine, None] = {}
        """Earlier lives of engines, whose runs wait out their leases."""

        self._by_run: dict[RunId, RemoteEngine] = {}
        self._nursery: trio.Nursery

    async def run(
        self, *, task_status: trio.TaskStatus["Fleet"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Mind the leases until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await self._nursery.start(self._leases.run)
            task_status.started(self)

    def engines(self) -> Sequence[EngineView]:
        """List the engines, by id."""
        return [engine.view() for _, engine in sorted(self._engines.items())]

    def statistics(self) -> FleetStatistics:
        """Say what there is."""
        attached = sum(engine.outbox is not None for engine in self._engines.values())
        return FleetStatistics(
            attached=attached,
            silent=len(self._engines) - attached + len(self._departed),
            runs=len(self._by_run),
        )

    def drain(self, engine_id: str, *, on: bool) -> bool:
        """Let an engine take no more runs, or take some again. Give False if there is none."""
        engine = self._engines.get(engine_id)
        if engine is None or engine.outbox is None:
            return False
        engine.draining = on
        engine.outbox.put(Drain(on=on))
        self.changed(engine)
        return True

    # what the store said at the start

    def expect(
        self, engine_id: str, instance: str, runs: Iterable[tuple[RunId, int]]
    ) -> RemoteEngine:
        """Know that an engine has runs, from before this orchestrator was started.

        They wait for it for one lease.
        """
        hello = Hello(engine_id=engine_id, instance=instance, release="", capacity=0)
        engine = RemoteEngine(hello, self)
        now = trio.current_time()
        for run_id, epoch in runs:
            engine.runs[run_id] = Assigned(run_id, epoch, now)
            self._by_run[run_id] = engine
        if engine_id in self._engines:
            self._departed[engine] = None
        else:
            self._engines[engine_id] = engine
        self._placer.add_engine(engine)
        return engine

    # a stream

    async def converse(self, channel: Channel) -> None:
        """Talk with an engine on a new stream until it ends.

        Raises:
            ChannelLost: it has ended.
        """
        hello = await self._greeting(channel)
        engine = self._admit(hello)
        if isinstance(engine, TurnedAway):
            _log.warning("engine %s from %s: %s", hello.engine_id, channel.peer, engine.reason)
            await channel.send([engine])
            return
        outbox = Outbox()
        with trio.CancelScope() as scope:
            engine.closed, engine.address = scope.cancel, channel.peer
            engine.outbox, engine.heard = outbox, trio.current_time()
            engine.unacknowledged.clear()
            self._settle(engine, hello, outbox)
            self._placer.engine_changed(engine)
            try:
                await Session(channel, engine, self._journal, self).run(outbox)
            finally:
                if engine.outbox is outbox:
                    engine.outbox = None
                    self._placer.engine_changed(engine)
                    self._forget_if_done(engine)
        raise ChannelLost(f"the stream of engine {engine.name} was ended")

    async def _greeting(self, channel: Channel) -> Hello:
        with trio.move_on_after(GREETING):
            first = (await channel.receive())[0]
            if isinstance(first, Hello):
                return first
            raise ChannelLost(f"{channel.peer} begins with {type(first).__name__}")
        raise ChannelLost(f"{channel.peer} did not introduce itself for {GREETING:g} s")

    def _admit(self, hello: Hello) -> RemoteEngine | TurnedAway:
        if hello.protocol != PROTOCOL:
            reason = (
                f"it speaks version {hello.protocol} of the protocol (dagrun {hello.release}),"
                f" this orchestrator version {PROTOCOL}"
            )
            return TurnedAway(reason=reason, final=True)
        if hello.capacity < 1:
            return TurnedAway(reason="its capacity is less than 1", final=True)
        known = self._engines.get(hello.engine_id)
        if known is not None and known.instance == hello.instance:
            known.closed()
            known.introduce(hello)
            return known
        if known is not None and known.outbox is not None:
            reason = f"an engine with the id {known.name} is attached already, from {known.address}"
            return TurnedAway(reason=reason)
        if known is not None:
            self._depart(known)
        engine = self._engines[hello.engine_id] = RemoteEngine(hello, self)
        self._placer.add_engine(engine)
        self._announce("engine.joined", engine_id=engine.name, data={"release": hello.release})
        return engine

    def _depart(self, engine: RemoteEngine) -> None:
        """Give the id of an engine to another one; its runs wait out their leases."""
        del self._engines[engine.name]
        self._placer.remove_engine(engine)
        if engine.runs:
            self._departed[engine] = None

    def _settle(self, engine: RemoteEngine, hello: Hello, outbox: Outbox) -> None:
        """Say of each run of an inventory whether it is kept, and take back what it lacks."""
        now = trio.current_time()
        kept: list[tuple[RunId, int, int]] = []
        stopped: list[tuple[RunId, int]] = []
        for held in hello.held:
            assigned = self._assigned(engine, held)
            if assigned is None:
                stopped.append((held.run_id, held.epoch))
            else:
                assigned.renewed = now
                kept.append((held.run_id, held.epoch, self._journal.durable(held.run_id)))
        outbox.put(
            Welcome(
                orchestrator=self._orchestrator,
                lease=self._leases.length,
                kept=tuple(kept),
                stopped=tuple(stopped),
            )
        )
        has = {run_id for run_id, _, _ in kept}
        for run_id, assigned in list(engine.runs.items()):
            if run_id in has:
                self._nursery.start_soon(self._tell_again, engine, assigned, outbox)
            elif assigned.sent:
                self._take_back(engine, run_id, lost=False)

    def _assigned(self, engine: RemoteEngine, held: Held) -> Assigned | None:
        """Give what an engine rightly has of its inventory."""
        assigned = engine.runs.get(held.run_id)
        current = assigned is not None and assigned.epoch == held.epoch and assigned.sent
        return assigned if current else None

    async def _tell_again(self, engine: RemoteEngine, assigned: Assigned, outbox: Outbox) -> None:
        """Send what was posted to a run while its engine was away."""
        messages = await _patiently(lambda: self._store.messages(assigned.run_id))
        if engine.runs.get(assigned.run_id) is assigned:
            for message in messages:
                outbox.put(Tell(run_id=assigned.run_id, epoch=assigned.epoch, message=message))

    def changed(self, engine: RemoteEngine) -> None:
        """Let runs be placed anew: whether an engine takes some may be another now."""
        if engine.draining:
            self._announce("engine.draining", engine_id=engine.name)
        self._placer.engine_changed(engine)

    # to an engine

    def dispatch(
        self,
        engine: RemoteEngine,
        state: RunState,
        epoch: int,
        messages: Sequence[Message],
        *,
        lost: bool,
    ) -> None:
        """Assign a run to an engine, and send it when that is durable. Does not block."""
        assigned = Assigned(state.run_id, epoch, trio.current_time(), sent=False)
        engine.runs[state.run_id] = assigned
        self._by_run[state.run_id] = engine
        self._nursery.start_soon(self._dispatch, engine, assigned, state, messages, lost)

    async def _dispatch(
        self,
        engine: RemoteEngine,
        assigned: Assigned,
        state: RunState,
        messages: Sequence[Message],
        lost: bool,
    ) -> None:
        run_id = assigned.run_id
        if self._engines.get(engine.name) is not engine:  # it went while the run was read
            self._take_back(engine, run_id, lost=lost)
            return
        refusal = await self._journal.assign(
            Assignment(
                run_id=run_id,
                epoch=assigned.epoch,
                engine_id=engine.name,
                instance=engine.instance,
            )
        )
        if refusal is not None:
            self._off(engine, run_id)
            self._placer.abandoned(run_id, f"it was taken over by somebody else ({refusal})")
            return
        try:
            definition = await _patiently(lambda: self._definition(state.plan.workflow))
            events = [first_event(state)] if state.seq == 1 else await self._events(run_id)
        except DagrunError as error:  # damaged: the others go on
            self._off(engine, run_id)
            self._placer.abandoned(run_id, str(error))
            return
        if engine.runs.get(run_id) is not assigned:
            return
        self._journal.continue_from(run_id, events[-1].seq)
        assigned.sent, assigned.renewed = True, trio.current_time()
        told = (*messages, *assigned.kept)
        if engine.outbox is not None:  # else its next inventory lacks the run
            engine.outbox.put(
                *dispatch_frames(assigned, state, definition, events, messages=told, lost=lost)
            )

    async def _events(self, run_id: RunId) -> Sequence[Event]:
        return await _patiently(lambda: self._store.events(run_id))

    async def post(
        self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any] | None = None
    ) -> bool:
        """Post something to a run, and tell its engine. Give False if that changes nothing."""
        if kind is not MessageKind.CANCEL and not await self._is_of_use(run_id, kind):
            return False
        posted = await self._store.post(run_id, kind, data)
        for post in posted:
            self._placer.tell(post.run_id, post.message)
        return bool(posted)

    async def _is_of_use(self, run_id: RunId, kind: MessageKind) -> bool:
        """Whether pausing a run, or going on with it, changes how it stands, or will stand."""
        status = (await self._store.run(run_id)).status
        for message in await self._store.messages(run_id):
            if message.kind is MessageKind.PAUSE and status is RunStatus.RUNNING:
                status = RunStatus.PAUSED
            elif message.kind is MessageKind.RESUME and status is RunStatus.PAUSED:
                status = RunStatus.RUNNING
        if kind is MessageKind.PAUSE:
            return status is RunStatus.RUNNING or status is RunStatus.QUEUED
        return status is RunStatus.PAUSED

    # from an engine

    def given_back(self, engine: RemoteEngine, frame: GivenBack) -> None:
        """An engine has a run no more."""
        assigned = engine.runs.get(frame.run_id)
        if assigned is None or assigned.epoch != frame.epoch:
            self._stop(engine, frame.run_id, frame.epoch)
        elif frame.why is Why.UNUSABLE:
            _log.warning("engine %s: run %s: %s", engine.name, frame.run_id, frame.detail)
            engine.refuses = True  # until its next heartbeat
            self._placer.engine_changed(engine)
            self._take_back(engine, frame.run_id, lost=False)
        else:
            assigned.leaving = True
            self._nursery.start_soon(self._end_assignment, engine, assigned, frame)

    async def _end_assignment(
        self, engine: RemoteEngine, assigned: Assigned, frame: GivenBack
    ) -> None:
        """Note that a run is with no engine, behind all its events."""
        refusal = await self._journal.assign(
            Assignment(
                run_id=frame.run_id,
                epoch=frame.epoch,
                engine_id=None,
                instance=None,
                seen=frame.seen,
            )
        )
        if engine.runs.get(frame.run_id) is not assigned:
            return  # it has ended, or the lease has
        if refusal is Refusal.UNSEEN or frame.why is Why.STOPPED:
            self._take_back(engine, frame.run_id, lost=False)
        elif refusal is None:
            self._off(engine, frame.run_id)
            self._placer.rests(frame.run_id, parked=frame.why is Why.PARKED)
            self._tell_kept(assigned)
        else:
            self._off(engine, frame.run_id)
            self._placer.abandoned(frame.run_id, f"it was taken over by somebody else ({refusal})")
        self._stop(engine, frame.run_id, frame.epoch)

    def _tell_kept(self, assigned: Assigned) -> None:
        """Tell of what was posted while a run was given back, and the engine had it no more."""
        for message in assigned.kept:
            self._placer.tell(assigned.run_id, message)

    def child_wanted(self, engine: RemoteEngine, frame: StartChild) -> None:
        """A node of an engine wants a child run."""
        self._nursery.start_soon(self._start_child, engine, engine.outbox, frame)

    async def _start_child(
        self, engine: RemoteEngine, outbox: Outbox | None, frame: StartChild
    ) -> None:
        answer = ChildStarted(
            number=frame.number, error=_error("workflow", "it starts no children")
        )
        try:
            if self._children is not None:
                child = await self._children.start(frame.request)
                answer = ChildStarted(number=frame.number, child=child)
        except NodeError as error:
            answer = ChildStarted(
                number=frame.number,
                error=_error(error.type, error.message),
                retryable=error.retryable,
            )
        except DagrunError as error:
            answer = ChildStarted(number=frame.number, error=_error(error.code, str(error)))
        if outbox is not None and engine.outbox is outbox:
            outbox.put(answer)

    # what the journal says

    def committed(self, events: Sequence[Event]) -> None:
        """Acknowledge what is durable, and let runs go that have ended. Does not block."""
        for engine in [*self._engines.values(), *self._departed]:
            if engine.unacknowledged:
                self._acknowledge(engine)
        for event in events:
            if event.type in RUN_ENDS and event.run_id in self._by_run:
                self._off(self._by_run[event.run_id], event.run_id)
                self._placer.ended(event.run_id)

    def _acknowledge(self, engine: RemoteEngine) -> None:
        for run_id, (epoch, seq) in list(engine.unacknowledged.items()):
            durable = min(self._journal.durable(run_id), seq)
            if engine.outbox is not None and durable:
                engine.outbox.put_durable(run_id, epoch, durable)
            if durable == seq:
                del engine.unacknowledged[run_id]

    def refused(self, run_id: RunId, why: Refusal, epoch: int) -> None:
        """Hear that events of a run were not taken. Does not block."""
        engine = self._by_run.get(run_id)
        if engine is None or engine.runs[run_id].epoch != epoch:
            return  # they came late
        engine.unacknowledged.pop(run_id, None)
        self._stop(engine, run_id, epoch)
        if why is Refusal.UNSEEN:
            self._take_back(engine, run_id, lost=False)
        elif why is Refusal.GAP:  # it has lost events, or made some up: what is stored goes on
            _log.warning("engine %s: run %s: its events do not follow", engine.name, run_id)
            engine.refuses = True  # until its next heartbeat
            self._placer.engine_changed(engine)
            self._take_back(engine, run_id, lost=True)
        else:
            self._off(engine, run_id)
            self._placer.abandoned(run_id, f"it was taken over by somebody else ({why})")

    # the end of a lease

    def _expire(self, before: float) -> None:
        """Take runs back whose leases began before a time, and forget engines that are gone."""
        for engine in [*self._engines.values(), *self._departed]:
            if engine.outbox is not None and engine.heard <= before:
                engine.outbox = None  # lest it is given a run again at once
                engine.closed()
                self._placer.engine_changed(engine)
            for run_id, assigned in list(engine.runs.items()):
                if assigned.sent and assigned.renewed <= before:
                    _log.warning(
                        "engine %s is silent: run %s goes on elsewhere", engine.name, run_id
                    )
                    self._stop(engine, run_id, assigned.epoch)
                    self._take_back(engine, run_id, lost=True)
            if engine.outbox is None and engine.heard <= before and not engine.runs:
                self._forget(engine)

    def _forget_if_done(self, engine: RemoteEngine) -> None:
        """Forget an engine at once that said that it goes, and has nothing."""
        if engine.draining and not engine.runs:
            self._forget(engine)

    def _forget(self, engine: RemoteEngine) -> None:
        self._departed.pop(engine, None)
        if self._engines.get(engine.name) is engine:
            del self._engines[engine.name]
            self._placer.remove_engine(engine)
            if not engine.draining:
                self._announce("engine.lost", engine_id=engine.name)

    # parts

    def _take_back(self, engine: RemoteEngine, run_id: RunId, *, lost: bool) -> None:
        """Let a run go on with another engine, or the same one, under the next epoch."""
        self._off(engine, run_id)
        self._placer.take_back(run_id, lost=lost)

    def _off(self, engine: RemoteEngine, run_id: RunId) -> None:
        engine.runs.pop(run_id, None)
        engine.unacknowledged.pop(run_id, None)
        self._by_run.pop(run_id, None)
        self._journal.forget(run_id)

    def _stop(self, engine: RemoteEngine, run_id: RunId, epoch: int) -> None:
        if engine.outbox is not None:
            reason = "it is somebody else's now, or has ended"
            engine.outbox.put(Stop(run_id=run_id, epoch=epoch, reason=reason))


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until nobody else holds the database, and there is room on its disk."""
    while True:
        try:
            return await call()
        except (StoreBusy, StoreFull):
            await trio.sleep(PATIENCE)


def _error(kind: str, message: str) -> Mapping[str, str]:
    return {"type": kind, "message": message}
