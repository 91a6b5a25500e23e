"""How what may take a while is done, without letting a stream or a commit wait for it."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVarTuple, Unpack

Args = TypeVarTuple("Args")


class Spawn(Protocol):
    """Starts a task that lives as long as the fleet."""

    def __call__(self, task: Callable[[Unpack[Args]], Awaitable[object]], *args: *Args) -> None:
        """Start it. Does not block."""
        ...
