"""Worker processes that are kept after a call, and used again."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self

import attrs
import trio

from dagrun.ports.executor import NodeLog
from dagrun.ports.processes import Processes
from dagrun.workers.worker import Worker

MAX_REPLY: Final = 8 * 1024 * 1024  # bytes; outputs have their own, smaller limit


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """How many workers there are."""

    idle: int
    """Workers that wait for a call."""

    busy: int
    """Workers that serve one, or are being started or ended."""


class WorkerPool:
    """Workers that run ``argv``, as many as there are calls. Use it as ``async with``.

    Calls do not wait for each other: how many nodes run at once is the engine's affair. Workers
    speak the frames of :mod:`dagrun.workers.child`.

    Args:
        argv: the worker's program and arguments.
        env: its whole environment.
        keep: most idle workers; by default four for each core.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, keep: int | None = None
    ) -> None:
        self._argv, self._env = tuple(argv), dict(env or {})
        self._keep = 4 * (os.cpu_count() or 1) if keep is None else keep
        self._idle: list[Worker] = []
        self._count = 0
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> "WorkerPool":
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all idle workers; calls must have ended before."""
        assert self._nursery is not None  # noqa: S101 — entered before
        with trio.CancelScope(shield=True):
            while self._idle:
                await self._end(self._idle.pop())
        self._nursery.cancel_scope.cancel()
        await self._manager.__aexit__(None, None, None)

    async def call(
        self,
        processes: Processes,
        request: bytes,
        *,
        log: NodeLog | None,
        max_reply: int = MAX_REPLY,
        retire: Callable[[bytes], bool] | None = None,
        arguments: tuple[str, ...] = (),
        kill_after: float = 0.0,
    ) -> bytes:
        """Have a worker answer a request. A cancelled call ends the worker.

        Args:
            processes: starts a worker if none is idle.
            request: the body of the frame.
            log: gets what the worker prints until it replies.
            max_reply: bytes; a worker that sends more is ended.
            retire: whether a reply says that its worker must not be used again; that worker is
                gone, with all that it started, before the call returns.
            arguments: stand behind ``argv``; only workers that have the same are used again.
            kill_after: seconds that a cancelled call leaves the worker between SIGTERM and SIGKILL.

        Raises:
            WorkerDied: the worker ended before it replied, or sent something else.
            NodeError: the reply is too long (type ``output``).
            HostTrouble: no worker can be started now, for want of files to be opened.
            OSError: no worker can be started.
        """
        worker = await self._take(processes, arguments)
        try:
            reply = await worker.call(request, log=log, max_reply=max_reply)
        except BaseException:
            await self._end(worker, kill_after=kill_after)
            raise
        if retire is not None and retire(reply):
            await self._end(worker)
        else:
            self._give_back(worker)
        return reply

    def statistics(self) -> PoolStatistics:
        """Say how many workers there are."""
        idle = len(self._idle)
        return PoolStatistics(idle=idle, busy=self._count - idle)

    async def _take(self, processes: Processes, arguments: tuple[str, ...]) -> Worker:
        while (worker := self._take_idle(arguments)) is not None:
            if worker.is_alive():
                return worker
            await self._end(worker)
        return await self._start(processes, arguments)

    def _take_idle(self, arguments: tuple[str, ...]) -> Worker | None:
        """Take the worker that was used last: the others may stay swapped out."""
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index].arguments == arguments:
                return self._idle.pop(index)
        return None

    async def _start(self, processes: Processes, arguments: tuple[str, ...]) -> Worker:
        assert self._nursery is not None, "use the pool as `async with`"  # noqa: S101 — misuse
        self._count += 1
        try:
            worker = await Worker.start(processes, self._argv, self._env, arguments)
        except BaseException:
            self._count -= 1
            raise
        self._nursery.start_soon(worker.copy_log)
        return worker

    async def _end(self, worker: Worker, *, kill_after: float = 0.0) -> None:
        try:
            await worker.aclose(kill_after=kill_after)
        finally:
            self._count -= 1

    def _give_back(self, worker: Worker) -> None:
        assert self._nursery is not None  # noqa: S101 — entered before
        self._idle.append(worker)
        if len(self._idle) > self._keep:
            self._nursery.start_soon(self._end, self._idle.pop(0))


class UsesWorkers:
    """An executor whose workers live while it is entered.

    Args:
        pool: what it calls.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the workers."""
        await self._pool.__aexit__()
