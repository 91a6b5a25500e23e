"""Answers about the engines."""

from typing import Final

from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.manage_serve.kinds import M, Once
from dagrun_grpc.wire.dagrun import v1


async def _list_engines(m: M, _request: v1.ListEnginesRequest) -> v1.ListEnginesResponse:
    items = [views.engine_out(one) for one in await m.engines.list()]
    return v1.ListEnginesResponse(items=items)


async def _drain(m: M, request: v1.DrainEngineRequest) -> v1.DrainEngineResponse:
    engine = await m.engines.drain(request.engine_id, on=True)
    return v1.DrainEngineResponse(engine=views.engine_out(engine))


async def _undrain(m: M, request: v1.UndrainEngineRequest) -> v1.UndrainEngineResponse:
    engine = await m.engines.drain(request.engine_id, on=False)
    return v1.UndrainEngineResponse(engine=views.engine_out(engine))


ONCE: Final[Once] = {
    calls.LIST_ENGINES: _list_engines,
    calls.DRAIN_ENGINE: _drain,
    calls.UNDRAIN_ENGINE: _undrain,
}
