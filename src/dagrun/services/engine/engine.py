"""The engine: one nursery in which the attempts of all its runs are made."""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import attrs
import trio

from dagrun.domain import decide
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.retry import time_left
from dagrun.domain.state import RunState, Work
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError
from dagrun.ports.engine import EngineListener, Holding
from dagrun.ports.executor import Suspended
from dagrun.ports.journal import JournalFeed
from dagrun.ports.store import Message, MessageKind
from dagrun.services.engine.attempts import Failure, Outcome, Workshop, failure_of, make_attempt
from dagrun.services.engine.execution import INLINE_AT_ONCE, Countdown, Execution, Slots


@attrs.frozen(kw_only=True)
class EngineStatistics:
    """What an engine is doing."""

    runs: int
    attempts: int


class Engine:
    """Executes runs.

    Implements :class:`~dagrun.ports.engine.EngineLink` for an orchestrator in its own process.

    Args:
        name: who it is, for the journal.
        journal: takes the events.
        workshop: what attempts are made with.
        parallel: most attempts with a process at once.
        capacity: most runs that it wants to be given at once. It refuses none.
        listener: is told of runs that it has no more to do with.
        now: the clock, in UTC.
        draw: gives random numbers in [0, 1) for the jitter of delays.
    """

    def __init__(
        self,
        *,
        name: str,
        journal: JournalFeed,
        workshop: Workshop,
        parallel: int,
        capacity: int = 1,
        listener: EngineListener | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.capacity = capacity
        self.ready = True
        self.offers = None
        self._listener = listener
        self._journal = journal
        self._workshop = workshop
        self._now = now
        self._draw = draw
        self._processes = Slots(parallel)
        self._inline = Slots(INLINE_AT_ONCE)
        self._executions: dict[RunId, Execution] = {}
        self._leaving: set[Execution] = set()
        """Runs that are gone, but for attempts that are being stopped, and for files."""

        self._nursery: trio.Nursery
        self._waits_for_room = False
        self._holds = False
        self._attempt_ended = trio.Event()
        self._ended = False

    async def run(
        self, *, task_status: trio.TaskStatus["Engine"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Execute runs until cancelled. What is cut off then journals nothing."""
        async with trio.open_nursery() as self._nursery:
            task_status.started(self)
            try:
                await trio.sleep_forever()
            finally:
                self._ended = True

    # runs

    def execute(
        self,
        state: RunState,
        *,
        epoch: int,
        messages: Sequence[Message] = (),
        lost: bool = False,
    ) -> Execution:
        """Start a run that is queued, or go on with one under a new epoch; see the port.

        An engine that has ended leaves the run as it is in the journal.
        """
        execution = Execution(state)
        if self._ended:
            return execution
        self._executions[state.run_id] = execution
        now = self._now()
        # A request to cancel comes before all else, even if other messages were first.
        cancels = (_reason(one) for one in messages if one.kind is MessageKind.CANCEL)
        decide.begin(
            state, now, epoch=epoch, engine=self.name, lost=lost, reason=next(cancels, None)
        )
        for message in messages:
            self._see_to(execution, message)
        left = decide.time_left_to_run(state, now)
        execution.countdown = None if left is None else Countdown(left)
        self._after_change(execution)
        self._set_deadline(execution)
        return execution

    async def cancel(self, run_id: RunId, *, reason: str = decide.REQUESTED) -> bool:
        """Cancel a run. Give False if it has ended, or is being cancelled or ending already.

        Returns when the request is durable and the attempts have been told to stop. Both happen
        even if the caller does not wait.

        Raises:
            ConflictError: the run was taken over.
        """
        execution = self._executions.get(run_id)
        if self._ended or execution is None:
            return False
        if not decide.cancel(execution.state, self._now(), reason=reason):
            return False
        seq = execution.state.seq
        self._after_change(execution)
        self._nursery.start_soon(self._stop_when_durable, execution, seq)
        await self._journal.wait_durable(run_id, seq)
        execution.stop_attempts()
        return True

    async def _stop_when_durable(self, execution: Execution, seq: int) -> None:
        with suppress(ConflictError):
            await self._journal.wait_durable(execution.state.run_id, seq)
            execution.stop_attempts()

    def tell(self, run_id: RunId, message: Message) -> bool:
        """Pass on what was posted to a run. Give False if it is not here.

        What that changes is journaled together with the fact that the message was taken up. A
        message that was given before changes nothing.
        """
        execution = self._executions.get(run_id)
        if self._ended or execution is None:
            return False
        self._see_to(execution, message)
        self._after_change(execution)
        self._set_deadline(execution)
        return True

    def _see_to(self, execution: Execution, message: Message) -> None:
        if message.number in execution.told:
            return
        execution.told.add(message.number)
        work = None
        if message.kind is MessageKind.CHILD_ENDED:
            work = decide.will_wait(execution.state, message.data)
        if work is None:
            self._take_up(execution, message)
        else:
            execution.early[work] = message

    def _take_up(self, execution: Execution, message: Message) -> None:
        state, now = execution.state, self._now()
        match message.kind:
            case MessageKind.CHILD_ENDED:
                decide.child_ended(state, message.data, now, draw=self._draw())
            case MessageKind.CANCEL:
                if decide.cancel(state, now, reason=_reason(message)):
                    self._nursery.start_soon(self._stop_when_durable, execution, state.seq)
                elif not state.was_cancelled:
                    return  # the end was decided first; whether it was, in the journal, the store says
            case MessageKind.PAUSE:
                decide.pause(state, now)
            case MessageKind.RESUME:
                decide.resume(state, now)
        execution.take_up(message)

    async def pause(self, run_id: RunId) -> bool:
        """Start nothing more of a run. Give False if it is not running.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._change(run_id, decide.pause)

    async def resume(self, run_id: RunId) -> bool:
        """Go on with a paused run. Give False if it is not paused.

        Raises:
            ConflictError: the run was taken over.
        """
        return await self._change(run_id, decide.resume)

    def abandon(self, run_id: RunId, why: str) -> None:
        """Stop all work on a run that belongs to somebody else now, and journal nothing."""
        execution = self._executions.pop(run_id, None)
        if execution is not None:
            self._withdraw(execution)
            execution.abandon(why)
            self._leave(execution)

    def hold(self) -> None:
        """Start nothing more, from now on."""
        self._holds = True

    def halt(self) -> None:
        """Stop all attempts, and record nothing of them. The runs stay until they are abandoned."""
        for execution in self._executions.values():
            self._withdraw(execution)
            execution.halt()

    def holdings(self) -> Sequence[Holding]:
        """Give the runs that the engine has."""
        return [
            Holding(
                run_id=run_id,
                epoch=execution.state.epoch,
                seq=execution.state.seq,
                halted=execution.halted,
            )
            for run_id, execution in self._executions.items()
        ]

    async def wait_idle(self) -> None:
        """Wait until no attempt is being made, not even one that is being stopped."""
        for execution in [*self._executions.values(), *self._leaving]:
            await self._until_idle(execution)

    async def _until_idle(self, execution: Execution) -> None:
        while execution.scopes:
            await self._attempt_ended.wait()

    def _withdraw(self, execution: Execution) -> None:
        self._inline.drop(execution)
        self._processes.drop(execution)

    def _leave(self, execution: Execution) -> None:
        """Have no more to do with a run: it has ended, waits, or is somebody else's."""
        execution.done.set()
        if self._workshop.passing and not self._ended:
            self._leaving.add(execution)
            self._nursery.start_soon(self._tidy, execution)
        if self._listener is not None:
            self._listener.left(execution.state, execution.abandoned)

    async def _tidy(self, execution: Execution) -> None:
        """Leave nothing of a run behind that this engine does not have any more."""
        await trio.lowlevel.checkpoint()  # an attempt that was just started has begun then
        await self._until_idle(execution)
        await self._remove_scratch(execution.state)
        self._leaving.discard(execution)

    def statistics(self) -> EngineStatistics:
        """Say what is going on."""
        executions = self._executions.values()
        return EngineStatistics(
            runs=len(executions), attempts=sum(len(e.scopes) for e in executions)
        )

    async def _change(self, run_id: RunId, change: Callable[[RunState, datetime], bool]) -> bool:
        execution = self._executions.get(run_id)
        if self._ended or execution is None or not change(execution.state, self._now()):
            return False
        seq = execution.state.seq
        self._after_change(execution)
        self._set_deadline(execution)
        await self._journal.wait_durable(run_id, seq)
        return True

    # what follows from a change

    def _after_change(self, execution: Execution) -> None:
        """Journal what happened, set timers, and start what may start."""
        state = execution.state
        for work in state.take_delayed():
            delay = time_left(work.delay, self._since(work.retrying_since))
            self._set_timer(execution, delay, partial(self._wake, execution, work))
        if execution.records:
            if state.startable:
                self._inline.ask(execution)
            if state.startable_processes:
                self._processes.ask(execution)
        self._start_what_may()
        self._hand_over(execution)
        if not execution.finishing and self._is_over(execution):
            execution.finishing = True
            self._nursery.start_soon(self._finish, execution)

    def _is_over(self, execution: Execution) -> bool:
        """Whether a run has ended, or nothing of it is going on until it is told of something."""
        state = execution.state
        if state.ended or self._listener is None:
            return state.ended
        paused = state.status is RunStatus.PAUSED and not state.running
        return paused or decide.parked(state)

    def _hand_over(self, execution: Execution) -> None:
        events, taken = execution.state.take_events(), execution.take_taken()
        if (events or taken) and execution.records:
            self._journal.append(events, taken)

    def _start_what_may(self) -> None:
        if self._holds:
            return
        if not self._journal.has_room():
            if not self._waits_for_room:
                self._waits_for_room = True
                self._nursery.start_soon(self._start_when_room)
            return
        self._fill(self._inline, processes=False)
        self._fill(self._processes, processes=True)

    async def _start_when_room(self) -> None:
        await self._journal.wait_room()
        self._waits_for_room = False
        self._start_what_may()

    def _fill(self, slots: Slots, *, processes: bool) -> None:
        while (execution := slots.next()) is not None:
            work = decide.pop_startable(execution.state, processes=processes)
            if work is None:
                slots.drop(execution)
            else:
                self._start(execution, work, slots)

    def _start(self, execution: Execution, work: Work, slots: Slots) -> None:
        slots.free -= 1
        barrier = decide.start(execution.state, work, self._now())
        self._hand_over(execution)
        self._nursery.start_soon(self._attempt, execution, work, slots, barrier)

    # attempts

    async def _attempt(self, execution: Execution, work: Work, slots: Slots, barrier: int) -> None:
        outcome: Outcome | None = None
        try:
            with trio.CancelScope() as scope:
                execution.scopes[work] = scope
                if execution.is_stopped(work):
                    scope.cancel()
                outcome = await self._outcome(execution.state, work, barrier)
        except (trio.Cancelled, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 — whatever it is, it is the node's
            outcome = failure_of(error)
        if not isinstance(outcome, Raw):
            # What comes of an attempt because the engine itself is being ended counts for nothing.
            await trio.lowlevel.checkpoint_if_cancelled()
        del execution.scopes[work]
        self._attempt_ended.set()
        self._attempt_ended = trio.Event()
        slots.free += 1
        if execution.records and self._journal.fenced():
            self.halt()  # it was about to happen: whatever came of the attempt comes too late
        if execution.records:
            self._record(execution, work, outcome)
            if (early := execution.early.pop(work, None)) is not None:
                self._take_up(execution, early)
            self._after_change(execution)
        else:
            self._start_what_may()

    async def _outcome(self, state: RunState, work: Work, barrier: int) -> Outcome:
        if self._journal.durable(state.run_id) < barrier:
            await self._journal.wait_durable(state.run_id, barrier)
        if self._journal.fenced():
            self.halt()  # this process stood still, and the run may be somebody else's by now
            await trio.lowlevel.checkpoint_if_cancelled()
        return await make_attempt(self._workshop, state, work)

    def _record(self, execution: Execution, work: Work, outcome: Outcome | None) -> None:
        state, now = execution.state, self._now()
        match outcome:
            case None:
                decide.stopped(state, work, now)
            case Failure():
                decide.fail(
                    state,
                    work,
                    outcome.error(),
                    now,
                    draw=self._draw(),
                    retryable=outcome.retryable,
                )
            case Suspended(child=child, version=version):
                decide.wait(state, work, {"child": child, "version": version}, now)
            case _:
                decide.succeed(state, work, outcome, now)

    def _wake(self, execution: Execution, work: Work) -> None:
        decide.wake(execution.state, work)
        self._after_change(execution)

    async def _finish(self, execution: Execution) -> None:
        """Answer when the run's end, or that it waits, is durable."""
        state = execution.state
        seq = state.seq
        try:
            await self._journal.wait_durable(state.run_id, seq)
        except ConflictError:
            return  # abandoned
        if state.seq != seq or not self._is_over(execution):
            execution.finishing = False  # something was asked or told, perhaps before this began
            self._after_change(execution)
            return
        execution.stop_timers()
        if state.ended:
            await self._remove_scratch(state)
        self._executions.pop(state.run_id, None)
        self._journal.forget(state.run_id)
        self._leave(execution)

    async def _remove_scratch(self, state: RunState) -> None:
        directory = self._workshop.scratch_of(state)
        if os.path.isdir(directory):  # noqa: ASYNC240, PTH112 — 2 µs; a thread costs 50
            await trio.to_thread.run_sync(partial(shutil.rmtree, directory, ignore_errors=True))

    # timers

    def _set_deadline(self, execution: Execution) -> None:
        """Let the run's timeout count while it runs, and not while it is paused."""
        if execution.deadline is not None:
            execution.deadline.cancel()
            execution.deadline = None
        left = execution.time_left()
        if left is not None:
            execution.deadline = self._set_timer(
                execution,
                left,
                lambda: self._nursery.start_soon(self._time_out, execution.state.run_id),
            )

    async def _time_out(self, run_id: RunId) -> None:
        with suppress(ConflictError):
            await self.cancel(run_id, reason=decide.TIMEOUT)

    def _set_timer(
        self, execution: Execution, seconds: float, ring: Callable[[], None]
    ) -> trio.CancelScope:
        scope = trio.CancelScope()
        execution.timers.add(scope)
        self._nursery.start_soon(self._timer, execution, scope, seconds, ring)
        return scope

    async def _timer(
        self,
        execution: Execution,
        scope: trio.CancelScope,
        seconds: float,
        ring: Callable[[], None],
    ) -> None:
        with scope:
            await trio.sleep(seconds)
        execution.timers.discard(scope)
        if not scope.cancelled_caught and not execution.state.ended:
            ring()

    def _since(self, time: datetime | None) -> float:
        return 0.0 if time is None else (self._now() - time).total_seconds()


def _reason(message: Message) -> str:
    """Give why a run is to be cancelled. That its time is over is for its own engine to say."""
    reason = str(message.data.get("reason", decide.REQUESTED))
    return decide.REQUESTED if reason == decide.TIMEOUT else reason
