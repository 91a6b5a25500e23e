"""How a part of a service does what may take a while, and lets nobody wait for it."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVarTuple, Unpack

Args = TypeVarTuple("Args")


class Spawn(Protocol):
    """Starts tasks that end with the service, at the latest."""

    def __call__(self, task: Callable[[Unpack[Args]], Awaitable[object]], *args: *Args) -> None:
        """Start it. Does not block."""
        ...
