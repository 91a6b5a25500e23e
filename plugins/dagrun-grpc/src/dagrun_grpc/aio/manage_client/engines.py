"""What is asked of the engines."""

from collections.abc import Sequence

import attrs

from dagrun.ports.engine import EngineView
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.reading import understood
from dagrun_grpc.wire.dagrun import v1


@understood
@attrs.frozen
class EnginesClient:
    """Implements :class:`~dagrun.ports.management.EngineManagement`."""

    _asking: Asking

    async def list(self) -> Sequence[EngineView]:
        """Give the engines; see the port."""
        reply = await self._asking.once(calls.LIST_ENGINES, v1.ListEnginesRequest())
        return [views.engine_in(one) for one in reply.items]

    async def drain(self, engine_id: str, *, on: bool) -> EngineView:
        """Let an engine take no more runs, or take some again; see the port."""
        if on:
            drained = v1.DrainEngineRequest(engine_id=engine_id)
            return views.engine_in((await self._asking.once(calls.DRAIN_ENGINE, drained)).engine)
        undrained = v1.UndrainEngineRequest(engine_id=engine_id)
        return views.engine_in((await self._asking.once(calls.UNDRAIN_ENGINE, undrained)).engine)
