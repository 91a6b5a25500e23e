"""Events inside a Python program: what it hears of its runs, live and later, and when that ends."""

import threading

import pytest
import trio
import trio.testing

import dagrun
from dagrun import Node, RetryPolicy, Workflow
from dagrun.testing.adding import adder
from dagrun.testing.elsewhere import until


async def test_events_of_runs_and_of_the_program_are_told_with_their_severity(data_dir):
    async with (
        dagrun.open_orchestrator(data_dir=data_dir) as orchestrator,
        orchestrator.monitor.subscribe() as everything,
    ):
        async with orchestrator.monitor.subscribe(min_severity="warning") as trouble:
            await orchestrator.register_workflow(
                Workflow(
                    "flaky",
                    "1.0.0",
                    nodes=[
                        Node(
                            "a",
                            executor=dagrun.shell("exit 1"),
                            retry=RetryPolicy(max_attempts=2, first_delay=0),
                        )
                    ],
                )
            )
            await orchestrator.execute_workflow("flaky")
            seen = [await anext(trouble) for _ in range(3)]
        assert [(e.type, e.severity) for e in seen] == [
            ("node.retrying", "warning"),
            ("node.failed", "error"),
            ("run.failed", "error"),
        ]
        registered = await anext(everything)
        assert (registered.type, registered.workflow_id) == ("workflow.registered", "flaky")
        assert (await anext(everything)).type == "run.queued"


async def test_events_are_the_same_live_and_from_the_store(data_dir, tmp_path):
    waiting = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"
    two = Workflow(
        "two",
        "1.0.0",
        nodes=[
            Node("a", executor=dagrun.shell(waiting)),
            Node("b", executor=dagrun.lua("error('no')"), dependencies=["a"], allow_failure=True),
            Node("c", executor=dagrun.shell("true"), dependencies=["b"]),
        ],
    )
    async with (
        dagrun.open_orchestrator(data_dir=data_dir, engines=2) as orchestrator,
        orchestrator.monitor.subscribe(types=["run", "node"]) as live,
    ):
        await orchestrator.register_workflow(two)
        async with orchestrator.monitor.subscribe(types=["run.paused"]) as paused:
            runs = [await orchestrator.start_workflow("two") for _ in range(2)]
            await orchestrator.pause(runs[0].run_id)
            await anext(paused)
        (tmp_path / "go").touch()
        await runs[1].result()
        ticket = orchestrator._local.dispatcher.ticket(runs[0].run_id)
        await until(lambda: ticket.engine is None)  # it has given the run back
        await orchestrator.resume(runs[0].run_id)
        assert [(await run.result()).status for run in runs] == ["succeeded"] * 2
        told = [await anext(live) for _ in range(live.waiting)]
        for start in range(len(told)):
            after = str(int(told[start].id) - 1)
            async with orchestrator.monitor.subscribe(after=after) as events:
                assert [await anext(events) for _ in told[start:]] == told[start:]
    assert {e.engine_id is None for e in told if e.type.startswith("node")} == {False}
    assert {e.engine_id for e in told if e.type == "run.queued"} == {None}
    assert len([e for e in told if e.type == "run.queued"]) == 3


async def test_the_first_event_after_opening_says_how_far_the_database_was(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(adder())
        await orchestrator.execute_workflow("adder", {"n": 1})
        async with orchestrator.monitor.subscribe(types=["run.succeeded"], after="0") as events:
            last = (await anext(events)).id
    async with (
        dagrun.open_orchestrator(data_dir=data_dir) as orchestrator,
        orchestrator.monitor.subscribe() as events,
    ):
        await orchestrator.register_workflow(adder("1.0.1"))
        announced = await anext(events)
        assert announced.id.partition(".")[0] == last
        async with orchestrator.monitor.subscribe(after=announced.id) as behind:
            await orchestrator.execute_workflow("adder", {"n": 1})
            assert (await anext(behind)).type == "run.queued"


async def test_a_subscriber_outside_of_the_block_ends_with_the_last_event(data_dir):
    slow = Workflow("slow", "1.0.0", nodes=[Node("a", executor=dagrun.shell("sleep 60"))])
    seen = {}

    async def watch(orchestrator, after, *, task_status):
        async with orchestrator.monitor.subscribe(after=after, types=["run"]) as events:
            task_status.started()
            seen[after] = [event.type async for event in events]

    with trio.fail_after(30):
        async with (
            trio.open_nursery() as nursery,
            dagrun.open_orchestrator(data_dir=data_dir) as orchestrator,
        ):
            await orchestrator.register_workflow(slow)
            for after in (None, "0"):
                await nursery.start(watch, orchestrator, after)
            run = await orchestrator.start_workflow("slow")
            await trio.testing.wait_all_tasks_blocked()
            await orchestrator.pause(run.run_id)
    expected = ["run.queued", "run.running", "run.paused"]
    assert seen == {None: expected, "0": expected}


def test_a_thread_that_iterates_over_events_ends_when_the_orchestrator_is_closed(data_dir):
    seen = []

    def watch(orchestrator, subscribed):
        with orchestrator.subscribe(types=["run"]) as events:
            subscribed.set()
            seen.extend(event.type for event in events)
        seen.append("left")

    with dagrun.open_sync_orchestrator(data_dir=data_dir) as orchestrator:
        subscribed = threading.Event()
        thread = threading.Thread(target=watch, args=(orchestrator, subscribed))
        thread.start()
        subscribed.wait(10)
        orchestrator.register_workflow(adder())
        orchestrator.execute_workflow("adder", {"n": 1})
    thread.join(10)
    assert not thread.is_alive()
    assert seen == ["run.queued", "run.running", "run.succeeded", "left"]
    with pytest.raises(RuntimeError, match="closed"), orchestrator.subscribe():
        pass
