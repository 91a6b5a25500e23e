"""What plugins make may hold resources, or may not."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

T = TypeVar("T")


async def entered(stack: AsyncExitStack, made: T) -> T:
    """Enter what a plugin made until a stack is left, if it has ``__aenter__`` and ``__aexit__``.

    Raises:
        Exception: what entering it raised.
    """
    if isinstance(made, AbstractAsyncContextManager):
        await stack.enter_async_context(made)
    return made
