"""Runs that come and go, and what is remembered of them."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import attrs
import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import EMPTY
from dagrun.domain.remembered import LEAST, MOST_BYTES, Remembered, is_small
from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.state import RunState
from dagrun.domain.workflow import Node, Workflow
from dagrun.plugin.loading import load_plugins
from dagrun.ports.frames import Dispatch, Why
from dagrun.ports.store import Definition, Registration
from dagrun.roles.engine import open_engine
from dagrun.roles.orchestrator import open_leading
from dagrun.roles.submission import Submission
from dagrun.services.attachment import Identity
from dagrun.services.attachment.outbox import Outbox
from dagrun.services.attachment.runs import HeldRuns
from dagrun.settings.engine import EngineSettings
from dagrun.testing.drive import Driver, make_node, make_plan

CHILDREN = 30
CHILD = Workflow("child", "1.0.0", nodes=[Node("a", executor={"type": "lua", "code": ""})])
PARENT = Workflow(
    "parent",
    "1.0.0",
    nodes=[
        Node(
            "each",
            executor={"type": "workflow", "id": "child"},
            inputs={},
            for_each=list(range(CHILDREN)),
            max_parallel=1,
        )
    ],
)


def test_the_oldest_is_forgotten_for_the_newest():
    known = Remembered(3 * LEAST)
    for name in "abc":
        known.put(RunId(name), name, 1)
    known.put(RunId("a"), "A", 1)
    known.put(RunId("d"), "d", LEAST)
    assert [known.take(RunId(name)) for name in "abcd"] == ["A", None, "c", "d"]
    assert len(known) == 0


def test_one_of_many_events_leaves_room_for_few_others():
    known = Remembered(3 * LEAST)
    known.put(RunId("a"), "a", 1)
    known.put(RunId("b"), "b", 3 * LEAST)
    assert [known.take(RunId(name)) for name in "ab"] == [None, "b"]
    known.put(RunId("c"), "c", 3 * LEAST + 1)
    assert len(known) == 0
    known.put(RunId("d"), "d", 1)
    assert known.take(RunId("d")) == "d"


def test_a_run_with_much_to_keep_is_none_to_be_remembered():
    state = RunState(make_plan(make_node("a")), RunId("r"), EMPTY)
    assert is_small(state)
    state.output_bytes = MOST_BYTES
    assert not is_small(state)


class Engine:
    """Takes a run, and gives it back."""

    def __init__(self):
        self.state = None

    def holding(self, run_id):
        return None

    def abandon(self, run_id, why):
        pass

    def execute(self, state, *, epoch, messages, lost):
        self.state = state


class Uplink:
    def call_when_unsent(self, wake):
        pass

    def refuse(self, run_id):
        pass

    def continue_from(self, run_id, seq):
        pass

    def take_report(self):
        return None


@attrs.define
class Parked:
    """An engine that gave a run back which waits for a child."""

    runs: HeldRuns
    driver: Driver

    async def take(self, epoch, events):
        """Dispatch the run, and give what the engine executes, or why it does not."""
        dispatch = Dispatch(
            run_id=RunId("r"),
            epoch=epoch,
            definition_hash="",
            definition=b"",
            inputs=EMPTY,
            events=tuple(events),
        )
        self.runs.engine.state = None
        self.runs._outbox.clear()
        await self.runs.take(dispatch)
        if self.runs.engine.state is not None:
            return self.runs.engine.state
        (frame,) = await self.runs._outbox.take()
        return frame.why


@pytest.fixture
def parked():
    plan = make_plan(make_node("a"))
    driver = Driver(plan).begin().wait("a", "child")
    uplink = Uplink()

    async def compile_plan(_definition):
        return plan

    runs = HeldRuns(uplink=uplink, outbox=Outbox(uplink, uplink), compile_plan=compile_plan)
    runs.engine = Engine()
    runs.left(driver.state, None)
    return Parked(runs, driver)


async def test_a_run_that_comes_back_goes_on_from_what_is_remembered_of_it(parked):
    state = await parked.take(2, parked.driver.journal[-1:])
    assert state is parked.driver.state


async def test_what_is_new_of_a_run_that_comes_back_happens_to_what_is_remembered(parked):
    state, known = parked.driver.state, len(parked.driver.journal)
    fresh = Driver(state.plan, events=list(parked.driver.journal)).begin()
    assert await parked.take(3, fresh.journal[known - 1 :]) is state
    assert (state.seq, state.epoch) == (len(fresh.journal), 2)


async def test_a_run_that_comes_with_its_whole_journal_is_made_anew(parked):
    state = await parked.take(2, parked.driver.journal)
    assert state is not parked.driver.state
    assert state.seq == len(parked.driver.journal)


async def test_the_rest_of_a_journal_whose_beginning_is_forgotten_is_of_no_use(parked):
    assert await parked.take(2, parked.driver.journal[-1:]) is parked.driver.state
    assert await parked.take(3, parked.driver.journal[-1:]) is Why.UNUSABLE
    assert (await parked.take(4, parked.driver.journal)).seq == len(parked.driver.journal)


class Counting(MemoryStore):
    """Notes how many events of a run are read each time."""

    def __init__(self):
        super().__init__()
        self.read = {}

    async def events(self, run_id, *, after=0):
        events = await super().events(run_id, after=after)
        self.read.setdefault(run_id, []).append(len(events))
        return events


@asynccontextmanager
async def one_place(folder, store):
    """Run an orchestrator, and an engine with one place."""
    registry, transport = load_plugins().registry, MemoryTransport(hub=Hub())
    identity = Identity(
        engine_id="e", instance="i", release="0", capacity=1, executors=("lua", "workflow")
    )
    async with open_leading(
        registry, data_dir=folder, owner="o", lease=60.0, transport=transport, store=store
    ) as leading:
        for workflow in (CHILD, PARENT):
            body = to_json(workflow)
            definition = Definition(hash=content_hash(body), body=body)
            registration = Registration(
                workflow_id=workflow.id,
                version=workflow.version,
                definition_hash=definition.hash,
                registered_at=datetime.now(UTC),
            )
            await store.register(registration, definition)
        async with open_engine(
            registry,
            EngineSettings(data_dir=folder / "engine", parallel=1),
            identity=identity,
            transport=transport,
            orchestrator=leading.addresses[0],
        ):
            yield leading


async def test_each_return_of_a_run_that_starts_many_others_costs_the_same(tmp_path):
    store = Counting()
    with trio.fail_after(60):
        async with one_place(tmp_path, store) as leading:
            run_id = await leading.submit(Submission(workflow=PARENT, inputs={}))
            assert (await leading.result(run_id)).status == "succeeded"
            returns = store.read[run_id][:-1]  # the last one was for the result
    journal = await store.events(run_id)
    assert sum(event.type is Type.RUN_RUNNING for event in journal) == CHILDREN + 1
    assert len(returns) == 2 * CHILDREN
    assert max(returns) < 10 < len(journal)
