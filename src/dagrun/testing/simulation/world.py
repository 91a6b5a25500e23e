"""The processes of a simulation: started, killed, frozen, and started again."""

import functools
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.workflow import Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.plugin.registry import Registry
from dagrun.ports.executor import Context
from dagrun.ports.store import Definition, Registration
from dagrun.roles.engine import open_engine
from dagrun.roles.leading import Leading
from dagrun.roles.orchestrator import open_leading
from dagrun.services.attachment import Identity, Lease
from dagrun.settings import Settings
from dagrun.testing.simulation.calls import Call
from dagrun.testing.simulation.clock import VirtualClock
from dagrun.testing.simulation.disk import Disk, Medium
from dagrun.testing.simulation.freezer import Freezer
from dagrun.testing.simulation.machines import BEGIN, Child, Life, Machine
from dagrun.testing.simulation.network import Host, Network, SimulatedTransport
from dagrun.testing.simulation.workload import EXECUTOR, WORKFLOWS, Simulated, Spawn

T = TypeVar("T")

LEASE: Final = 3.0  # seconds
ORCHESTRATOR: Final = "orchestrator"
OWNER: Final = "orchestrator"
MOST_CRASHES: Final = 20


class World:
    """One orchestrator and some engines.

    Args:
        nursery: in which all of it runs.
        clock: by which it runs.
        folder: where engines may write.
        engines: how many there are.
        capacity: of each of them.
        seed: of all that is random.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        clock: VirtualClock,
        folder: Path,
        *,
        engines: int,
        capacity: int,
        seed: int,
    ) -> None:
        self.clock = clock
        self.network = Network(clock)
        self.store = MemoryStore()
        self.medium = Medium(self.store, clock)
        self.lines: list[str] = []
        self.problems: list[str] = []
        self.leading: Leading | None = None
        self._leads = trio.Event()
        self._nursery = nursery
        self._folder = folder
        self._capacity = capacity
        self._random = random.Random(seed)  # noqa: S311 — to be repeated
        self._instances = 0
        self._busy: Counter[str] = Counter()
        self._freezer = Freezer()
        self.machines = {
            name: Machine(name) for name in (ORCHESTRATOR, *(f"e{n}" for n in range(engines)))
        }

    async def register(self) -> None:
        """Keep all workflows, so that nodes can call them."""
        for registration, definition in _registrations():
            await self.store.register(registration, definition)

    async def leader(self) -> Leading:
        """Wait for an orchestrator, and give it."""
        while self.leading is None:
            await self._leads.wait()
        return self.leading

    def start(self, name: str) -> None:
        """Start the process of a machine, if it is not there."""
        machine = self.machines[name]
        if machine.life is None:
            machine.life = Life(Host(name))
            role = self._orchestrator if name == ORCHESTRATOR else self._engine
            self._nursery.start_soon(self._live, machine, machine.life, role)

    def kill(self, name: str, *, silently: bool) -> None:
        """End a process without a last word."""
        machine = self.machines[name]
        life, machine.life = machine.life, None
        if life is None:
            return
        life.killed = True
        life.kill_children()
        self._go_on(life)
        if life.disk is not None:
            life.disk.kill()
        self.network.die(life.host, silently=silently)
        if name == ORCHESTRATOR:
            self.leading = None
        life.scope.cancel()

    async def _live(
        self, machine: Machine, life: Life, role: Callable[[Machine, Life], Any]
    ) -> None:
        try:
            life.root = trio.lowlevel.current_task()
            with life.scope:
                async with trio.open_nursery() as life.nursery:
                    await role(machine, life)
        except BaseExceptionGroup as group:
            _, rest = group.split(trio.Cancelled)
            if rest is not None:
                self._crashed(machine, life, _described(rest))
        except Exception as error:  # noqa: BLE001 — whatever it is, it is what was looked for
            self._crashed(machine, life, repr(error))

    def _crashed(self, machine: Machine, life: Life, why: str) -> None:
        """Note that a process ended by itself, and start it again, so that the history goes on."""
        if not life.killed:
            self.problems.append(f"{machine.name} crashed: {why}")
            self.kill(machine.name, silently=False)
            if len(self.problems) < MOST_CRASHES:
                self.start(machine.name)

    async def _orchestrator(self, machine: Machine, life: Life) -> None:
        life.disk = Disk(self.medium)
        async with open_leading(
            registry_for(partial(self._spawn, life)),
            data_dir=self._folder,
            owner=OWNER,
            lease=LEASE,
            transport=SimulatedTransport(self.network, life.host),
            store=life.disk,  # type: ignore[arg-type]  # it passes all calls on
            now=machine.now,
            draw=self._random.random,
            draw_bytes=self._random.randbytes,
        ) as self.leading:
            self._leads.set()
            self._leads = trio.Event()
            await trio.sleep_forever()

    async def _engine(self, machine: Machine, life: Life) -> None:
        self._instances += 1
        identity = Identity(
            engine_id=machine.name,
            instance=f"i{self._instances}",
            release="0",
            capacity=self._capacity,
            executors=(EXECUTOR, "workflow"),
        )

        life.lease = Lease(trio.current_time)
        async with open_engine(
            registry_for(partial(self._spawn, life)),
            Settings(data_dir=self._folder, parallel=4),
            identity=identity,
            transport=SimulatedTransport(self.network, life.host),
            orchestrator=ORCHESTRATOR,
            lease=life.lease,
            draw=self._random.random,
            now=machine.now,
        ):
            await trio.sleep_forever()

    def _spawn(self, life: Life, context: Context, seconds: float) -> Child:
        """Start the process of a node. Two at once for the same node are a problem."""
        item = "-" if context.item_index is None else context.item_index
        what = f"{context.run_id} {context.node_id} {item}"
        key = f"{what} {context.attempt} {context.epoch}"
        self._busy[what] += 1
        if self._busy[what] > 1:
            self.problems.append(f"{what}: two engines carry it out at once")
        self.lines.append(f"{key} start")

        def over(child: Child) -> None:
            self._busy[what] -= 1
            del life.children[child]

        child = Child(self.clock, seconds, lambda: self.lines.append(f"{key} end"), over)
        life.children[child] = None
        return child

    async def ask(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call something in the orchestrator's process, which gives no answer if that is killed.

        Raises:
            DagrunError: it raised that.
        """
        life = self.machines[ORCHESTRATOR].life
        if life is None or life.nursery is None:
            return await trio.sleep_forever()
        call = Call(function, args)
        life.nursery.start_soon(call.run)
        return await call.answer()

    def freeze(self, name: str) -> None:
        """Let the process of a machine stand still."""
        life = self.machines[name].life
        if life is not None and life.root is not None:
            self._freezer.freeze(life.root)
            self._guard(life)

    def thaw(self, name: str) -> None:
        """Let the process of a machine go on."""
        life = self.machines[name].life
        if life is not None:
            self._go_on(life)

    def _go_on(self, life: Life) -> None:
        if life.root is not None:
            self._freezer.thaw(life.root)

    def _guard(self, life: Life) -> None:
        """Kill what a frozen engine has started when its lease is about to end, as its guard does."""
        if life.lease is None or life.root is None or life.killed:
            return
        due = life.lease.dead_at()
        if due <= trio.current_time():
            life.kill_children()
        elif due < math.inf and self._freezer.is_frozen(life.root):
            self.clock.call_at(due, partial(self._guard, life))

    def stall(self, name: str, *, up: bool, down: bool) -> None:
        """Let nothing arrive from an engine, or at it. What stood still goes on afterwards."""
        self.network.link(name, ORCHESTRATOR).stalled = up
        self.network.link(ORCHESTRATOR, name).stalled = down
        self.network.changed()

    def heal(self) -> None:
        """Let nothing be wrong any more."""
        for name in self.machines:
            self.thaw(name)
        self.network.heal()
        self.medium.mend()
        for name in self.machines:
            self.start(name)


