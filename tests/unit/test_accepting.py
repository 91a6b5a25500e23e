"""How many runs an orchestrator accepts."""

from datetime import UTC, datetime
from os import urandom

import pytest
import trio
import trio.testing

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.workflow import Node, Workflow
from dagrun.errors import QueueFull
from dagrun.plugin.loading import load_plugins
from dagrun.roles.accepting import Accepting
from dagrun.roles.submission import Submission
from dagrun.services.plans import NothingToOpen, Plans

LIMIT = 2
WORKFLOW = Workflow("w", "1.0.0", nodes=[Node("a", executor={"type": "shell", "command": "true"})])


class SlowPlans(Plans):
    """Takes a while to prepare anything."""

    def __init__(self):
        super().__init__(load_plugins().registry, NothingToOpen(), NothingToOpen())
        self.go_on = trio.Event()

    async def prepare(self, workflow):
        await self.go_on.wait()
        return await super().prepare(workflow)


class Dispatcher:
    """Counts what waits: no engine takes anything."""

    queued = 0

    def is_full(self, limit, *, coming=0):
        return self.queued + coming >= limit

    def adopt(self, ticket):
        pass

    def enqueue(self, ticket):
        self.queued += 1


class Journal:
    """Stores at once."""

    async def submit(self, new_run, definition, events):
        await trio.lowlevel.checkpoint()
        return new_run.run_id


async def test_submissions_whose_workflow_is_being_prepared_count_for_the_limit():
    plans, dispatcher = SlowPlans(), Dispatcher()
    accepting = Accepting(
        store=MemoryStore(),
        plans=plans,
        journal=Journal(),
        dispatcher=dispatcher,
        owner="me",
        limit=LIMIT,
        now=lambda: datetime.now(UTC),
        draw_bytes=urandom,
    )
    full = 0

    async def submit():
        nonlocal full
        try:
            await accepting.submit(Submission(workflow=WORKFLOW, inputs={}))
        except QueueFull:
            full += 1

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(submit)
        await trio.testing.wait_all_tasks_blocked()
        plans.go_on.set()
    assert (dispatcher.queued, full) == (LIMIT, 3)
    with pytest.raises(QueueFull):
        await accepting.submit(Submission(workflow=WORKFLOW, inputs={}))
