"""Python nodes, one after the other, in workers that live as long as the test."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from dagrun.builtin.python import PythonExecutor, PythonOptions
from dagrun.ports.processes import Processes
from dagrun.services.processes import open_processes
from dagrun.testing.context import FakeContext, MemoryLog, outputs_of

MODULE: Final = "dagrun_test_tasks"
"""The module of functions that lies beside the document."""

FUNCTIONS: Final = """
import trio

def add(a, b):
    return {"sum": a + b}

async def later(a):
    await trio.sleep(0)
    return {"a": a}

def spoil(rows, deep):
    rows.append(9)
    deep['a'].clear()

def nothing():
    pass

def fail():
    raise LookupError("as told")

def leave():
    raise SystemExit(3)

async def leave_in_a_task():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, leave)

def late():
    import dagrun_test_helper
    return {"a": dagrun_test_helper.A}

def polite(path):
    import pathlib, signal, sys, time
    def stop(*_):
        pathlib.Path(path).write_text("stopped in order")
        sys.exit()
    signal.signal(signal.SIGTERM, stop)
    pathlib.Path(path).write_text("ready")
    time.sleep(60)
"""


class PythonNodes:
    """Carries out nodes.

    Args:
        executor: the executor ``python``.
        processes: starts its workers.
        folder: where the document lies and nodes work.
    """

    def __init__(self, executor: PythonExecutor, processes: Processes, folder: Path) -> None:
        self._executor, self._processes, self._folder = executor, processes, folder
        self.log = MemoryLog()
        """Of the latest node."""

    async def __call__(
        self, context_values: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """Carry out a node, and give its outputs.

        Args:
            context_values: what its context has instead of what it usually has.
            options: of the executor.
        """
        usual = {"base": self._folder, "scratch": self._folder}
        context = FakeContext(
            options=PythonOptions(**options),
            processes=self._processes,
            **{**usual, **(context_values or {})},
        )
        self.log = context.log
        return outputs_of(await self._executor.execute(context))


@asynccontextmanager
async def python_nodes(folder: Path) -> AsyncIterator[PythonNodes]:
    """Give what carries out nodes whose document lies in a folder, beside :data:`FUNCTIONS`."""
    (folder / f"{MODULE}.py").write_text(FUNCTIONS)
    async with open_processes() as processes, PythonExecutor() as executor:
        yield PythonNodes(executor, processes, folder)
