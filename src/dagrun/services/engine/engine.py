"""The engine: one nursery in which the attempts of all its runs are made."""

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Unpack

import attrs
import trio

from dagrun.domain import decide
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.state import RunState, Work
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError, HostTrouble
from dagrun.ports.engine import EngineListener, Holding
from dagrun.ports.executor import Suspended
from dagrun.ports.journal import JournalFeed
from dagrun.ports.store import Message, MessageKind
from dagrun.ports.tasks import Args
from dagrun.services.engine.attempts import Failure, Outcome, Workshop, failure_of, make_attempt
from dagrun.services.engine.execution import Countdown, Execution
from dagrun.services.engine.leftovers import Leftovers
from dagrun.services.engine.messages import Messages, reason_of
from dagrun.services.engine.slots import Slots
from dagrun.services.engine.starter import Starter
from dagrun.services.engine.timers import Timers


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
        self.ready, self.unready = True, None
        self.offers = None
        self._listener = listener
        self._journal = journal
        self._workshop = workshop
        self._now = now
        self._draw = draw
        self._executions: dict[RunId, Execution] = {}
        self._nursery: trio.Nursery
        self._ended = False
        self._starter = Starter(
            journal=journal, parallel=parallel, start=self._start, spawn=self._spawn
        )
        self._messages = Messages(now=now, draw=draw, cancelled=self._stop_soon)
        self._timers = Timers(now=now, wake=self._wake, time_out=self._time_out, spawn=self._spawn)
        self._leftovers = Leftovers(workshop, self._spawn)

    def _spawn(self, task: Callable[[Unpack[Args]], Awaitable[object]], *args: *Args) -> None:
        self._nursery.start_soon(task, *args)

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
        cancels = (reason_of(one) for one in messages if one.kind is MessageKind.CANCEL)
        decide.begin(
            state, now, epoch=epoch, engine=self.name, lost=lost, reason=next(cancels, None)
        )
        for message in messages:
            self._messages.see_to(execution, message)
        left = decide.time_left_to_run(state, now)
        execution.countdown = None if left is None else Countdown(left)
        self._after_change(execution)
        self._timers.set_deadline(execution)
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
        self._stop_soon(execution)
        self._after_change(execution)
        await self._journal.wait_durable(run_id, seq)
        execution.stop_attempts()
        return True

    def _stop_soon(self, execution: Execution) -> None:
        """Stop the attempts of a run when the request for it is durable. Does not block."""
        self._nursery.start_soon(self._stop_when_durable, execution, execution.state.seq)

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
        self._messages.see_to(execution, message)
        self._after_change(execution)
        self._timers.set_deadline(execution)
        return True

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
            self._starter.withdraw(execution)
            execution.abandon(why)
            self._leave(execution)

    def hold(self) -> None:
        """Start nothing more, from now on."""
        self._starter.hold()

    def halt(self) -> None:
        """Stop all attempts, and record nothing of them. The runs stay until they are abandoned."""
        for execution in self._executions.values():
            self._starter.withdraw(execution)
            execution.halt()

    def holdings(self) -> Sequence[Holding]:
        """Give the runs that the engine has."""
        return [execution.holding() for execution in self._executions.values()]

    def holding(self, run_id: RunId) -> Holding | None:
        """Give a run if the engine has it."""
        execution = self._executions.get(run_id)
        return None if execution is None else execution.holding()

    async def wait_idle(self) -> None:
        """Wait until no attempt is being made, not even one that is being stopped."""
        await self._leftovers.wait_idle(self._executions.values())

    def _leave(self, execution: Execution) -> None:
        """Have no more to do with a run: it has ended, waits, or is somebody else's."""
        execution.done.set()
        if self._workshop.passing and not self._ended:
            self._leftovers.tidy(execution)
        if self._listener is not None:
            self._listener.left(execution.state, execution.abandoned)

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
        self._timers.set_deadline(execution)
        await self._journal.wait_durable(run_id, seq)
        return True

    def _after_change(self, execution: Execution) -> None:
        """Journal what happened, set timers, and start what may start."""
        state = execution.state
        for work in state.take_delayed():
            self._timers.delay(execution, work)
        if execution.records:
            self._starter.ask(execution)
        self._starter.start_what_may()
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

    def _start(self, execution: Execution, work: Work, slots: Slots) -> None:
        barrier = decide.start(execution.state, work, self._now())
        self._hand_over(execution)
        self._nursery.start_soon(self._attempt, execution, work, slots, barrier)

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
        self._leftovers.attempt_ended()
        slots.free += 1
        if execution.records and self._journal.fenced():
            self.halt()  # it was about to happen: whatever came of the attempt comes too late
        if execution.records:
            self._record(execution, work, outcome)
            self._messages.see_to_early(execution, work)
            self._after_change(execution)
        else:
            self._starter.start_what_may()

    async def _outcome(self, state: RunState, work: Work, barrier: int) -> Outcome:
        if self._journal.durable(state.run_id) < barrier:
            await self._journal.wait_durable(state.run_id, barrier)
        scratch = self._workshop.scratch
        while True:
            if self._journal.fenced():
                self.halt()  # this process stood still, and the run may be somebody else's by now
                await trio.lowlevel.checkpoint_if_cancelled()
            try:
                return await make_attempt(self._workshop, state, work)
            except HostTrouble as trouble:
                if scratch.report(trouble):
                    self._nursery.start_soon(scratch.recover)
            await scratch.wait_usable()
            if self._starter.holds:
                await trio.sleep_forever()  # nothing starts any more; it is given back with its run
            if not self._journal.has_room():
                await self._journal.wait_room()

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
        if self._executions.get(execution.state.run_id) is execution:
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
        self._starter.withdraw(execution)  # its state may come back, in the hands of another one
        if state.ended:
            await self._leftovers.remove_scratch(state)
        self._executions.pop(state.run_id, None)
        self._journal.forget(state.run_id)
        self._leave(execution)

    async def _time_out(self, run_id: RunId) -> None:
        with suppress(ConflictError):
            await self.cancel(run_id, reason=decide.TIMEOUT)
