"""Many clients at once, over gRPC on loopback, and those who are slow, doubtful or too many."""

import gc
import random
import resource
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from dagrun.domain.events import RUN_ENDS
from dagrun.errors import ConflictError, QueueFull, sole
from dagrun.plugin.loading import load_plugins
from dagrun.ports.management import Wanted
from dagrun.services.monitor import BUFFER
from dagrun.testing.checker import check
from dagrun.testing.elsewhere import until
from dagrun.testing.managed import managed
from dagrun.testing.programs import LIMIT
from dagrun.testing.reached import calls, document, node
from dagrun_grpc.testing import connected, message
from dagrun_grpc.wire.dagrun import v1

RESOURCE_EXHAUSTED = 8  # what gRPC says where HTTP says 429
MIB = 1024 * 1024


def transport(**options):
    return load_plugins().registry.transports.get("grpc")(**options)


def memory():
    """Give the bytes that this process has in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def clients(address, count=1):
    """Reach an orchestrator on so many connections."""
    async with AsyncExitStack() as stack:
        grpc = await stack.enter_async_context(transport())
        yield [await stack.enter_async_context(grpc.manage(address)) for _ in range(count)]


@asynccontextmanager
async def world_of(folder, **options):
    try:
        with trio.fail_after(3 * LIMIT):
            async with managed(folder, lambda: transport(port=0), **options) as world:
                yield world
    except BaseExceptionGroup as group:
        raise sole(group) from None  # what failed, without all that is around it


LUA = {"id": "a", "executor": {"type": "lua", "code": "return {}"}}


async def test_a_hundred_submissions_at_once_with_one_key_are_one_run(opened):
    given, refused = [], []

    async def submit(client, key, inputs):
        try:
            run = await client.runs.start("w", inputs, idempotency_key=key)
            given.append((key, run.run_id))
        except ConflictError as error:
            refused.append(str(error))

    async with opened() as it, clients(it.leading.addresses[0], 10) as several:
        await several[0].workflows.register(document(LUA))
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(submit, several[number % 10], "same", {"n": 1})
                nursery.start_soon(submit, several[number % 10], "other", {"n": number})
        runs = dict(given)
        assert Counter(given) == {("same", runs["same"]): 100, ("other", runs["other"]): 1}
        assert len(refused) == 99
        assert all("'other'" in why for why in refused)
        records, _ = await it.leading.store.runs()
        assert {record.run_id for record in records} == set(runs.values())
        it.engine("e1")
        for run_id in runs.values():
            assert (await several[0].runs.wait(run_id)).status == "succeeded"


async def test_without_any_engine_runs_wait_up_to_the_queues_limit_and_lose_nothing(opened):
    async with (
        opened(queue_limit=3, lease=1.0) as it,
        clients(it.leading.addresses[0]) as (client,),
    ):
        await client.workflows.register(document(LUA))
        engine = it.engine("e1")
        await it.attached("e1")
        engine.kill()
        await it.attached()
        runs = [(await client.runs.start("w", idempotency_key=f"k{n}")).run_id for n in range(3)]
        with pytest.raises(QueueFull, match="3 runs wait already"):
            await client.runs.start("w")
        assert await status_of_start(it.port) == RESOURCE_EXHAUSTED
        await trio.sleep(1.5)  # a lease, and more
        for run_id in runs:
            told = await client.runs.explain(run_id)
            assert told.status == "queued"
            assert any("none is attached" in reason for reason in told.reasons)
        assert (await client.runs.start("w", idempotency_key="k0")).run_id == runs[0]
        with pytest.raises(ConflictError, match="'k0'"):
            await client.runs.start("w", {"n": 1}, idempotency_key="k0")
        it.engine("e2")
        for run_id in runs:
            assert (await client.runs.wait(run_id)).status == "succeeded"
        assert (await client.runs.start("w")).run_id not in runs


async def status_of_start(port):
    """Start a run by hand, and give the status that the wire says."""
    async with connected(port) as raw:
        await raw.begin()
        number = await raw.call("/dagrun.v1.ManagementService/StartRun")
        await raw.data(number, message(bytes(v1.StartRunRequest(workflow_id="w"))), end=True)
        return (await raw.status(number))[0]


async def test_who_follows_and_does_not_read_gets_a_gap_and_can_fill_it(tmp_path):
    async with world_of(tmp_path) as world, clients(world.address, 2) as (slow, other):
        async with slow.events.follow(Wanted()) as news:
            flood(world, 1500)
            before = memory()
            flood(world, 5000)
            await other.workflows.register(document())
            run = await other.runs.start("w")
            assert (await other.runs.wait(run.run_id)).status == "succeeded"
            assert memory() - before < 16 * MIB
            assert world.leading.monitor.statistics().waiting <= BUFFER
            seen = 0
            async for event in news:
                if event.type == "gap":
                    break
                seen += 1
        assert BUFFER <= seen < 10_000
        async with slow.events.follow(Wanted(run_id=run.run_id), after=event.data["after"]) as rest:
            types = [(await anext(rest)).type for _ in range(2)]
        assert types == ["run.queued", "run.running"]


async def test_a_thousand_subscribers_who_do_not_read_cost_a_bounded_memory_and_nobodys_time(
    tmp_path,
):
    async def follow(client, entered):
        async with client.events.follow(Wanted()):
            entered.append(client)
            await trio.sleep_forever()

    entered, heard = [], Counter()

    async def read(client, *, task_status):
        async with client.events.follow(Wanted(types=["flood"])) as news:
            task_status.started()
            async for _ in news:
                heard["flood"] += 1

    async with world_of(tmp_path) as world, clients(world.address, 22) as (reader, asks, *deaf):
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(follow, deaf[number % len(deaf)], entered)
            await nursery.start(read, reader)
            await until(lambda: len(entered) == 1000)
            flood(world, 1200)
            await until(lambda: heard["flood"] >= BUFFER)
            before = memory()
            for _ in range(5):
                flood(world, 50)
                began = trio.current_time()
                await asks.engines.list()
                assert trio.current_time() - began < 5
            assert memory() - before < 32 * MIB
            statistics = world.leading.monitor.statistics()
            assert statistics.subscribers == 1001
            assert statistics.waiting <= 1001 * BUFFER
            nursery.cancel_scope.cancel()
        await until(lambda: world.leading.monitor.statistics().subscribers == 0)


def flood(world, count):
    """Tell of so many things that belong to no run."""
    for _ in range(count):
        world.leading.monitor.announce("flood", data={"text": "x" * 10_000})


async def test_cancels_that_race_the_end_leave_one_end_that_all_agree_on(tmp_path):
    draw = random.Random(3)
    answers = {}

    async def race(client, other):
        run_id = (await client.runs.start("w")).run_id
        await trio.sleep(draw.uniform(0, 0.15))
        await cancel_thrice(client, other, run_id)

    async def cancel_thrice(client, other, run_id):
        changes = []

        async def cancel(who):
            changes.append((await who.runs.cancel(run_id)).changed)

        async with trio.open_nursery() as nursery:
            for who in (client, other, client):
                nursery.start_soon(cancel, who)
        answers[run_id] = changes

    nodes = [node("a"), node("b", "a"), node("c", "b")]
    async with world_of(tmp_path) as world, clients(world.address, 2) as (client, other):
        await client.workflows.register(document(*nodes))
        await client.workflows.register(document(node("a", gate="shut"), workflow_id="waits"))
        ended = (await client.runs.start("w")).run_id
        await client.runs.wait(ended)
        await cancel_thrice(client, other, ended)
        waits = (await client.runs.start("waits")).run_id
        await cancel_thrice(client, other, waits)
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(race, client, other)
        ends = {}
        for run_id, changes in answers.items():
            ends[run_id] = status = (await client.runs.wait(run_id)).status
            assert changes.count(True) == (status == "cancelled"), changes
            _, workflow = await client.workflows.get("waits" if run_id == waits else "w")
            assert check(workflow, await world.leading.store.events(run_id)) == []
        assert len(ends) == 62
        assert (ends[ended], ends[waits]) == ("succeeded", "cancelled")


async def test_cancelling_a_parent_cancels_the_child_that_runs_and_those_that_wait(
    opened, tmp_path
):
    wait = {"id": "a", "executor": {"type": "shell", "command": "echo >> $M; sleep 60"}}
    wait["executor"]["env"] = {"M": str(tmp_path / "marks")}
    async with opened() as it, clients(it.leading.addresses[0], 2) as (client, other):
        await client.workflows.register(document(wait, workflow_id="c"))
        each = {**calls("c"), "for_each": [1, 2, 3]}
        await client.workflows.register(document(each))
        it.engine("e1", "--capacity", "1")
        parent = await client.runs.start("w")
        await until((tmp_path / "marks").exists)
        children = [child.run.run_id for child in await client.runs.children(parent.run_id)]
        states = [str((await client.runs.get(child)).result.status) for child in children]
        assert sorted(states) == ["queued", "queued", "running"]
        async with trio.open_nursery() as nursery:
            for who in (client, other):
                nursery.start_soon(who.runs.cancel, parent.run_id)
        assert (await client.runs.wait(parent.run_id)).status == "cancelled"
        for run_id in [parent.run_id, *children]:
            assert (await client.runs.wait(run_id)).status == "cancelled"
            events = await it.journal(run_id)
            assert [event.type in RUN_ENDS for event in events].count(True) == 1
            _, workflow = await client.workflows.get("w" if run_id == parent.run_id else "c")
            assert check(workflow, events) == []
        assert len((tmp_path / "marks").read_text().splitlines()) == 1
