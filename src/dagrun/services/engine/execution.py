"""One run in the hands of an engine."""

import attrs
import trio

from dagrun.domain.state import RunState, Work
from dagrun.domain.status import RunStatus
from dagrun.ports.engine import Holding
from dagrun.ports.store import Message, Taken


@attrs.define
class Countdown:
    """What is left of a run's timeout, by the clock of this process, which nobody can set."""

    left: float
    """Seconds that were left at ``since``."""

    since: float | None = None
    """From when they pass, on trio's clock; None while they do not."""

    def stop(self) -> None:
        """Let no time pass."""
        if self.since is not None:
            self.left = max(self.left - (trio.current_time() - self.since), 0.0)
            self.since = None

    def start(self) -> None:
        """Let time pass from now on."""
        self.stop()
        self.since = trio.current_time()


@attrs.define(eq=False)
class Execution:
    """A run's state, and what of it is going on in this process."""

    state: RunState
    scopes: dict[Work, trio.CancelScope] = attrs.field(factory=dict)
    """Attempts that are being made."""

    timers: set[trio.CancelScope] = attrs.field(factory=set)
    """Delays and deadlines that are being waited for."""

    countdown: Countdown | None = None
    """Of the run's timeout; None without one."""

    deadline: trio.CancelScope | None = None
    """The timer of the run's timeout."""

    stopping: bool = False
    """Whether the attempts of nodes are being stopped by a journaled request."""

    finishing: bool = False
    """Whether the run has ended, and its end is on its way to the disk."""

    told: set[int] = attrs.field(factory=set)
    """Numbers of the messages that were passed on."""

    taken: list[Taken] = attrs.field(factory=list)
    """Messages that were taken up and are not on their way to the disk."""

    early: dict[Work, Message] = attrs.field(factory=dict)
    """Ends of children of which it is not journaled yet that they are waited for."""

    abandoned: str | None = None
    """Why the run is somebody else's now; nothing more is journaled."""

    halted: bool = False
    """Whether its attempts were stopped without a request, and nothing is recorded of them: the run
    is to be given back."""

    done: trio.Event = attrs.field(factory=trio.Event)
    """Set when the run's end is durable, or the run was abandoned."""

    @property
    def seen(self) -> int:
        """The highest number of a message that was passed on; 0 when there was none."""
        return max(self.told, default=0)

    def holding(self) -> Holding:
        """Say what the engine has of it."""
        state = self.state
        return Holding(run_id=state.run_id, epoch=state.epoch, halted=self.halted)

    def take_up(self, message: Message) -> None:
        """Note that nothing more is to be done about a message."""
        self.taken.append(
            Taken(run_id=self.state.run_id, epoch=self.state.epoch, number=message.number)
        )

    def take_taken(self) -> list[Taken]:
        """Give what was taken up, once."""
        taken, self.taken = self.taken, []
        return taken

    def time_left(self) -> float | None:
        """Give the seconds until the run's timeout, or None while they do not pass.

        It has to be called when the run is paused, and when it goes on.
        """
        if self.countdown is None:
            return None
        if self.state.status is RunStatus.RUNNING:
            self.countdown.start()
            return self.countdown.left
        self.countdown.stop()
        return None

    def stop_attempts(self) -> None:
        """Stop what is going on of the graph; a request for it is journaled."""
        self.stopping = True
        self._cancel_stopped()

    @property
    def records(self) -> bool:
        """Whether what comes of attempts is journaled."""
        return self.abandoned is None and not self.halted

    def halt(self) -> None:
        """Stop everything, and record nothing of it."""
        self.halted = True
        self.stop_timers()
        self._cancel_stopped()

    def abandon(self, why: str) -> None:
        """Stop everything: the run is somebody else's now."""
        self.abandoned = why
        self.stop_timers()
        self._cancel_stopped()
        self.done.set()

    def is_stopped(self, work: Work) -> bool:
        """Whether an attempt must not go on. A request to cancel does not stop handlers."""
        if not self.records:
            return True
        return self.stopping and work.node.step.handles is None

    def _cancel_stopped(self) -> None:
        for work, scope in self.scopes.items():
            if self.is_stopped(work):
                scope.cancel()

    def stop_timers(self) -> None:
        """Wait for nothing any more."""
        for scope in self.timers:
            scope.cancel()
