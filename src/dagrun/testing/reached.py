# ruff: noqa: SIM117 — a timeout around what is opened
"""An orchestrator as its clients have it, for the suites of those who manage it."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from dagrun.errors import sole
from dagrun.ports.management import Management, RunSummary
from dagrun.ports.transport import Transport
from dagrun.testing.managed import EXECUTOR, World, managed

LIMIT: Final = 20.0  # seconds that no test of a suite comes near


@attrs.frozen
class Reached:
    """A world, and management as its client has it."""

    world: World
    management: Management

    async def run(self, *nodes: Mapping[str, Any], **fields: Any) -> RunSummary:
        """Register a workflow, and start a run of it."""
        registered = await self.management.workflows.register(document(*nodes, **fields))
        return await self.management.runs.start(registered.workflow_id)


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

    @asynccontextmanager
    async def reached(self, folder: Path, **options: Any) -> AsyncIterator[Reached]:
        """Run an orchestrator and an engine, and reach it."""
        try:
            with trio.fail_after(LIMIT):
                async with managed(folder, self.transport, **options) as world:
                    async with self.client(world) as management:
                        yield Reached(world, management)
        except BaseExceptionGroup as group:
            cause = sole(group)  # each service has a nursery; a test is to fail with what failed
            raise cause from cause.__cause__
