"""What a client makes of answers."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from dagrun.domain.events import Event
from dagrun_grpc.aio.asking import Asking
from dagrun_grpc.aio.calls import Call
from dagrun_grpc.events import decode_events
from dagrun_grpc.wire.dagrun import v1

T = TypeVar("T")
C = TypeVar("C", bound=type)


def understood(client: C) -> C:
    """Let the methods of a client say whose answer it is that they cannot read."""
    for name, method in list(vars(client).items()):
        if iscoroutinefunction(method) and not name.startswith("_"):
            setattr(client, name, _understood(method))
    return client


def _understood(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(method)
    async def asked(self: Any, *args: Any, **options: Any) -> Any:
        with self._asking.understanding():
            return await method(self, *args, **options)

    return asked


async def whole(
    replies: AsyncIterator[v1.StreamJournalResponse], asking: Asking
) -> AsyncGenerator[Sequence[Event], None]:
    """Give the batches of a journal, whose texts come in parts."""
    text = bytearray()
    async for reply in replies:
        part = reply.events or v1.Part(last=True)
        text += part.data
        if part.last:
            with asking.understanding():
                events = decode_events(bytes(text))
            yield events
            text.clear()


@asynccontextmanager
async def mapped(
    asking: Asking, call: Call, request: Any, make: Callable[[Any], T]
) -> AsyncIterator[AsyncIterator[T]]:
    """Make a call, and give what ``make`` makes of each of its answers."""

    async def made() -> AsyncGenerator[T, None]:
        async for reply in replies:
            with asking.understanding():
                each = make(reply)
            yield each

    async with asking.stream(call, request) as replies, aclosing(made()) as each:
        yield each
