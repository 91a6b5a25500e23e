"""How a child run is started where runs are accepted."""

from datetime import UTC, datetime

import attrs
import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.jsonvalue import EMPTY
from dagrun.errors import NodeError, StoreBusy, StoreFull
from dagrun.ports.children import ChildRequest
from dagrun.ports.store import Registration
from dagrun.roles.children import StoredChildren
from dagrun.roles.registrations import Registrations
from dagrun.testing.seeds import Seeds, begun, told

READS = ["run", "registrations", "definition"]


class Seeding:
    """Accepts runs."""

    def __init__(self, seeds):
        self._seeds = seeds

    async def submit_child(self, submission):
        state = await self._seeds.put(submission.workflow, parent=submission.parent)
        return state.run_id

    async def attach_child(self, run_id):
        pass


async def family(store):
    """Give a run, and what it asks for."""
    seeds = Seeds(store)
    child = await seeds.put(told("c", workflow_id="child"))
    record = await store.run(child.run_id)
    registration = Registration(
        workflow_id="child",
        version="1.0.0",
        definition_hash=record.definition_hash,
        registered_at=datetime.now(UTC),
    )
    await store.register(registration, await store.definition(record.definition_hash))
    parent = await seeds.put(told("a"), go=begun)
    children = StoredChildren(store, Registrations(store))
    children.runs = Seeding(seeds)
    return children, ChildRequest(
        parent=parent.run_id,
        epoch=1,
        node_id="a",
        item=None,
        attempt=1,
        workflow_id="child",
        version=None,
        inputs=EMPTY,
    )


@pytest.mark.parametrize("error", [StoreBusy, StoreFull])
@pytest.mark.parametrize("read", READS)
async def test_a_child_is_started_when_the_store_answers_again(
    read, error, monkeypatch, autojump_clock
):
    store, busy_until = MemoryStore(), trio.current_time() + 60
    children, request = await family(store)
    answer = getattr(store, read)

    async def answer_late(*args):
        if trio.current_time() < busy_until:
            raise error("it is held")
        return await answer(*args)

    monkeypatch.setattr(store, read, answer_late)
    child = await children.start(request)
    assert trio.current_time() >= busy_until
    assert [run.run_id for run in await store.children(request.parent)] == [child.run_id]


async def test_the_child_that_an_attempt_started_is_found_without_reading_all(monkeypatch):
    store = MemoryStore()
    children, request = await family(store)
    child = await children.start(request)
    await store.claim(request.parent, owner="orchestrator", expected_epoch=1)
    monkeypatch.delattr(MemoryStore, "children")
    again = attrs.evolve(request, epoch=2)
    assert await children.start(again) == child
    assert await children.start(attrs.evolve(again, item=1)) != child


async def test_a_child_that_is_asked_for_again_is_given_though_its_workflow_is_gone():
    store = MemoryStore()
    children, request = await family(store)
    child = await children.start(request)
    await store.unregister("child", ["1.0.0"])
    assert await children.start(request) == child
    with pytest.raises(NodeError, match="no workflow 'child' is registered"):
        await children.start(attrs.evolve(request, item=1))
