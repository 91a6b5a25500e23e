"""Run workflows on an engine in another process, over gRPC, and take the time."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import trio

from benchmarks.measure import NOOP, chain
from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain.events import Event, Type
from dagrun.domain.ids import run_id
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Durability, ExecutorSpec, Node, Requirements, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.ports.store import Definition, NewRun
from dagrun.roles.configured import open_configured_orchestrator
from dagrun.roles.leading import Leading
from dagrun.roles.local import DATABASE, Submission, open_local
from dagrun.settings import Settings
from dagrun.settings.orchestrator import OrchestratorSettings

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
WHEN = ExecutorSpec(
    type="python", options={"callable": "benchmarks.nodes:when", "isolation": "inline"}
)
CAPACITY = 1000
QUEUED = 100_000
BATCH = 500


@contextmanager
def engine(folder: Path, address: str, capacity: int = CAPACITY) -> Any:
    """Run an engine in a process of its own."""
    argv = [sys.executable, "-m", "dagrun", "engine", "--engine-id", "e1"]
    argv += ["--orchestrator", address, "--capacity", str(capacity)]
    argv += ["--data-dir", str(folder / "engine")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def with_engine(use: Callable[[Leading], Awaitable[T]], **settings: Any) -> T:
    """Open an orchestrator on a fresh data directory, with one engine, and use it."""

    async def call(folder: Path) -> T:
        chosen = OrchestratorSettings(
            data_dir=folder / "data", grpc_port=0, lease=60.0, queue_limit=10 * QUEUED, **settings
        )
        async with open_configured_orchestrator(load_plugins().registry, chosen) as leading:
            with engine(folder, leading.addresses[0]):
                while not leading.engines():  # noqa: ASYNC110 — another process does it
                    await trio.sleep(0.02)
                return await use(leading)

    with tempfile.TemporaryDirectory() as folder:
        return trio.run(call, Path(folder))


def seconds_of(workflow: Workflow, *, runs: int = 1, warm: Workflow) -> float:
    """Run a workflow, some times at once, as the function of the same name does embedded."""

    async def use(leading: Leading) -> float:
        await _run(leading, warm)
        await leading.plans.prepare(workflow)
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(runs):
                nursery.start_soon(_wait_for_end, leading, workflow)
        return time.perf_counter() - start

    return with_engine(use)


def first_node_latencies(samples: int, *, queued: int = 0) -> list[float]:
    """Give the seconds between submissions and the calls of their first nodes.

    Args:
        samples: how many.
        queued: runs that wait meanwhile for an engine that there is not.
    """

    async def use(leading: Leading) -> list[float]:
        await _run(leading, _when())
        await _queue(leading, queued)
        found = []
        for _ in range(samples):
            start = time.perf_counter()
            result = await _run(leading, _when())
            found.append(result.outputs["at"] - start)
        return found

    return with_engine(use)


def queue_memory() -> float:
    """Give the megabytes that queued runs add to an orchestrator. Takes a process of its own."""

    async def use(leading: Leading) -> float:
        await _run(leading, _when())
        before = _resident()
        await _queue(leading, QUEUED)
        return _resident() - before

    return with_engine(use)


def ended_seconds(ended: int, *, runs: int) -> float:
    """Give the seconds that a run takes, embedded, in a database with runs that have ended."""

    async def call(folder: Path) -> float:
        await _fill(folder / DATABASE, ended)
        workflow = chain(3, NOOP, Durability.BATCHED)
        async with open_local(
            load_plugins().registry, Settings(data_dir=folder, parallel=8)
        ) as local:
            await local.plans.prepare(workflow)

            async def one() -> None:
                ticket = await local.submit(Submission(workflow=workflow, inputs={}))
                await ticket.wait()

            await one()
            start = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(runs):
                    nursery.start_soon(one)
            return (time.perf_counter() - start) / runs

    with tempfile.TemporaryDirectory() as folder:
        return trio.run(call, Path(folder))


def quantile(values: list[float], share: float) -> float:
    """Give the value that a share of all is not above."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def _when() -> Workflow:
    return Workflow(
        "when", "1.0.0", nodes=[Node("a", executor=WHEN)], outputs={"at": "${nodes.a.at}"}
    )


async def _run(leading: Leading, workflow: Workflow) -> Any:
    found = await leading.submit(Submission(workflow=workflow, inputs={}))
    result = await leading.result(found)
    if result.status is not RunStatus.SUCCEEDED:
        raise RuntimeError(result.error)
    return result


async def _wait_for_end(leading: Leading, workflow: Workflow) -> None:
    found = await leading.submit(Submission(workflow=workflow, inputs={}))
    ticket = leading.dispatcher.ticket(found)
    if ticket is not None:
        await ticket.wait()


async def _queue(leading: Leading, count: int) -> None:
    """Submit runs that no engine can be given."""
    nowhere = Requirements(labels={"nowhere": "yes"})
    workflow = Workflow("waits", "1.0.0", nodes=[Node("a", executor=NOOP, requires=nowhere)])

    async def one() -> None:
        await leading.submit(Submission(workflow=workflow, inputs={}))

    for _ in range(0, count, BATCH):
        async with trio.open_nursery() as nursery:
            for _ in range(BATCH):
                nursery.start_soon(one)


async def _fill(path: Path, ended: int) -> None:
    workflow = chain(3, NOOP, Durability.BATCHED)
    body = to_json(workflow)
    definition = Definition(hash=content_hash(body), body=body)
    begin = datetime.now(UTC) - timedelta(days=1)
    async with SqliteStore(path=path) as store:
        for first in range(0, ended, BATCH):
            runs = [
                _ended(begin + timedelta(milliseconds=number), number, definition)
                for number in range(first, min(first + BATCH, ended))
            ]
            await store.commit(
                [event for _, events in runs for event in events],
                new_runs=[run for run, _ in runs],
                definitions=[definition],
            )


def _ended(at: datetime, number: int, definition: Definition) -> tuple[NewRun, list[Event]]:
    found = run_id(at, number.to_bytes(10, "big"))
    kinds: list[tuple[Type, str | None]] = [(Type.RUN_QUEUED, None), (Type.RUN_RUNNING, None)]
    for name in ("n0", "n1", "n2"):
        kinds += [(Type.NODE_RUNNING, name), (Type.NODE_SUCCEEDED, name)]
    kinds.append((Type.RUN_SUCCEEDED, None))
    events = [
        Event(
            found,
            seq,
            1,
            kind,
            at,
            node,
            None,
            None if node is None else 1,
            {"outputs": EMPTY} if kind in (Type.NODE_SUCCEEDED, Type.RUN_SUCCEEDED) else None,
        )
        for seq, (kind, node) in enumerate(kinds, 1)
    ]
    run = NewRun(
        run_id=found,
        workflow_id="chain",
        version="1.0.0",
        definition_hash=definition.hash,
        inputs=EMPTY,
        owner="gone",
        created_at=at,
    )
    return run, events


def _resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    print(queue_memory())
