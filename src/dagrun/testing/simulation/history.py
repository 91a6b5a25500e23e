"""Play a script, and look at what came of it."""

import atexit
import functools
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.errors import ConflictError, DagrunError, NotFound
from dagrun.roles.leading import Leading
from dagrun.roles.submission import Submission
from dagrun.testing.checker import check
from dagrun.testing.effects import check_effects
from dagrun.testing.simulation.clock import VirtualClock
from dagrun.testing.simulation.faults import ActionKind, Ask, Fault, FaultKind, Script
from dagrun.testing.simulation.workload import WORKFLOWS
from dagrun.testing.simulation.world import LEASE, ORCHESTRATOR, World

PATIENCE: Final = 60 * LEASE  # seconds in which all runs must end once nothing is wrong any more
MEMORY: Final = "/dev/shm"  # noqa: S108 — only a parent for a folder of its own
LOOK: Final = 0.25  # seconds between looks whether they have


@attrs.define(eq=False)
class _Run:
    """A run that was accepted, and what is known of it."""

    ask: Ask
    run_id: RunId
    cancelled: bool = False
    """Whether a request to cancel it was accepted."""

    asked_to_cancel: bool = False


@attrs.define(eq=False)
class History:
    """What came of a script."""

    problems: list[str] = attrs.field(factory=list)
    """What is wrong; empty when all is well."""

    runs: int = 0
    events: int = 0
    epochs: int = 0
    """Hand-overs of all runs, the first of each not counted."""

    lines: Sequence[str] = ()
    journals: dict[RunId, Sequence[Event]] = attrs.field(factory=dict)


def simulate(script: Script) -> History:
    """Play a script from its beginning to the end of all its runs."""
    clock = VirtualClock()
    trio._core._run._r.seed(script.seed)  # noqa: SLF001 — trio shuffles what is ready
    return trio.run(_play, script, clock, clock=clock)


@functools.cache
def _folder() -> Path:
    """Give where engines may write, in memory if there is such a place. A history leaves nothing."""
    folder = tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    atexit.register(folder.cleanup)
    return Path(folder.name)


async def _play(script: Script, clock: VirtualClock) -> History:
    random.seed(script.seed)
    history = History()
    async with trio.open_nursery() as nursery:
        world = World(
            nursery,
            clock,
            _folder(),
            engines=script.engines,
            capacity=script.capacity,
            seed=script.seed,
        )
        await world.register()
        for name in world.machines:
            world.start(name)
        runs: list[_Run] = []
        async with trio.open_nursery() as script_nursery:
            for ask in script.runs:
                script_nursery.start_soon(_submit, world, ask, runs)
            for fault in script.faults:
                script_nursery.start_soon(_inflict, world, fault, script.engines)
        world.heal()
        await _wait_for_ends(world, history)
        await _judge(world, runs, history)
        nursery.cancel_scope.cancel()
    return history


async def _submit(world: World, ask: Ask, runs: list[_Run]) -> None:
    await world.clock.sleep(ask.at)
    workflow, _ = WORKFLOWS[ask.workflow % len(WORKFLOWS)]
    submission = Submission(workflow=workflow, inputs={})
    run = None
    while run is None:
        leading = await world.leader()
        with trio.move_on_after(LEASE):  # an orchestrator that was killed never answers
            try:
                run = _Run(ask, await world.ask(leading.submit, submission))
            except DagrunError:
                await world.clock.sleep(LOOK)
    runs.append(run)
    if ask.action is not None:
        await world.clock.sleep(ask.after)
        await _act(world, run, ask.action)


async def _act(world: World, run: _Run, action: ActionKind) -> None:
    run.asked_to_cancel = action is ActionKind.CANCEL
    leading = await world.leader()
    with trio.move_on_after(LEASE):
        try:
            if action is ActionKind.CANCEL:
                run.cancelled = await world.ask(leading.cancel, run.run_id)
            else:
                await world.ask(leading.pause, run.run_id)
        except DagrunError:
            return


async def _inflict(world: World, fault: Fault, engines: int) -> None:
    await world.clock.sleep(fault.at)
    name = ORCHESTRATOR if fault.target < 0 else f"e{fault.target % engines}"
    engine = f"e{max(fault.target, 0) % engines}"
    for _ in _carried_out(world, fault, name, engine):
        await world.clock.sleep(fault.seconds)


