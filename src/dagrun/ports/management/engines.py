"""What can be asked of the engines."""

from collections.abc import Sequence
from typing import Protocol

from dagrun.ports.engine import EngineView


class EngineManagement(Protocol):
    """The engines."""

    async def list(self) -> Sequence[EngineView]:
        """Give the engines, by id."""
        ...

    async def drain(self, engine_id: str, *, on: bool) -> EngineView:
        """Let an engine take no more runs, or take some again. Those that it has go on.

        Raises:
            NotFound: there is no such engine, or it is not connected.
        """
        ...
