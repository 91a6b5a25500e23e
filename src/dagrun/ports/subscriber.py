"""What hears of all that happens in an orchestrator."""

from collections.abc import Sequence
from typing import Protocol

from dagrun.domain.monitoring import MonitorEvent


class Subscriber(Protocol):
    """Gets every event, in order and at its own pace.

    Its factory takes keyword arguments. Which settings it is given is said by ``settings`` of the
    factory, a mapping: argument → setting.

    If it has ``__aenter__`` and ``__aexit__``, the orchestrator enters it before it does anything
    else. A ``ConfigError`` there says that it can never do its work, as it is set up. It is left when
    the orchestrator ends, and gets what is left of a few seconds for that.
    """

    async def handle(self, events: Sequence[MonitorEvent]) -> None:
        """Take some events, at least one, which belong to all subscribers and are not changed.

        They are durable, and behind all that came before; one call ends before the next begins. It
        may take as long as it likes, but must not block: nobody waits for it, and what happens
        meanwhile is read later. It may be cancelled when the orchestrator ends.

        What it raises is logged, and costs it these events: the next ones come all the same. Who
        needs each of them tries again by itself.
        """
        ...
