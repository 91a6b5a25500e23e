"""What is asked of what happens."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import attrs

from dagrun.domain.monitoring import MonitorEvent
from dagrun.ports.management import EventPage, Wanted
from dagrun_grpc import manage_views as views
from dagrun_grpc.aio import manage_calls as calls
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.manage_client.fields import checked
from dagrun_grpc.aio.reading import mapped, understood
from dagrun_grpc.wire.dagrun import v1


@understood
@attrs.frozen
class EventsClient:
    """Implements :class:`~dagrun.ports.management.EventManagement`."""

    _asking: Asking

    async def list(
        self, wanted: Wanted, *, after: str | None = None, limit: int = 100
    ) -> EventPage:
        """Give events of the past; see the port."""
        request = v1.ListEventsRequest(
            filter=views.wanted_out(wanted), after=after or "", limit=checked(limit)
        )
        reply: v1.ListEventsResponse = await self._asking.once(calls.LIST_EVENTS, request)
        return EventPage(
            items=[views.event_in(one) for one in reply.items], position=reply.position
        )

    def follow(
        self, wanted: Wanted, *, after: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[MonitorEvent]]:
        """Get events as they happen; see the port."""
        request = v1.StreamEventsRequest(filter=views.wanted_out(wanted), after=after or "")
        return mapped(
            *(self._asking, calls.STREAM_EVENTS, request),
            lambda reply: views.event_in(reply.event),
        )
