"""When something of a run may start."""

from collections.abc import Callable
from typing import Final

from dagrun.domain import decide
from dagrun.domain.state import Work
from dagrun.ports.journal import JournalFeed
from dagrun.ports.tasks import Spawn
from dagrun.services.engine.execution import Execution
from dagrun.services.engine.slots import Slots

INLINE_AT_ONCE: Final = 1000
"""Attempts without a process that an engine makes at once; each takes some 6 kB."""


class Starter:
    """Starts what is in line, as there are places and the journal has room.

    Args:
        journal: says whether nodes may still be started.
        parallel: most attempts with a process at once.
        start: starts an attempt in a place, which is taken already.
        spawn: starts what takes a while.
    """

    def __init__(
        self,
        *,
        journal: JournalFeed,
        parallel: int,
        start: Callable[[Execution, Work, Slots], None],
        spawn: Spawn,
    ) -> None:
        self._journal = journal
        self._start = start
        self._spawn = spawn
        self._processes = Slots(parallel)
        self._inline = Slots(INLINE_AT_ONCE)
        self._waits_for_room = False
        self.holds = False
        """Whether nothing more starts, of any run."""

    def ask(self, execution: Execution) -> None:
        """Note that there may be something to start of a run."""
        state = execution.state
        if state.startable:
            self._inline.ask(execution)
        if state.startable_processes:
            self._processes.ask(execution)

    def withdraw(self, execution: Execution) -> None:
        """Start nothing more of a run."""
        self._inline.drop(execution)
        self._processes.drop(execution)

    def hold(self) -> None:
        """Start nothing more of any run, from now on."""
        self.holds = True

    def start_what_may(self) -> None:
        """Start all that there is a place for. Does not block."""
        if self.holds:
            return
        if not self._journal.has_room():
            if not self._waits_for_room:
                self._waits_for_room = True
                self._spawn(self._start_when_room)
            return
        self._fill(self._inline, processes=False)
        self._fill(self._processes, processes=True)

    async def _start_when_room(self) -> None:
        await self._journal.wait_room()
        self._waits_for_room = False
        self.start_what_may()

    def _fill(self, slots: Slots, *, processes: bool) -> None:
        while (execution := slots.next()) is not None:
            work = decide.pop_startable(execution.state, processes=processes)
            if work is None:
                slots.drop(execution)
            else:
                slots.free -= 1
                self._start(execution, work, slots)
