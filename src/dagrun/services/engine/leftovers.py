"""What runs leave behind in their engine."""

import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import trio

from dagrun.domain.state import RunState
from dagrun.ports.tasks import Spawn
from dagrun.services.engine.attempts import Workshop
from dagrun.services.engine.execution import Execution


class Leftovers:
    """Runs that are gone, but for attempts that are being stopped, and for files.

    Args:
        workshop: says where files are.
        spawn: starts what takes a while.
    """

    def __init__(self, workshop: Workshop, spawn: Spawn) -> None:
        self._workshop = workshop
        self._spawn = spawn
        self._leaving: set[Execution] = set()
        self._attempt_ended = trio.Event()

    def attempt_ended(self) -> None:
        """Hear that an attempt is not being made any more."""
        self._attempt_ended.set()
        self._attempt_ended = trio.Event()

    async def wait_idle(self, executions: Iterable[Execution]) -> None:
        """Wait until no attempt is being made of some runs, nor of those that are gone."""
        for execution in [*executions, *self._leaving]:
            await self._until_idle(execution)

    async def _until_idle(self, execution: Execution) -> None:
        while execution.scopes:
            await self._attempt_ended.wait()

    def tidy(self, execution: Execution) -> None:
        """Leave nothing of a run behind that the engine does not have any more. Does not block."""
        self._leaving.add(execution)
        directory = self._workshop.scratch_of(execution.state)  # of this epoch, whichever comes
        self._spawn(self._tidy, execution, directory)

    async def _tidy(self, execution: Execution, directory: Path) -> None:
        await trio.lowlevel.checkpoint()  # an attempt that was just started has begun then
        await self._until_idle(execution)
        await _remove(directory)
        self._leaving.discard(execution)

    async def remove_scratch(self, state: RunState) -> None:
        """Remove the directory of a run, if there is one."""
        await _remove(self._workshop.scratch_of(state))


async def _remove(directory: Path) -> None:
    if os.path.isdir(directory):  # noqa: ASYNC240, PTH112 — 2 µs; a thread costs 50
        await trio.to_thread.run_sync(partial(shutil.rmtree, directory, ignore_errors=True))
