"""What is posted to runs reaches them wherever they are, in one process or several."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import trio
import trio.testing

import dagrun
from dagrun import Node, Workflow
from dagrun.builtin.memory_store import MemoryStore
from dagrun.domain.events import Event, Type
from dagrun.ports.store import MessageKind, Registration
from dagrun.testing.gated import gated, rig


def told(r, posted):
    return [r.local.dispatcher.tell(one.run_id, one.message) for one in posted]


async def test_a_run_that_ends_a_moment_after_it_was_to_be_cancelled_is_cancelled(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        ticket = await r.submit(gated(), "a")
        other = await r.submit(gated(), "b")
        posted = await r.local.store.post(ticket.run_id, MessageKind.CANCEL)
        await r.finish("a", "b")  # the engine was not told in time
        assert await r.ended(ticket, other) == ["cancelled", "succeeded"]
        assert ticket.abandoned is None
        assert told(r, posted) == [False]


async def test_a_request_to_cancel_finds_a_run_that_waits_and_one_that_is_paused(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        paused = await r.paused("a")
        await r.submit(gated(), "b")
        waiting = await r.submit(gated(), "c")
        for ticket in (paused, waiting):
            assert told(r, await r.local.store.post(ticket.run_id, MessageKind.CANCEL)) == [True]
        assert await r.ended(paused, waiting) == ["cancelled", "cancelled"]
        assert r.gates.began == ["a", "b"]


async def test_a_paused_run_that_is_told_to_go_on_waits_for_its_turn(tmp_path):
    async with rig(tmp_path / "data", capacity=1) as r:
        paused = await r.paused("a")
        await r.submit(gated(), "b")
        told(r, await r.local.store.post(paused.run_id, MessageKind.RESUME))
        await trio.testing.wait_all_tasks_blocked()
        assert r.queued() == 1
        await r.finish("b")
        assert await r.ended(paused) == ["succeeded"]
        assert await r.local.store.messages(paused.run_id) == []


async def test_a_message_that_overtakes_another_is_no_loss(tmp_path):
    async with rig(tmp_path / "data") as r:
        ticket = await r.submit(gated(nodes=2), "a")
        (pause,) = await r.local.store.post(ticket.run_id, MessageKind.PAUSE)
        (resume,) = await r.local.store.post(ticket.run_id, MessageKind.RESUME)
        assert told(r, [resume, pause, resume]) == [True] * 3
        await r.finish("a")
        assert ticket.state.status == "paused"  # as it was told, in this order
        assert await r.local.resume(ticket.run_id)
        assert await r.ended(ticket) == ["succeeded"]


async def test_a_run_that_was_cut_off_while_it_was_cancelled_ends_when_that_is_asked_again(
    tmp_path,
):
    data, store = tmp_path / "data", MemoryStore()
    node = Node("call", executor=dagrun.sub_workflow("w"))
    async with rig(data, store=store) as first:
        await register(first.local, gated())
        parent = await first.submit(Workflow("calls", "1.0.0", nodes=[node]), "x")
        await trio.testing.wait_all_tasks_blocked(0.05)
    (child,) = await store.children(parent.run_id)
    before = await store.run(parent.run_id)
    now = datetime.now(UTC)
    await store.commit(
        [Event(before.run_id, before.last_seq + 1, before.epoch, Type.RUN_CANCELLING, now)]
    )
    async with rig(data, store=store) as second:
        assert not await second.local.cancel(parent.run_id)
        await second.local.dispatcher.ticket(parent.run_id).wait()
        for run_id in (child.run_id, parent.run_id):
            assert (await store.run(run_id)).status == "cancelled"


async def test_cancelling_a_parent_while_there_is_no_engine_reaches_its_paused_child(tmp_path):
    node = Node("call", executor=dagrun.sub_workflow("w"))
    async with rig(tmp_path / "data") as r:
        await register(r.local, gated(nodes=2))
        parent = await r.submit(Workflow("calls", "1.0.0", nodes=[node]), "x")
        await trio.testing.wait_all_tasks_blocked(0.05)
        (record,) = await r.local.store.children(parent.run_id)
        child = r.local.dispatcher.ticket(record.run_id)
        assert await r.local.pause(record.run_id)
        await r.finish("x")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (parent.engine, child.engine) == (None, None)
        (engine,) = r.local.engines
        r.local.dispatcher.remove_engine(engine)
        assert await r.local.cancel(parent.run_id)
        r.local.dispatcher.add_engine(engine)
        with trio.fail_after(5):
            assert await r.ended(parent, child) == ["cancelled", "cancelled"]


async def test_a_paused_run_is_cancelled_though_the_last_engine_goes_meanwhile(
    tmp_path, monkeypatch
):
    async with rig(tmp_path / "data") as r:
        paused = await r.paused("a")
        (engine,) = r.local.engines
        claim = r.local.store.claim

        async def claim_late(*args, **options):
            r.local.dispatcher.remove_engine(engine)
            return await claim(*args, **options)

        monkeypatch.setattr(r.local.store, "claim", claim_late)
        assert await r.local.cancel(paused.run_id)
        monkeypatch.undo()
        assert paused.engine is None
        r.local.dispatcher.add_engine(engine)
        with trio.fail_after(5):
            assert await r.ended(paused) == ["cancelled"]


@asynccontextmanager
async def apart(tmp_path):
    """Give a parent that waits, and its child, each in a process of its own."""
    data, store = tmp_path / "data", MemoryStore()
    node = Node("call", executor=dagrun.sub_workflow("w"))
    async with rig(data, store=store) as first:
        await register(first.local, gated())
        parent = await first.submit(Workflow("calls", "1.0.0", nodes=[node]), "x")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert first.gates.began == ["x"]
    (child,) = await store.children(parent.run_id)
    async with rig(data, store=store) as second, rig(data, store=store) as third:
        working = await second.local.go_on(child.run_id)
        waiting = await third.local.go_on(parent.run_id)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (second.gates.began, third.gates.began) == (["x"], [])
        yield second, working, third, waiting


async def register(local, workflow):
    prepared = await local.plans.prepare(workflow)
    registration = Registration(
        workflow_id=workflow.id,
        version=workflow.version,
        definition_hash=prepared.definition.hash,
        registered_at=datetime.now(UTC),
    )
    await local.store.register(registration, prepared.definition)


async def test_the_end_of_a_child_reaches_its_parent_in_another_process(tmp_path):
    async with apart(tmp_path) as (second, working, third, waiting):
        await second.finish("x")
        assert await second.ended(working) == ["succeeded"]
        assert await third.ended(waiting) == ["succeeded"]


async def test_cancelling_a_parent_reaches_its_child_in_another_process(tmp_path):
    async with apart(tmp_path) as (second, working, third, waiting):
        assert await third.local.cancel(waiting.run_id)
        assert await second.ended(working) == ["cancelled"]
        assert await third.ended(waiting) == ["cancelled"]


async def test_cancelling_a_parent_whose_process_has_ended_cancels_its_child_too(tmp_path):
    async with apart(tmp_path) as (second, working, third, waiting):
        store = third.local.store
        second.local.stop()
        third.local.stop()
    async with rig(tmp_path / "data", store=store) as fourth:
        assert await fourth.local.cancel(waiting.run_id)
        if (ticket := fourth.local.dispatcher.ticket(waiting.run_id)) is not None:
            await ticket.wait()
        for ticket in (working, waiting):
            assert (await store.run(ticket.run_id)).status == "cancelled"
