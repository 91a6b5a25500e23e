"""An orchestrator and an engine in one process, for tests of those who manage them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import trio

from dagrun.builtin.control import Control
from dagrun.builtin.memory_store import MemoryStore
from dagrun.plugin.loading import load_plugins
from dagrun.plugin.registry import Registry
from dagrun.ports.executor import Context
from dagrun.ports.store import Store
from dagrun.ports.tokens import Gate, Tokens
from dagrun.ports.transport import Transport
from dagrun.roles.beside import answer_beside
from dagrun.roles.engine import open_engine
from dagrun.roles.leadership import lead
from dagrun.roles.leading import Leading
from dagrun.roles.orchestrator import open_leading
from dagrun.roles.serving import start
from dagrun.services.attachment import Identity
from dagrun.services.gate import TokenGate
from dagrun.settings import Settings

EXECUTOR: Final = "told"
ENGINE: Final = "e1"
CAPACITY: Final = 10
OPEN: Final = partial(TokenGate, open_without=True)
"""Makes a gate through which everybody comes while there is no token."""


class Told:
    """An executor that does what the node's inputs say.

    ``print`` is written to the log, ``gate`` is waited for, ``fail`` fails the node with this
    message, ``broken`` until that is mended, and ``outputs`` are the outputs. The option ``code`` does nothing, and may come from a
    ``file``.
    """

    files: ClassVar[Mapping[str, str]] = {"file": "code"}

    def __init__(self) -> None:
        self._gates: dict[str, trio.Event] = defaultdict(trio.Event)
        self._mended: set[str] = set()
        self.carried_out: list[tuple[str, str]] = []
        """Run and node of each attempt, in the order of their starts."""

    async def execute(self, context: Context) -> Mapping[str, Any]:
        """Do it."""
        told = context.inputs
        self.carried_out.append((context.run_id, context.node_id))
        if "print" in told:
            context.log.write(str(told["print"]).encode())
        if "gate" in told:
            await self._gates[str(told["gate"])].wait()
        if "fail" in told:
            raise ValueError(told["fail"])
        if "broken" in told and told["broken"] not in self._mended:
            raise ValueError(f"{told['broken']} is broken")
        return dict(told.get("outputs", {}))

    def mend(self, what: str) -> None:
        """Let nodes succeed, from now on."""
        self._mended.add(what)

    def open(self, *gates: str) -> None:
        """Let nodes go on, from now on."""
        for gate in gates:
            self._gates[gate].set()


@attrs.frozen(kw_only=True)
class World:
    """An orchestrator, with what its nodes wait for."""

    leading: Leading
    registry: Registry
    told: Told
    address: str
    """Where clients reach it."""

    folder: Path
    """The data directory."""

    engine_address: str | None = None
    """Where the engine answers those who ask it; None if it does not listen."""


@asynccontextmanager
async def managed(
    folder: Path,
    transport: Callable[[], Transport],
    *,
    engine: bool = True,
    listens: bool = False,
    store: Store | None = None,
    gate: Callable[[Tokens], Gate] = OPEN,
) -> AsyncIterator[World]:
    """Run an orchestrator, and an engine that writes its logs to the same folder.

    Args:
        folder: the data directory of both.
        transport: makes the transport of either.
        engine: whether there is one.
        listens: whether it answers those who ask how it is.
        store: the orchestrator's; None keeps all in memory.
        gate: decides on callers, from the tokens that are stored.
    """
    registry, told = load_plugins().registry, Told()
    registry.executors.add(EXECUTOR, _factory(told))
    async with (
        lead(folder) as lock,
        open_leading(
            registry,
            data_dir=folder,
            owner=lock.owner,
            lease=30.0,
            transport=transport(),
            store=store or MemoryStore(),
            gate=gate,
        ) as leading,
        AsyncExitStack() as stack,
    ):
        await start(stack, Control(folder, lock.owner, partial(answer_beside, leading)))
        world = World(
            leading=leading,
            registry=registry,
            told=told,
            address=leading.addresses[0],
            folder=folder,
        )
        if not engine:
            yield world
            return
        async with open_engine(
            registry,
            Settings(data_dir=folder, parallel=4),
            identity=_identity(registry),
            transport=transport(),
            orchestrator=world.address,
            listens=listens,
        ) as working:
            while not leading.engines():  # noqa: ASYNC110 — that it is there is told to nobody
                await trio.sleep(0.01)
            yield attrs.evolve(world, engine_address=working.address)


def _identity(registry: Registry) -> Identity:
    return Identity(
        engine_id=ENGINE,
        instance="i",
        release="0",
        capacity=CAPACITY,
        executors=tuple(entry.name for entry in registry.executors),
        labels={"zone": "a"},
    )


def _factory(told: Told) -> Callable[[], Told]:
    class Same(Told):
        def __new__(cls) -> Any:
            return told

    return Same
