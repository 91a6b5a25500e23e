"""What happens to a run when some time has passed."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

import trio

from dagrun.domain.ids import RunId
from dagrun.domain.retry import time_left
from dagrun.domain.state import Work
from dagrun.ports.tasks import Spawn
from dagrun.services.engine.execution import Execution


class Timers:
    """Waits for the delays of retries, and for the timeouts of runs.

    Args:
        now: the clock, in UTC.
        wake: hears that a delay has passed.
        time_out: hears that a run has taken too long.
        spawn: starts what takes a while.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        wake: Callable[[Execution, Work], None],
        time_out: Callable[[RunId], Awaitable[None]],
        spawn: Spawn,
    ) -> None:
        self._now = now
        self._wake = wake
        self._time_out = time_out
        self._spawn = spawn

    def delay(self, execution: Execution, work: Work) -> None:
        """Wait for what is left of the delay before a failed attempt's successor."""
        since = work.retrying_since
        passed = 0.0 if since is None else (self._now() - since).total_seconds()
        self._set(execution, time_left(work.delay, passed), partial(self._wake, execution, work))

    def set_deadline(self, execution: Execution) -> None:
        """Let the run's timeout count while it runs, and not while it is paused."""
        if execution.deadline is not None:
            execution.deadline.cancel()
            execution.deadline = None
        left = execution.time_left()
        if left is not None:
            execution.deadline = self._set(
                execution, left, lambda: self._spawn(self._time_out, execution.state.run_id)
            )

    def _set(
        self, execution: Execution, seconds: float, ring: Callable[[], None]
    ) -> trio.CancelScope:
        scope = trio.CancelScope()
        execution.timers.add(scope)
        self._spawn(self._wait, execution, scope, seconds, ring)
        return scope

    async def _wait(
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
