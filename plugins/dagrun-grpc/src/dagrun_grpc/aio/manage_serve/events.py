"""Answers about what happens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.manage_serve.kinds import M, Once, Streams
from dagrun_grpc.aio.manage_serve.lists import fitting
from dagrun_grpc.wire.dagrun import v1


async def _list_events(m: M, request: v1.ListEventsRequest) -> v1.ListEventsResponse:
    async def some(limit: int) -> v1.ListEventsResponse:
        wanted = views.wanted_in(request.filter)
        page = await m.events.list(wanted, after=request.after or None, limit=limit)
        items = [views.event_out(one) for one in page.items]
        return v1.ListEventsResponse(items=items, position=page.position)

    return await fitting(some, request.limit)


@asynccontextmanager
async def _events(
    m: M, request: v1.StreamEventsRequest
) -> AsyncIterator[AsyncIterator[v1.StreamEventsResponse]]:
    async def replies() -> AsyncIterator[v1.StreamEventsResponse]:
        async for event in events:
            yield v1.StreamEventsResponse(event=views.event_out(event))

    wanted = views.wanted_in(request.filter)
    async with m.events.follow(wanted, after=request.after or None) as events:
        yield replies()


ONCE: Final[Once] = {
    calls.LIST_EVENTS: _list_events,
}
STREAMS: Final[Streams] = {
    calls.STREAM_EVENTS: _events,
}
