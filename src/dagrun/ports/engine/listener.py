"""What an engine says of its runs."""

from typing import Protocol

from dagrun.domain.state import RunState


class EngineListener(Protocol):
    """An orchestrator, seen from an engine."""

    def left(self, state: RunState, abandoned: str | None) -> None:
        """Hear that an engine has no more to do with a run. Does not block.

        Args:
            state: the run; all of it is durable. It has ended, is paused, or is parked: it only
                waits for child runs, see :func:`~dagrun.domain.decide.parked`.
            abandoned: why the run is somebody else's now; None when it is not.
        """
        ...
