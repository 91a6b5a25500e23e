"""What an orchestrator finds in its store when it begins, and goes on with."""

from contextlib import asynccontextmanager

import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.domain import decide
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.status import RunStatus
from dagrun.ports.store import Slot
from dagrun.roles.submission import Submission
from dagrun.testing.managed import EXECUTOR, managed
from dagrun.testing.seeds import Seeds, begun, now, told

SOON = 8.0  # seconds that all that a test waits for may take


@asynccontextmanager
async def begin_anew(tmp_path, store, **options):
    """Run an orchestrator with what is in a store."""
    hub = Hub()
    with trio.fail_after(SOON):
        async with managed(
            tmp_path / "data", lambda: MemoryTransport(hub=hub), store=store, **options
        ) as world:
            yield world.leading


def ending(state):
    for work in begun(state):
        decide.succeed(state, work, EMPTY, now())
    assert state.status is RunStatus.ENDING


async def test_a_run_that_was_cut_off_within_its_handlers_ends_for_a_newer_one(tmp_path):
    newest = told(
        "a",
        concurrency={"key": "k", "limit": 1, "on_limit": "cancel_oldest"},
        handlers={"exit": {"executor": {"type": EXECUTOR}}},
    )
    store = MemoryStore()
    dead = await Seeds(store).put(newest, owner="dead", go=ending)
    assert await store.admit(dead.run_id, Slot(key="w/k", limit=1))
    async with begin_anew(tmp_path, store) as leading:
        run_id = await leading.submit(Submission(workflow=newest, inputs={}))
        assert (await leading.result(run_id)).status is RunStatus.SUCCEEDED
        assert (await store.run(dead.run_id)).status is RunStatus.SUCCEEDED
