"""Services that are opened one after the other, and closed in the reverse order."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeVar

import trio

S = TypeVar("S", bound="Service")


class Service(Protocol):
    """Something with a task of its own."""

    @property
    def run(self) -> Callable[..., Any]:
        """Run until cancelled; see :meth:`trio.Nursery.start`."""
        ...


async def start(stack: AsyncExitStack, service: S) -> S:
    """Run a service until the stack is closed, and give it."""
    await serve(stack, service.run)
    return service


async def serve(stack: AsyncExitStack, run: Callable[..., Any]) -> Any:
    """Run something in a nursery of its own until the stack is closed. Give what it starts with."""
    nursery = await in_nursery(stack)
    return await nursery.start(run)


async def in_nursery(stack: AsyncExitStack) -> trio.Nursery:
    """Open a nursery that is cancelled when the stack is closed.

    Cancelling its scope ends what runs in it, and all that was opened after it.
    """
    nursery = await stack.enter_async_context(trio.open_nursery())
    stack.callback(nursery.cancel_scope.cancel)
    return nursery
