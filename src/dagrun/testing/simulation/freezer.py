"""Lets all tasks of a process stand still, while time passes."""

from typing import Any

import trio
from trio.lowlevel import Task


class Freezer(trio.abc.Instrument):
    """Keeps what becomes runnable in a frozen process, until that goes on.

    Timers of such a process end while it stands still; what waited for them notices afterwards, as a
    process does that was stopped by SIGSTOP. A process is a task with all that came of it.
    """

    def __init__(self) -> None:
        self._kept: dict[Task, list[Task]] = {}
        """What may go on, by the first task of each frozen process."""

    def freeze(self, root: Task) -> None:
        """Let a process stand still. No error if it does."""
        if not self._kept:
            trio.lowlevel.add_instrument(self)
        self._kept.setdefault(root, [])
        runnable = _runnable()
        for task in [task for task in runnable if self._process_of(task) is root]:
            runnable.remove(task)
            self._kept[root].append(task)

    def thaw(self, root: Task) -> None:
        """Let a process go on. No error if it does."""
        if root in self._kept:
            _runnable().extend(self._kept.pop(root))
            if not self._kept:
                trio.lowlevel.remove_instrument(self)

    def is_frozen(self, root: Task) -> bool:
        """Whether a process stands still."""
        return root in self._kept

    def task_scheduled(self, task: Task) -> None:
        """Take a task of a frozen process out of those that may run; trio has just put it there."""
        root = self._process_of(task)
        if root is not None:
            _runnable().pop()
            self._kept[root].append(task)

    def _process_of(self, task: Task) -> Task | None:
        """Give the first task of the frozen process that a task belongs to, if any."""
        while task not in self._kept:
            if task.parent_nursery is None:
                return None
            task = task.parent_nursery.parent_task
        return task


def _runnable() -> Any:
    """Give trio's queue of tasks that may run, a deque."""
    return trio._core._run.GLOBAL_RUN_CONTEXT.runner.runq  # noqa: SLF001 — nothing public holds tasks
