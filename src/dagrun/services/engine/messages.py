"""What was posted to runs, and what an engine does about it."""

from collections.abc import Callable
from datetime import datetime

from dagrun.domain import decide
from dagrun.domain.state import Work
from dagrun.ports.store import Message, MessageKind
from dagrun.services.engine.execution import Execution


class Messages:
    """Takes up what was posted to runs: each message once, whoever tells of it how often.

    What comes of a message is journaled together with the fact that it was taken up.

    Args:
        now: the clock, in UTC.
        draw: gives random numbers in [0, 1) for the jitter of delays.
        cancelled: hears that a run is being cancelled by a message.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        draw: Callable[[], float],
        cancelled: Callable[[Execution], None],
    ) -> None:
        self._now = now
        self._draw = draw
        self._cancelled = cancelled

    def see_to(self, execution: Execution, message: Message) -> None:
        """Take up a message, or keep it if it comes before what it belongs to."""
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

    def see_to_early(self, execution: Execution, work: Work) -> None:
        """Take up what came before an attempt had ended that may wait for it now."""
        if (early := execution.early.pop(work, None)) is not None:
            self._take_up(execution, early)

    def _take_up(self, execution: Execution, message: Message) -> None:
        state, now = execution.state, self._now()
        match message.kind:
            case MessageKind.CHILD_ENDED:
                decide.child_ended(state, message.data, now, draw=self._draw())
            case MessageKind.CANCEL:
                if decide.cancel(state, now, reason=reason_of(message)):
                    self._cancelled(execution)
                elif not state.was_cancelled:
                    return  # the end was decided first; whether it was, in the journal, the store says
            case MessageKind.PAUSE:
                decide.pause(state, now)
            case MessageKind.RESUME:
                decide.resume(state, now)
        execution.take_up(message)


def reason_of(message: Message) -> str:
    """Give why a run is to be cancelled. That its time is over is for its own engine to say."""
    reason = str(message.data.get("reason", decide.REQUESTED))
    return decide.REQUESTED if reason == decide.TIMEOUT else reason
