"""What becomes durable of an engine's runs, for those who ask the engine."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import attrs

from dagrun.domain.events import Event


@attrs.frozen(kw_only=True)
class DurableEvents:
    """Events of an engine's runs that are durable; or that some are missing."""

    events: Sequence[Event]
    """Each run's in the order of ``seq``. None if some are missing."""

    position: str
    """What stands for all up to here."""

    missing: bool = False
    """Whether events may be missing here: they were not read in time, the engine was started anew,
    or it lost a run before it heard what of it is durable."""


class EngineEvents(Protocol):
    """What becomes durable of an engine's runs, as the engine hears of it."""

    def follow(
        self, *, run_id: str | None = None, after: str | None = None
    ) -> AsyncGenerator[DurableEvents, None]:
        """Give events as they become durable, without an end. Close it.

        Args:
            run_id: those of this run; None for all.
            after: a position; None begins with what becomes durable from this call on.

        Raises:
            InputError: the position is none of this engine.
        """
        ...
