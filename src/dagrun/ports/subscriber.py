"""What hears of all that happens in an orchestrator."""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from dagrun.domain.monitoring import MonitorEvent


class Subscriber(Protocol):
    """Gets every event, in order and at its own pace. Use it with ``async with``.

    Its factory takes keyword arguments. Which settings it is given is said by ``settings`` of the
    factory, a mapping: argument → setting.
    """

    async def __aenter__(self) -> Self:
        """Get ready. The orchestrator waits for it before it does anything else.

        Raises:
            ConfigError: it can never do its work, as it is set up.
        """
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close what was opened. It gets what is left of a few seconds."""
        ...

    async def handle(self, events: Sequence[MonitorEvent]) -> None:
        """Take some events, at least one, which belong to all subscribers and are not changed.

        They are durable, and behind all that came before; one call ends before the next begins. It
        may take as long as it likes, but must not block: nobody waits for it, and what happens
        meanwhile is read later. It may be cancelled when the orchestrator ends.

        What it raises is logged, and costs it these events: the next ones come all the same. Who
        needs each of them tries again by itself.
        """
        ...
