"""The one asyncio loop of a transport, inside of trio."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

import trio
import trio_asyncio

from dagrun.errors import ChannelLost, sole

if TYPE_CHECKING:
    from dagrun_grpc.aio.protocol import GuardedProtocol

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Bridge:
    """Runs the loop while it is entered."""

    loop: trio_asyncio.TrioEventLoop

    def __init__(self) -> None:
        self.opened: set[GuardedProtocol] = set()
        """The connections that there are."""

        self._stack = AsyncExitStack()
        self._scope = trio.CancelScope(shield=True)
        """The loop's. Connections need it until they are closed, whatever is cancelled around it."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            stack.callback(self._scope.cancel)
            self.loop = await nursery.start(self._run)
            self._stack = stack.pop_all()  # only now: who is cancelled before leaves the nursery
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with trio.CancelScope(shield=True):
            for connection in tuple(self.opened):
                connection.abort("the transport is closed")
                await connection.gone.wait()
        await self._stack.__aexit__(None, None, None)  # an error goes on as it is, in no group

    async def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kw: P.kwargs) -> T:
        """Call a coroutine function of asyncio.

        Raises:
            ChannelLost: the bridge was left meanwhile.
        """
        try:
            result: T = await trio_asyncio.aio_as_trio(function, loop=self.loop)(*args, **kw)
        except asyncio.CancelledError as error:
            raise ChannelLost("the transport is closed") from error
        return result

    async def _run(self, *, task_status: trio.TaskStatus[trio_asyncio.TrioEventLoop]) -> None:
        with self._scope:
            await self._hold_loop(task_status)

    async def _hold_loop(self, task_status: trio.TaskStatus[trio_asyncio.TrioEventLoop]) -> None:
        async with trio_asyncio.open_loop() as loop:
            loop.set_exception_handler(_note)
            task_status.started(loop)
            await trio.sleep_forever()


async def in_trio(function: Callable[P, Awaitable[T]], *args: P.args, **kw: P.kwargs) -> T:
    """Call a coroutine function of trio, from asyncio. Raises what it raises, in no group."""
    loop = asyncio.get_running_loop()  # the tasks of a server do not inherit it
    try:
        result: T = await trio_asyncio.trio_as_aio(function, loop=loop)(*args, **kw)
    except BaseExceptionGroup as group:
        cause = sole(group)
        raise cause from cause.__cause__
    return result


def _note(loop: Any, context: dict[str, Any]) -> None:
    """Note what went wrong with a connection; who uses it learns of it by its end."""
    _log.debug("%s", context.get("message"), exc_info=context.get("exception"))
