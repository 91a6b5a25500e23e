"""Answers to calls that have one request."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from functools import partial
from typing import Any, cast

from grpclib import GRPCError, Status
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Stream
from trio_asyncio import aio_as_trio

from dagrun.errors import DagrunError
from dagrun_grpc.address import joined
from dagrun_grpc.aio.bridge import in_trio
from dagrun_grpc.aio.calls import Answer
from dagrun_grpc.aio.requests import request_of
from dagrun_grpc.limits import MAX_MESSAGE

Act = Callable[[Any], Awaitable[Any]]
"""Gives, in trio, the one answer to a request."""

Give = Callable[[Any], AbstractAsyncContextManager[AsyncIterator[Any]]]
"""Gives, in trio, the answers to a request, for a block. When it begins, nothing more is missed."""

_log = logging.getLogger(__name__)


def once(act: Act, seconds: float) -> Answer:
    """Answer a call that has one answer; the request must arrive within ``seconds``."""
    return partial(_once, act, seconds)


def many(give: Give, seconds: float) -> Answer:
    """Answer a call with a stream; the request must arrive within ``seconds``."""
    return partial(_many, give, seconds)


async def _once(act: Act, seconds: float, stream: Stream[Any, Any]) -> None:
    with described(stream):
        request = await request_of(stream, seconds)
        reply = await in_trio(act, request)
        _check_size(reply)
        await stream.send_message(reply)


def _check_size(reply: Any) -> None:
    """Refuse what the client would refuse, and its connection with it."""
    size = len(bytes(reply))
    if size > MAX_MESSAGE:
        message = f"the answer has {size} bytes; at most {MAX_MESSAGE} are possible"
        raise GRPCError(Status.RESOURCE_EXHAUSTED, message)


async def _many(give: Give, seconds: float, stream: Stream[Any, Any]) -> None:
    with described(stream):
        request = await request_of(stream, seconds)
        await in_trio(_pump, give(request), stream, asyncio.get_running_loop())


async def _pump(
    giving: AbstractAsyncContextManager[AsyncIterator[Any]],
    stream: Stream[Any, Any],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Send what comes, in trio. The headers say that from now on nothing is missed."""
    async with giving as given, aclosing(cast("AsyncGenerator[Any, None]", given)) as replies:
        await aio_as_trio(stream.send_initial_metadata, loop=loop)()
        async for reply in replies:
            _check_size(reply)
            await aio_as_trio(stream.send_message, loop=loop)(reply)


@contextmanager
def described(stream: Stream[Any, Any]) -> Iterator[None]:
    """Let nobody outside know what an error was that is a mistake of ours.

    Args:
        stream: the call that is answered meanwhile, of which the log tells.
    """
    try:
        yield
    except (DagrunError, GRPCError, StreamTerminatedError):
        raise
    except Exception as error:
        call = stream._method_name  # noqa: SLF001 — grpclib says it to nobody
        peer = joined(stream.peer.addr() or ("unknown", 0))
        _log.exception("the call %s of %s has failed", call, peer)
        raise GRPCError(Status.INTERNAL, f"{type(error).__name__}; see the server's log") from error
