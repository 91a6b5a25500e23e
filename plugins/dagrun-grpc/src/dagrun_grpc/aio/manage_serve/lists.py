"""Lists that are to fit in messages."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Final, TypeVar, cast

from dagrun_grpc.limits import MAX_MESSAGE, PART

T = TypeVar("T")

USUAL: Final = 100
"""The limit of a list if none is given."""


def first(messages: Iterable[T], room: int) -> Iterator[T]:
    """Give messages as far as there is room for them, in bytes."""
    for message in messages:
        room -= len(bytes(cast("Any", message))) + 8
        if room < 0:
            return
        yield message


def batches(messages: Iterable[T]) -> Iterator[list[T]]:
    """Give messages together, as many as have about :data:`~dagrun_grpc.limits.PART` bytes."""
    batch: list[T] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(bytes(cast("Any", message)))
        if size >= PART:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def each(replies: Iterable[T]) -> AsyncIterator[T]:
    """Give replies one by one."""
    for reply in replies:
        yield reply


async def fitting(some: Callable[[int], Awaitable[T]], limit: int) -> T:
    """Give a list; a shorter one than was asked for, if that would not fit in a message."""
    limit = limit or USUAL
    reply = await some(limit)
    while len(bytes(cast("Any", reply))) > MAX_MESSAGE and limit > 1:
        limit = max(limit // 4, 1)
        reply = await some(limit)
    return reply
