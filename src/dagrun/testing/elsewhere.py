"""An orchestrator in this process, engines in processes of their own, and what came of their runs."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.result import RunResult
from dagrun.domain.workflow import Node, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.leading import Leading
from dagrun.roles.submission import Submission
from dagrun.settings.orchestrator import OrchestratorSettings
from dagrun.testing.checker import check
from dagrun.testing.effects import check_effects
from dagrun.testing.programs import COMMAND, LIMIT, Program

T = TypeVar("T")

PATIENT: Final = 30.0  # seconds of a lease that does not end during a test
_SAY: Final = 'echo "$DAGRUN_RUN_ID $DAGRUN_NODE_ID $ITEM $DAGRUN_ATTEMPT $DAGRUN_EPOCH'


@attrs.define
class Elsewhere:
    """An orchestrator in this process, and the folder in which all of it lives."""

    leading: Leading
    folder: Path
    launch: Callable[..., Program]
    _engines: int = 0

    @property
    def port(self) -> int:
        """Where the orchestrator listens."""
        return int(self.leading.addresses[0].rpartition(":")[2])

    @property
    def witness(self) -> Sequence[str]:
        """What nodes did, see :func:`~dagrun.testing.effects.check_effects`."""
        file = self.folder / "witness"
        return file.read_text().splitlines() if file.exists() else []

    def engine(
        self,
        name: str,
        *arguments: object,
        address: str | None = None,
        program: Sequence[object] = COMMAND,
        **environment: str,
    ) -> Program:
        """Start an engine.

        Args:
            name: its id.
            arguments: more of its command line.
            address: where it dials; the orchestrator's own, if not given.
            program: what is dagrun here.
            environment: variables that it gets.
        """
        self._engines += 1
        own = self.folder / f"{name}_{self._engines}"
        given = ("--engine-id", name, "--data-dir", own, *arguments)
        dialled = ("--orchestrator", address or self.leading.addresses[0])
        return self.launch(*program, "engine", *given, *dialled, **environment)

    async def attached(self, *names: str) -> None:
        """Wait until some engines are there, and no other one."""
        await until(
            lambda: (
                {view.id for view in self.leading.engines() if view.status != "unhealthy"}
                == set(names)
            )
        )

    def node(self, node_id: str, *after: str, seconds: float = 0.0, **fields: Any) -> Node:
        """Make a node that leaves its witness, and takes some time."""
        file = self.folder / "witness"
        command = f'{_SAY} start" >> {file}; sleep {seconds}; {_SAY} end" >> {file}'
        item = "${item_index}" if "for_each" in fields else "-"
        executor = {"type": "shell", "command": command, "env": {"ITEM": item}}
        return Node(node_id, dependencies=after, executor=executor, **fields)

    async def submit(self, workflow: Workflow) -> RunId:
        """Start a run."""
        return await self.leading.submit(Submission(workflow=workflow, inputs={}))

    async def result(self, run_id: RunId) -> RunResult:
        """Wait for the end of a run."""
        with trio.fail_after(LIMIT):
            return await self.leading.result(run_id)

    async def journal(self, run_id: RunId) -> Sequence[Event]:
        """Give the events of a run."""
        return await self.leading.store.events(run_id)

    async def problems(self, workflow: Workflow, *runs: RunId) -> Sequence[str]:
        """Give all that is wrong with the journals of some runs, and with what their nodes did."""
        events = [event for run_id in runs for event in await self.journal(run_id)]
        problems = []
        for run_id in runs:
            problems += check(workflow, [event for event in events if event.run_id == run_id])
        own = [line for line in self.witness if line.split()[0] in runs]
        return problems + check_effects(own, events)


@asynccontextmanager
async def elsewhere(
    folder: Path, launch: Callable[..., Program], **settings: Any
) -> AsyncIterator[Elsewhere]:
    """Lead in a folder, on any free port.

    Args:
        folder: where all lives.
        launch: starts programs, and kills them in the end.
        settings: of the orchestrator.
    """
    chosen = {"data_dir": folder / "data", "grpc_port": 0, "lease": PATIENT, **settings}
    registry = load_plugins().registry
    async with open_configured_orchestrator(registry, OrchestratorSettings(**chosen)) as leading:
        yield Elsewhere(leading, folder, launch)


async def until(condition: Callable[[], T]) -> T:
    """Wait for what another process does, and give what comes of it.

    Raises:
        trio.TooSlowError: nothing came within the limit.
    """
    with trio.fail_after(LIMIT):
        while not (found := condition()):  # noqa: ASYNC110 — nobody tells of it
            await trio.sleep(0.02)
    return found
