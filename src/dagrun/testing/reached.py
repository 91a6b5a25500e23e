"""A world for tests of management, and what they share."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.status import RunStatus
from dagrun.errors import sole
from dagrun.ports.management import Management, RunSummary
from dagrun.ports.store import Store
from dagrun.ports.transport import Transport
from dagrun.testing.managed import EXECUTOR, World, managed

LIMIT: Final = 20.0  # seconds that no test of the suite comes near
NO_IDS: Final = ("none", "", "../x", "é", "x" * 200)
INPUTS: Final = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}


@attrs.frozen
class Reached:
    """A world, and management as its client has it."""

    world: World
    management: Management
    starts: Management
    """Starts runs: the same, or the orchestrator's own, if that cannot."""

    async def run(self, *nodes: Mapping[str, Any], **fields: Any) -> RunSummary:
        """Register a workflow, and start a run of it."""
        registered = await self.management.workflows.register(document(*nodes, **fields))
        return await self.starts.runs.start(registered.workflow_id)


def node(node_id: str, /, *dependencies: str, **told: Any) -> dict[str, Any]:
    """Write a node that does what it is told, see :class:`~dagrun.testing.managed.Told`."""
    return {
        "id": node_id,
        "dependencies": list(dependencies),
        "executor": {"type": EXECUTOR},
        "inputs": told,
    }


def calls(workflow_id: str, **options: Any) -> dict[str, Any]:
    """Write a node that runs another workflow."""
    return {"id": "child", "executor": {"type": "workflow", "id": workflow_id, **options}}


def document(
    *nodes: Mapping[str, Any], workflow_id: str = "w", version: str = "1.0.0", **fields: Any
) -> bytes:
    """Write a document."""
    about: dict[str, Any] = {
        key: fields.pop(key) for key in ("name", "description", "labels") if key in fields
    }
    whole: dict[str, Any] = {
        "apiVersion": "dagrun/v1",
        "kind": "Workflow",
        "metadata": {"id": workflow_id, "version": version, **about},
        "spec": {"nodes": list(nodes or [node("a")]), **fields},
    }
    return json.dumps(whole).encode()


class Reaching(ABC):
    """Says how to reach an orchestrator, for suites."""

    @abstractmethod
    def transport(self) -> Transport:
        """Make a transport, of an orchestrator on a free address, or of an engine."""

    @abstractmethod
    def client(self, world: World) -> AbstractAsyncContextManager[Management]:
        """Reach an orchestrator as a client."""

    def starts(self, world: World, management: Management) -> Management:
        """Give who starts the runs of a test: the client, unless it cannot."""
        return management

    def store(self, folder: Path) -> Store:
        """Make the orchestrator's store."""
        return MemoryStore()

    @asynccontextmanager
    async def reached(self, folder: Path, **options: Any) -> AsyncIterator[Reached]:
        """Run an orchestrator and an engine, and reach it."""
        store = self.store(folder)
        try:
            with trio.fail_after(LIMIT):
                async with (
                    managed(folder, self.transport, store=store, **options) as world,
                    self.client(world) as management,
                ):
                    yield Reached(world, management, self.starts(world, management))
        except BaseExceptionGroup as group:
            cause = sole(group)  # each service has a nursery; a test is to fail with what failed
            raise cause from cause.__cause__

    async def has_status(self, it: Reached, run_id: str, wanted: RunStatus) -> None:
        """Wait until a run is in a state."""
        while (await it.management.runs.get(run_id)).result.status is not wanted:  # noqa: ASYNC110 — it is told by nobody
            await trio.sleep(0.01)

    async def logs(
        self, it: Reached, run_id: str, **wanted: Any
    ) -> list[tuple[str, int | None, int, str]]:
        """Give the pieces of logs: node, item, attempt and text."""
        async with it.management.runs.logs(run_id, **wanted) as pieces:
            return [(one.node_id, one.item, one.attempt, one.text) async for one in pieces]
