"""All engines in other processes, and the runs that they have: how its parts are put together."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Unpack

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.workflow import Workflow
from dagrun.errors import ChannelLost
from dagrun.ports.children import Children
from dagrun.ports.engine import EngineReport, EngineView, Placer, ReportSeen
from dagrun.ports.frames import Hello, LogChunk, TurnedAway
from dagrun.ports.journal import AssigningFeed
from dagrun.ports.store import Definition, Posted, Refusal, Store
from dagrun.ports.tasks import Args
from dagrun.ports.transport import Channel
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.child_starts import ChildStarts
from dagrun.services.fleet.dispatching import Dispatching
from dagrun.services.fleet.expiry import Expiry
from dagrun.services.fleet.feedback import Feedback
from dagrun.services.fleet.handshake import greeting, unfit
from dagrun.services.fleet.leases import Leases
from dagrun.services.fleet.mailbox import Mailbox
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.reconciler import Reconciler
from dagrun.services.fleet.remote import Assigned, RemoteEngine
from dagrun.services.fleet.returns import Returns
from dagrun.services.fleet.roster import Announce, Roster
from dagrun.services.fleet.session import Session

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class FleetStatistics:
    """What there is."""

    attached: int
    """Engines with a stream."""

    silent: int
    """Engines without one whose runs wait out their leases."""

    runs: int


def _unheard(kind: str, *, engine_id: str, data: Mapping[str, Any] | None = None) -> None:
    """Tell nobody."""
    del kind, engine_id, data


class Fleet:
    """Engines in other processes.

    Args:
        lease: seconds after which a silent engine loses its runs.
        store: where journals, definitions and messages are.
        journal: takes events and assignments.
        placer: places runs.
        definition: gives what is stored of a workflow.
        pass_on: passes on what was posted to runs, without blocking.
        children: starts child runs.
        log_came: keeps a piece of a log, without blocking, and calls something when it has.
        announce: tells of engines that come and go.
    """

    def __init__(
        self,
        *,
        lease: float,
        store: Store,
        journal: AssigningFeed,
        placer: Placer,
        definition: Callable[[Workflow], Awaitable[Definition]],
        pass_on: Callable[[Sequence[Posted]], None],
        children: Children | None = None,
        log_came: Callable[[LogChunk, Callable[[], None]], None] = lambda _chunk, kept: kept(),
        announce: Announce = _unheard,
    ) -> None:
        self._nursery: trio.Nursery
        self._journal = journal
        self.log_came = log_came
        self._mailbox = Mailbox(store, pass_on)
        self._roster = Roster(placer=placer, announce=announce, make=self._make)
        self._assignments = Assignments(journal=journal, placer=placer)
        self._dispatching = Dispatching(
            store=store,
            journal=journal,
            definition=definition,
            roster=self._roster,
            assignments=self._assignments,
            spawn=self._spawn,
        )
        self._reconciler = Reconciler(
            lease=lease,
            store=store,
            journal=journal,
            assignments=self._assignments,
            spawn=self._spawn,
        )
        self._returns = Returns(
            journal=journal,
            placer=placer,
            roster=self._roster,
            assignments=self._assignments,
            spawn=self._spawn,
        )
        self._child_starts = ChildStarts(children, self._spawn)
        self._feedback = Feedback(
            journal=journal, roster=self._roster, assignments=self._assignments
        )
        expiry = Expiry(roster=self._roster, assignments=self._assignments)
        self._leases = Leases(lease, expiry.expire)

    def _make(self, hello: Hello) -> RemoteEngine:
        return RemoteEngine(hello, self._dispatching.dispatch, self._mailbox)

    def _spawn(self, task: Callable[[Unpack[Args]], Awaitable[object]], *args: *Args) -> None:
        self._nursery.start_soon(task, *args)

    async def run(
        self, *, task_status: trio.TaskStatus["Fleet"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Mind the leases until cancelled."""
        async with trio.open_nursery() as self._nursery:
            await self._nursery.start(self._leases.run)
            task_status.started(self)

    def engines(self) -> Sequence[EngineView]:
        """List the engines, by id."""
        return self._roster.views()

    def statistics(self) -> FleetStatistics:
        """Say what there is."""
        return FleetStatistics(
            attached=self._roster.attached,
            silent=self._roster.silent,
            runs=len(self._assignments),
        )

    def drain(self, engine_id: str, *, on: bool) -> bool:
        """Let an engine take no more runs, or take some again. Give False if there is none."""
        return self._roster.drain(engine_id, on=on)

    def report(self, report: EngineReport) -> ReportSeen:
        """Hear from an engine beside its stream how it is. Does not block.

        Raises:
            NotFound: it has no stream.
            ConflictError: its stream is of another instance.
        """
        return self._roster.report(report)

    def unreachable(self) -> AbstractContextManager[None]:
        """Let no lease end in the block, nor before a full one has passed after it.

        Engines cannot be heard in it, as nobody listens yet.
        """
        return self._leases.held()

    def expect(
        self, engine_id: str, instance: str, runs: Iterable[tuple[RunId, int]]
    ) -> RemoteEngine:
        """Know that an engine has runs, from before this orchestrator was started.

        They wait for it for one lease.

        Args:
            engine_id: the engine.
            instance: which life of it.
            runs: what it has, with epochs.
        """
        engine = self._roster.expect(engine_id, instance)
        now = trio.current_time()
        for run_id, epoch in runs:
            self._assignments.begin(engine, Assigned(run_id, epoch, now))
        return engine

    async def converse(self, channel: Channel) -> None:
        """Talk with an engine on a new stream until it ends.

        Raises:
            ChannelLost: it has ended.
        """
        hello = await greeting(channel)
        engine = unfit(hello) or self._roster.admit(hello)
        if isinstance(engine, TurnedAway):
            name = hello.engine_id[:200]
            _log.warning("engine %s from %s: %s", name, channel.peer, engine.reason)
            await channel.send([engine])
            return
        outbox = Outbox()
        with trio.CancelScope() as scope:
            engine.attach(outbox, address=channel.peer, close=scope.cancel)
            self._reconciler.reconcile(engine, hello, outbox)
            engine.ask_again()
            self._roster.changed(engine)
            try:
                await self._session(channel, engine).run(outbox)
            finally:
                if engine.detach(outbox):
                    self._roster.detached(engine)
        raise ChannelLost(f"the stream of engine {engine.name} was ended")

    def _session(self, channel: Channel, engine: RemoteEngine) -> Session:
        return Session(
            channel,
            engine,
            journal=self._journal,
            roster=self._roster,
            assignments=self._assignments,
            returns=self._returns,
            child_starts=self._child_starts,
            log_came=self.log_came,
        )

    def committed(self, events: Sequence[Event]) -> None:
        """Acknowledge what is durable, and let runs go that have ended. Does not block."""
        self._feedback.committed(events)

    def refused(self, run_id: RunId, why: Refusal, epoch: int) -> None:
        """Hear that events of a run were not taken. Does not block."""
        self._feedback.refused(run_id, why, epoch)
