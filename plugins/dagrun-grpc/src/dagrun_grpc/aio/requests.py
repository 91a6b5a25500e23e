"""The messages of a call that a client sends."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar, cast

from grpclib import GRPCError, Status
from grpclib.encoding.proto import ProtoCodec
from grpclib.server import Stream

from dagrun.errors import ChannelLost
from dagrun_grpc.aio.stream import COMPRESSED
from dagrun_grpc.fieldcount import TooManyFields, check_fields

T = TypeVar("T")


async def request_of(stream: Stream[T, Any], seconds: float) -> T:
    """Receive the one message of a call, or the first one, in asyncio.

    Raises:
        GRPCError: it does not come in time, or is none.
    """
    try:
        message = await asyncio.wait_for(_received(stream), seconds)
    except TimeoutError as error:
        raise GRPCError(Status.DEADLINE_EXCEEDED, f"no request within {seconds:g} s") from error
    if message is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call has no message")
    return cast("T", message)


async def requests_of(stream: Stream[T, Any], seconds: float) -> AsyncGenerator[T, None]:
    """Receive all messages of a call, in asyncio; the next one when it is asked for.

    Raises:
        GRPCError: the first one does not come in time, or one is none.
    """
    message: T | None = await request_of(stream, seconds)
    while message is not None:
        yield message
        message = await _received(stream)


async def _received(stream: Stream[Any, Any]) -> Any:
    try:
        return await stream.recv_message()
    except TooManyFields as error:
        raise GRPCError(Status.RESOURCE_EXHAUSTED, str(error)) from error
    except NotImplementedError as error:  # grpclib's
        raise GRPCError(Status.UNIMPLEMENTED, COMPRESSED) from error
    except ChannelLost as error:
        raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error
    except (ValueError, EOFError, TypeError) as error:
        # What betterproto2 raises for bytes that are no message.
        raise GRPCError(Status.INVALID_ARGUMENT, "the message is none of this call") from error


class CountingCodec(ProtoCodec):
    """grpclib's, which refuses what would take long to be read."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        """Read a message; called by grpclib.

        Raises:
            TooManyFields: it has too many.
        """
        check_fields(data, message_type)
        return super().decode(data, message_type)
