"""Streams that stay open for long: who may not have one any more loses it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from grpclib.server import Stream

from dagrun.errors import AccessError, sole
from dagrun.ports.tokens import Gate, Role
from dagrun_grpc.aio.access import admit
from dagrun_grpc.aio.bridge import in_trio


async def while_admitted(
    answer: Callable[[Stream[Any, Any]], Awaitable[None]],
    stream: Stream[Any, Any],
    role: Role,
    gate: Gate,
    *,
    seconds: float,
) -> None:
    """Answer a call, in asyncio, as long as who made it may act in a role.

    Args:
        answer: answers it; it is cancelled if they may no more.
        stream: the call.
        role: the role.
        gate: is asked again and again.
        seconds: between two questions.

    Raises:
        AccessError: they may no more.
    """
    try:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(_ask(stream, role, gate, seconds))
            await answer(stream)
            asking.cancel()
    except BaseExceptionGroup as errors:
        cause = sole(errors.subgroup(AccessError) or errors)
        raise cause from cause.__cause__


async def _ask(stream: Stream[Any, Any], role: Role, gate: Gate, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await in_trio(admit, stream, role, gate)
