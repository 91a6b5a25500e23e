"""What ``dagrun run`` makes of SIGINT and SIGTERM, from the first to the last moment."""

import atexit
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

import trio

from dagrun.cli import output
from dagrun.domain.durations import format_duration
from dagrun.domain.fold_run import has_attempt
from dagrun.domain.state import Work
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError
from dagrun.roles.local import Local
from dagrun.services.dispatcher import Ticket

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
AT_ONCE: Final = 1.0  # seconds that an end at once may take
NAMED: Final = 5  # nodes that are told of by name
_AGAIN: Final = "press Ctrl-C again to end at once"


class Held:
    """Signals that come while no loop listens, before it runs and after it has ended.

    A run that has ended well is told of, and gives its exit code, whatever comes then; but that
    may take a second only, as whoever reads the result may be stuck.
    """

    def __init__(self) -> None:
        """Take the signals over, for as long as the process lasts."""
        self._came: list[int] = []
        signal.signal(signal.SIGALRM, _end)
        for number in SIGNALS:
            signal.signal(number, self._hold)
        atexit.register(_ignore)

    def _hold(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
        signal.setitimer(signal.ITIMER_REAL, AT_ONCE)

    def give_back(self) -> None:
        """Send again what came, to whoever listens now."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        came, self._came = self._came, []
        for number in came:
            signal.raise_signal(number)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(output.INTERRUPTED)


def _ignore() -> None:
    """Let the interpreter go through its own last moments, in which it has no handlers."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _what_goes_on(ticket: Ticket) -> str:
    """Say what a request to cancel does."""
    if (state := ticket.state) is not None and state.status is RunStatus.ENDING:
        return "the run has its outcome, and its handlers go on"
    return "cancelling"


def _what_is_waited_for(ticket: Ticket | None, grace: float) -> str:
    """Say what a process that ends waits for, and for how long at most."""
    state = None if ticket is None else ticket.state
    running = [] if state is None else [_name(work) for work in state.works() if has_attempt(work)]
    if not running:
        return "stopping"
    more = f" and {len(running) - NAMED} more" if len(running) > NAMED else ""
    nodes = ", ".join(running[:NAMED]) + more
    return (
        f"stopping; waits for {nodes}, {format_duration(grace)} at most; a second signal ends all"
    )


def _name(work: Work) -> str:
    node_id = work.node.step.node.id
    return node_id if work.index is None else f"{node_id}[{work.index}]"


class Signals:
    """Ctrl-C cancels the run, and SIGTERM leaves it to be resumed; one more ends all at once.

    Args:
        held: has the signals that came too early.
        grace: seconds that running nodes get after SIGTERM.
        end_now: ends the process, whatever it waits for.
    """

    def __init__(
        self, held: "Held", grace: float, end_now: Callable[[Ticket | None], NoReturn]
    ) -> None:
        self._held, self._grace, self._end_now = held, grace, end_now
        self.opening = trio.CancelScope()
        self.local: Local | None = None
        self.ticket: Ticket | None = None
        self.interrupted = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Act on signals until cancelled."""
        with trio.open_signal_receiver(*SIGNALS) as received:
            self._held.give_back()
            task_status.started()
            async with trio.open_nursery() as nursery:
                async for number in received:
                    if self.interrupted:
                        nursery.start_soon(self._end_at_once)
                    elif self.local is None:
                        self.opening.cancel()
                    elif number == signal.SIGINT and self.ticket is not None:
                        output.note(f"dagrun: {_what_goes_on(self.ticket)}; {_AGAIN}")
                        nursery.start_soon(self._cancel, self.local, self.ticket)
                    else:
                        output.note(f"dagrun: {_what_is_waited_for(self.ticket, self._grace)}")
                        self.local.stop()
                        nursery.start_soon(self._end_at_once, self._grace)
                    self.interrupted = True

    async def _cancel(self, local: Local, ticket: Ticket) -> None:
        with suppress(ConflictError):  # taken over, as the execution says, too
            await local.dispatcher.cancel(ticket.run_id)

    async def _end_at_once(self, wait: float = 0.0) -> None:
        await trio.sleep(wait)
        if self.local is not None:
            self.local.kill()
        await trio.sleep(AT_ONCE)
        # Something does not let go, such as a database that another process holds. Guard and
        # journal are made for an end like this one.
        self._end_now(self.ticket)

    def is_end_durable(self) -> bool:
        """Whether the run has ended, and its end is on the disk. Asked when all is closed."""
        if self.ticket is None or self.local is None:
            return False
        state = self.ticket.state
        if state is None or not state.ended:
            return False
        return self.ticket.gone or self.local.journal.durable(state.run_id) >= state.seq
