"""The runs that an engine is given, and gives back."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import trio

from dagrun.domain.events import Event
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.plan import Plan
from dagrun.domain.remembered import MOST, Remembered, is_small
from dagrun.domain.state import RunState
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError, DagrunError
from dagrun.ports.engine import AttachedEngine, Holding
from dagrun.ports.frames import Dispatch, GivenBack, JournalPart, Stop, Tell, Why
from dagrun.ports.journal import Upstream
from dagrun.ports.store import Definition
from dagrun.services.attachment.incoming import Incoming
from dagrun.services.attachment.outbox import Outbox

_log: Final = logging.getLogger(__name__)


class HeldRuns:
    """Brings runs from the orchestrator to the engine, and back.

    Implements :class:`~dagrun.ports.engine.EngineListener`.

    Args:
        uplink: where the engine's events go.
        outbox: where it is said that a run goes back.
        compile_plan: makes a plan of a workflow's definition.
    """

    def __init__(
        self,
        *,
        uplink: Upstream,
        outbox: Outbox,
        compile_plan: Callable[[Definition], Awaitable[Plan]],
    ) -> None:
        self.engine: AttachedEngine
        """Set before anything else."""

        self._uplink = uplink
        self._outbox = outbox
        self._compile_plan = compile_plan
        self._incoming = Incoming()
        self._seen: dict[RunId, int] = {}
        """Run → the highest number of a message that the engine was given."""

        self._parked: Remembered[RunState] = Remembered(2 * MOST)
        """What was given back, and may come again: more of it than the orchestrator relies on."""

        self._dropped = trio.Event()
        self._executing = trio.Lock()
        self.leaving = False
        """Whether all runs go back, and none is taken."""

    def holdings(self) -> Sequence[Holding]:
        """Give the runs that the engine has."""
        return self.engine.holdings()

    def has(self, run_id: RunId, epoch: int) -> bool:
        """Whether the engine has a run under this epoch."""
        held = self.engine.holding(run_id)
        return held is not None and held.epoch == epoch

    async def take(self, frame: Dispatch | JournalPart) -> None:
        """Have the engine execute a run, once its journal is here whole.

        What cannot be executed here is given back.
        """
        if (whole := self._incoming.take(frame)) is not None:
            await self._execute(*whole)

    async def _execute(self, dispatch: Dispatch, events: list[Event]) -> None:
        async with (
            self._executing
        ):  # one may come on the stream while another is asked for beside it
            await self._execute_next(dispatch, events)

    async def _execute_next(self, dispatch: Dispatch, events: list[Event]) -> None:
        run_id, epoch = dispatch.run_id, dispatch.epoch
        held = self.engine.holding(run_id)
        if held is not None and held.epoch >= epoch:
            return  # it was said twice, or late
        self.drop(run_id, "it goes on under another epoch")
        try:
            definition = Definition(hash=dispatch.definition_hash, body=dispatch.definition)
            state = self._remembered_at(run_id, events[0].seq) if events else None
            if state is None:
                state = RunState(await self._compile_plan(definition), run_id, dispatch.inputs)
            replay(state, [event for event in events if event.seq > state.seq])
            if self.leaving:
                raise ConflictError("the engine is being closed")
            self._seen[run_id] = max((message.number for message in dispatch.messages), default=0)
            self._uplink.continue_from(run_id, state.seq)
            self.engine.execute(state, epoch=epoch, messages=dispatch.messages, lost=dispatch.lost)
        except (DagrunError, ValueError, LookupError) as error:
            _log.warning("run %s cannot be executed here: %s", run_id, error)
            self.drop(run_id, str(error))
            self._give_back(run_id, epoch, Why.UNUSABLE, 0, detail=str(error))

    def _remembered_at(self, run_id: RunId, seq: int) -> RunState | None:
        """Give a run that was here if only the rest of its journal came, from an event that it has.

        Raises:
            LookupError: it is not remembered any more.
        """
        state = self._parked.take(run_id)
        if seq == 1:
            return None
        if state is None or state.seq < seq:
            raise LookupError(f"what came before event {seq} is not remembered any more")
        return state

    def tell(self, frame: Tell) -> None:
        """Pass on what was posted to a run."""
        if self.engine.tell(frame.run_id, frame.message):
            self._seen[frame.run_id] = max(self._seen.get(frame.run_id, 0), frame.message.number)

    def settle(self, holdings: Iterable[Holding], kept: Iterable[tuple[RunId, int, int]]) -> None:
        """Keep what the orchestrator says of an inventory, and drop the rest of it.

        Args:
            holdings: the inventory.
            kept: runs with their epochs, and with the ``seq`` up to which they are durable.
        """
        self._incoming.clear()
        durable = {(run_id, epoch): seq for run_id, epoch, seq in kept}
        for held in holdings:
            seq = durable.get((held.run_id, held.epoch))
            if seq is None:
                self.drop(held.run_id, "the orchestrator has given it to somebody else")
            else:
                self._uplink.acknowledge(held.run_id, seq)
        self._uplink.send_again([run_id for run_id, _ in durable])

    def stop(self, frame: Stop) -> None:
        """Have nothing more to do with a run, unless it came here again since, under another epoch."""
        held = self.engine.holding(frame.run_id)
        known = {self._incoming.epoch(frame.run_id), None if held is None else held.epoch} - {None}
        if known <= {frame.epoch}:
            self.drop(frame.run_id, frame.reason)

    def drop(self, run_id: RunId, why: str) -> None:
        """Have nothing more to do with a run, if the engine has it: it is somebody else's."""
        self._incoming.drop(run_id)
        self.engine.abandon(run_id, why)
        self._uplink.refuse(run_id)
        self._seen.pop(run_id, None)
        self._dropped.set()

    def left(self, state: RunState, abandoned: str | None) -> None:
        """Hear that the engine has no more to do with a run; see the port."""
        self._dropped.set()
        seen = self._seen.pop(state.run_id, 0)
        if abandoned is not None or state.ended:
            return
        why = Why.PAUSED if state.status is RunStatus.PAUSED else Why.PARKED
        self._give_back(state.run_id, state.epoch, why, seen)
        if is_small(state):
            state.cache.clear()  # what can be made again takes memory
            self._parked.put(state.run_id, state, state.seq)

    def give_halted_back(self) -> None:
        """Give back what was halted; it comes behind all events that are kept of it.

        The engine has it until the orchestrator says that it is to stop.
        """
        for held in self.holdings():
            if held.halted:
                seen = self._seen.get(held.run_id, 0)
                self._give_back(held.run_id, held.epoch, Why.STOPPED, seen)

    async def hand_over(self) -> None:
        """Give back all runs, with what is recorded of them. The engine starts nothing more.

        Returns when the orchestrator has taken all of them. If that lasts too long, it may be
        cancelled: the runs wait for the end of the lease then.
        """
        self.leaving = True
        self.engine.halt()
        self.give_halted_back()
        while self.holdings():
            self._dropped = trio.Event()
            await self._dropped.wait()

    def _give_back(
        self, run_id: RunId, epoch: int, why: Why, seen: int, *, detail: str = ""
    ) -> None:
        self._outbox.put(GivenBack(run_id=run_id, epoch=epoch, why=why, seen=seen, detail=detail))
