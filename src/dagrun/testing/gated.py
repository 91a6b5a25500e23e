"""Runs whose nodes wait until a test lets them go, in one process or several beside each other."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.workflow import Concurrency, Node, OnLimit, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.ports.executor import Context
from dagrun.ports.store import Store
from dagrun.roles.local import UNBOUNDED, Local, Submission, open_local
from dagrun.services.dispatcher import Ticket
from dagrun.settings import Settings

LIMIT: Final = 12.0  # seconds that a test may take; what hangs fails, and not only in a day


class Gates:
    """An executor whose nodes wait at the gate that the input ``name`` names."""

    def __init__(self) -> None:
        self.began: list[str] = []
        """The names, in the order in which nodes began."""

        self.stubborn: set[str] = set()
        """Names whose nodes wait on for their gate when they are cancelled."""

        self._gates: dict[str, trio.Event] = defaultdict(trio.Event)

    async def execute(self, context: Context) -> Mapping[str, Any]:
        """Wait for the gate to be opened."""
        name = context.inputs["name"]
        self.began.append(name)
        with trio.CancelScope(shield=name in self.stubborn):
            await self._gates[name].wait()
        return {}

    def open(self, *names: str) -> None:
        """Let nodes go on, from now on."""
        for name in names:
            self._gates[name].set()


class Rig:
    """A process, and the gates of its runs."""

    def __init__(self, local: Local, gates: Gates) -> None:
        self.local, self.gates = local, gates

    async def submit(self, workflow: Workflow, name: str, **options: Any) -> Ticket:
        """Submit a run, and wait until nothing more happens."""
        submission = Submission(workflow=workflow, inputs={"name": name}, **options)
        ticket = await self.local.submit(submission)
        await trio.testing.wait_all_tasks_blocked()
        return ticket

    async def finish(self, *names: str) -> None:
        """Open gates, and wait until nothing more happens."""
        self.gates.open(*names)
        await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked(0.01)

    async def ended(self, *tickets: Ticket) -> list[str]:
        """Wait for the ends of runs, and give their states."""
        for ticket in tickets:
            await ticket.wait()
        return [str(ticket.state and ticket.state.status) for ticket in tickets]

    async def paused(self, name: str, **fields: Any) -> Ticket:
        """Give a run of two nodes that was paused within the first, and gave its place back."""
        ticket = await self.submit(gated(nodes=2, **fields), name)
        await self.local.pause(ticket.run_id)
        await self.finish(name)
        return ticket

    def explain(self, ticket: Ticket) -> str | None:
        """Say what a run waits for."""
        return self.local.dispatcher.explain(ticket.run_id)

    def queued(self) -> int:
        """Give how many runs wait for a slot or an engine."""
        return self.local.dispatcher.statistics().queued


@asynccontextmanager
async def rig(
    data_dir: Path,
    *,
    store: Store | None = None,
    engines: int = 1,
    capacity: int = UNBOUNDED,
    limit: float = LIMIT,
) -> AsyncIterator[Rig]:
    """Open a data directory, for ``limit`` seconds at most.

    Args:
        data_dir: the directory. Two with the same one are two processes in all that counts.
        store: where to keep journals; None keeps them in memory.
        engines: how many engines.
        capacity: most runs that each has at once.
        limit: most seconds.

    Raises:
        trio.TooSlowError: the time is over.
    """
    registry, gates = load_plugins().registry, Gates()
    registry.executors.add("gate", lambda: gates)
    settings = Settings(data_dir=data_dir, parallel=4)
    with trio.fail_after(limit):
        async with open_local(
            registry, settings, store=store or MemoryStore(), engines=engines, capacity=capacity
        ) as local:
            try:
                yield Rig(local, gates)
            finally:
                gates.open(*gates.stubborn)


def gated(workflow_id: str = "w", *, nodes: int = 1, **fields: Any) -> Workflow:
    """Make a workflow of gated nodes, one behind the other."""
    names = [f"n{number}" for number in range(nodes)]
    return Workflow(
        workflow_id,
        "1.0.0",
        nodes=[
            Node(name, executor={"type": "gate"}, dependencies=names[max(number - 1, 0) : number])
            for number, name in enumerate(names)
        ],
        **fields,
    )


def limited(
    on_limit: OnLimit | str = OnLimit.QUEUE, *, limit: int = 1, key: str = "${inputs.name}"
) -> Workflow:
    """Make a workflow of which few runs of one name go on at once."""
    return gated("limited", concurrency=Concurrency(key=key, limit=limit, on_limit=on_limit))
