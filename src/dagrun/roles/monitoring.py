"""Who hears of what happens, in a process that writes journals."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from dagrun.domain.ids import RunId
from dagrun.ports.store import Store
from dagrun.ports.subscriber import Subscriber
from dagrun.roles.serving import start
from dagrun.services.dispatcher import Dispatcher
from dagrun.services.monitor import Monitor
from dagrun.services.subscribers import Subscribers


async def open_monitor(
    stack: AsyncExitStack,
    store: Store,
    where: Callable[[RunId], tuple[str | None, str | None]],
    subscribers: Mapping[str, Subscriber] | None,
) -> Monitor:
    """Let subscribers hear of every event until the stack is closed.

    Args:
        stack: closes it, behind the last events that a journal opened later tells of.
        store: where the events of before are.
        where: gives the workflow of a run, and the engine that has it; see :func:`whereabouts`.
        subscribers: name → who hears.
    """
    monitor = Monitor(store, where, position=await store.last_position())
    hearing = await start(stack, Subscribers(subscribers or {}, monitor.subscribe_pages))
    stack.callback(hearing.hurry)
    stack.callback(monitor.close)
    return monitor


def whereabouts(dispatcher: Dispatcher, run: RunId) -> tuple[str | None, str | None]:
    """Give the workflow of a run of this process, and the engine that has it."""
    ticket = dispatcher.ticket(run)
    if ticket is None:
        return None, None
    return ticket.workflow.id, None if ticket.engine is None else ticket.engine.name
