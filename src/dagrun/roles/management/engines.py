"""The engines, for those who manage them."""

from collections.abc import Sequence

import trio

from dagrun.errors import NotFound
from dagrun.ports.engine import EngineView
from dagrun.services.fleet import Fleet


class ManagedEngines:
    """Implements :class:`~dagrun.ports.management.EngineManagement`.

    Args:
        fleet: the engines in other processes.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def list(self) -> Sequence[EngineView]:
        """Give the engines, by id."""
        await trio.lowlevel.checkpoint()
        return self._fleet.engines()

    async def drain(self, engine_id: str, *, on: bool) -> EngineView:
        """Let an engine take no more runs, or take some again; see the port."""
        await trio.lowlevel.checkpoint()
        if not self._fleet.drain(engine_id, on=on):
            raise NotFound(f"no engine {engine_id[:200]!r} is connected")
        return next(view for view in self._fleet.engines() if view.id == engine_id)
