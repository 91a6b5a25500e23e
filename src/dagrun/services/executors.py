"""Executors, and providers of secrets, that are open: made at first use, closed together."""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Generic, TypeVar

import attrs
import trio

from dagrun.plugin.entering import entered

T = TypeVar("T")


@attrs.define(eq=False)
class _Request:
    name: str
    opened: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None


class Opened(Generic[T]):
    """Opens plugins of one kind in a task of its own, whoever asks.

    A plugin may hold a nursery, and a nursery must be left by the task that entered it.

    Args:
        factory: gives the factory of a plugin by its name; raises UnknownPlugin.
    """

    def __init__(self, factory: Callable[[str], Callable[[], T]]) -> None:
        self._factory = factory
        self._opened: dict[str, T] = {}
        self._pending: dict[str, _Request] = {}
        # At most one a name. Sending must not be a checkpoint: a request whose sender was
        # cancelled there would be waited for and never served.
        self._send, self._receive = trio.open_memory_channel[_Request](math.inf)

    @property
    def opened(self) -> Mapping[str, T]:
        """The open plugins by name; more appear as they are opened."""
        return self._opened

    async def open(self, names: Iterable[str]) -> None:
        """Make sure that some plugins are open.

        Raises:
            UnknownPlugin: nothing of that name is installed.
            Exception: what opening one raised.
        """
        for name in dict.fromkeys(names):
            if name not in self._opened:
                await self._open(name)

    async def _open(self, name: str) -> None:
        request = self._pending.get(name)
        if request is None:
            request = self._pending[name] = _Request(name)
            self._send.send_nowait(request)
        await request.opened.wait()
        if request.error is not None:
            raise request.error

    async def run(
        self, *, task_status: trio.TaskStatus["Opened[T]"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled, and then close all that is open."""
        async with AsyncExitStack() as stack:
            task_status.started(self)
            async for request in self._receive:
                await self._serve(request, stack)

    async def _serve(self, request: _Request, stack: AsyncExitStack) -> None:
        try:
            plugin = await entered(stack, self._factory(request.name)())
        except Exception as error:  # noqa: BLE001 — it belongs to the one who asked
            request.error = error
        else:
            self._opened[request.name] = plugin
        del self._pending[request.name]
        request.opened.set()