@functools.cache
def _registrations() -> Sequence[tuple[Registration, Definition]]:
    """Give all workflows as the store keeps them."""
    return [_registered(workflow) for workflow, _ in WORKFLOWS]


def _registered(workflow: Workflow) -> tuple[Registration, Definition]:
    body = to_json(workflow)
    definition = Definition(hash=content_hash(body), body=body)
    registration = Registration(
        workflow_id=workflow.id,
        version=workflow.version,
        definition_hash=definition.hash,
        registered_at=BEGIN,
    )
    return registration, definition


@functools.cache
def _plugins() -> Registry:
    return load_plugins().registry


def registry_for(spawn: Spawn) -> Registry:
    """Give the plugins, and the executor of simulated nodes."""
    registry = Registry()
    for kept, shelf in zip(_plugins().shelves(), registry.shelves(), strict=True):
        shelf.put_back(kept.entries())
    registry.executors.add(EXECUTOR, _factory(spawn))
    return registry


def _factory(spawn: Spawn) -> Callable[[], Simulated]:
    """Give a factory with the traits of the class."""

    class Spawning(Simulated):
        def __init__(self) -> None:
            super().__init__(spawn)

    return Spawning


def _described(group: BaseExceptionGroup[BaseException]) -> str:
    leaves = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            leaves.append(repr(error))
    return ", ".join(leaves)
