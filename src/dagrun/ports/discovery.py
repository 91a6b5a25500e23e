"""How an orchestrator finds the engines that wait to be dialled."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import trio

Found = Callable[[Sequence[str]], None]
"""Hears of all engines there are now, as ``host:port`` each. Does not block."""


class Discovery(Protocol):
    """Tells which engines there are, for as long as it runs.

    Its factory takes keyword arguments. Which settings it is given is said by ``settings`` of the
    factory, a mapping: argument → setting.
    """

    async def run(
        self, found: Found, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Look for engines until cancelled.

        Each call of ``found`` gives the whole list; who is not on it any more has gone. It may come
        as often as something changes, and at least after each full look; the same list again does
        no harm. While nobody knows which engines there are, as whoever is asked does not answer,
        it is not called: the last list holds. ``started`` does not wait for the first list.

        Raises:
            ConfigError: it can never find anything, as it is set up.
        """
        ...


@runtime_checkable
class Registering(Protocol):
    """A discovery to which engines are told."""

    def register(self, address: str) -> None:
        """Know that an engine waits at ``host:port``. Does not block.

        This holds for some time only, and is to be said again.

        Raises:
            ConfigError: there are too many already.
        """
        ...