def _carried_out(world: World, fault: Fault, name: str, engine: str) -> Iterator[None]:
    """Begin a fault, and end it when its time is over."""
    match fault.kind:
        case FaultKind.KILL | FaultKind.VANISH:
            world.kill(name, silently=fault.kind is FaultKind.VANISH)
            yield
            world.start(name)
        case FaultKind.FREEZE:
            world.freeze(name)
            yield
            world.thaw(name)
        case FaultKind.CUT:
            world.network.cut(engine, ORCHESTRATOR)
        case FaultKind.STALL | FaultKind.DEAF | FaultKind.DUMB:
            world.stall(
                engine, up=fault.kind is not FaultKind.DEAF, down=fault.kind is not FaultKind.DUMB
            )
            yield
            world.stall(engine, up=False, down=False)
        case FaultKind.SLOW:
            for link in world.network.between(engine, ORCHESTRATOR):
                link.delay = 0.5
            yield
            for link in world.network.between(engine, ORCHESTRATOR):
                link.delay = 0.001
        case FaultKind.TWICE:
            world.network.link(engine, ORCHESTRATOR).twice = True
            yield
            world.network.link(engine, ORCHESTRATOR).twice = False
        case FaultKind.FULL:
            world.medium.full = True
            yield
            world.medium.mend()
        case FaultKind.BUSY:
            world.medium.hold()
            yield
            world.medium.mend()
        case FaultKind.CLOCK:
            world.machines[name].offset += fault.seconds


async def _wait_for_ends(world: World, history: History) -> None:
    """Wait until no run goes on; those that are paused are gone on with."""
    leading = await world.leader()
    with trio.move_on_after(PATIENCE) as patience:
        while unfinished := await world.store.unfinished(leading.owner):
            for record in unfinished:
                if record.status is RunStatus.PAUSED:
                    await _resume(world, leading, record.run_id)
            await world.clock.sleep(LOOK)
    if patience.cancelled_caught:
        for record in await world.store.unfinished(leading.owner):
            why = leading.dispatcher.explain(record.run_id)
            history.problems.append(
                f"run {record.run_id} ({record.workflow_id}) does not end: it is {record.status}"
                f" with {record.engine_id} in epoch {record.epoch}; {why}"
            )


async def _resume(world: World, leading: Leading, run_id: RunId) -> None:
    try:
        await world.ask(leading.resume, run_id)
    except (ConflictError, NotFound):
        return


async def _judge(world: World, runs: Sequence[_Run], history: History) -> None:
    history.problems += world.problems
    records, _ = await world.store.runs(limit=1000)
    by_id = {record.run_id: record for record in records}
    history.lines = world.lines
    workflows = {workflow.id: (workflow, ends) for workflow, ends in WORKFLOWS}
    for record in records:
        events = await world.store.events(record.run_id)
        history.journals[record.run_id] = events
        workflow, _ = workflows[record.workflow_id]
        history.problems += [
            f"run {record.run_id} ({record.workflow_id}): {problem}"
            for problem in check(workflow, events)
        ]
        history.epochs += events[-1].epoch - 1
    for run in runs:
        record_or_none = by_id.get(run.run_id)
        if record_or_none is None:
            history.problems.append(f"run {run.run_id} was accepted, and is lost")
            continue
        _, ends = workflows[record_or_none.workflow_id]
        status = record_or_none.status
        if status not in RUN_ENDED:
            continue  # told above
        if run.cancelled and status is not RunStatus.CANCELLED:
            history.problems.append(f"run {run.run_id} was cancelled, and has {status}")
        if status is RunStatus.CANCELLED and not run.asked_to_cancel:
            history.problems.append(f"run {run.run_id} is cancelled, and nobody asked for it")
        if status is not RunStatus.CANCELLED and status not in ends:
            history.problems.append(
                f"run {run.run_id} ({record_or_none.workflow_id}) has {status}: {record_or_none.error}"
            )
    events = [event for journal in history.journals.values() for event in journal]
    history.problems += check_effects(world.lines, events)
    history.runs, history.events = len(records), len(events)
