"""The one message of a call."""

import asyncio
from typing import Any, TypeVar

from grpclib import GRPCError, Status
from grpclib.server import Stream

T = TypeVar("T")


async def request_of(stream: Stream[T, Any], seconds: float) -> T:
    """Receive it, in asyncio.

    Raises:
        GRPCError: it does not come in time, or is none.
    """
    try:
        message = await asyncio.wait_for(stream.recv_message(), seconds)
    except TimeoutError as error:
        raise GRPCError(Status.DEADLINE_EXCEEDED, f"no request within {seconds:g} s") from error
    except (ValueError, EOFError, TypeError, NotImplementedError) as error:
        # What betterproto2 raises for bytes that are no message, or of a wire type that it lacks.
        raise GRPCError(Status.INVALID_ARGUMENT, "the message is none of this call") from error
    if message is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call has no message")
    return message
