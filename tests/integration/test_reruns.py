"""Running runs again inside a Python program, on real files."""

import pytest
import trio

import dagrun
from dagrun import Node, Workflow

LIMIT = 30.0


@pytest.fixture
def opened(tmp_path):
    return lambda **options: dagrun.open_orchestrator(data_dir=tmp_path / "data", **options)


def counting(tmp_path, *, until="mended"):
    """Two nodes, each of which notes that it runs; the second needs a file."""

    def shell(line):
        note = f"echo $DAGRUN_NODE_ID >> {tmp_path}/ran"
        return dagrun.shell(f"{note}; {line}")

    return Workflow(
        "counting",
        "1.0.0",
        inputs={"type": "object", "properties": {"n": {"type": "integer"}}},
        outputs={"n": "${inputs.n}", "code": "${nodes.first.exit_code}"},
        nodes=[
            Node("first", executor=shell("true")),
            Node("second", dependencies=["first"], executor=shell(f"test -e {tmp_path}/{until}")),
            Node("third", dependencies=["second"], executor=shell("true")),
        ],
    )


def ran(tmp_path):
    """The nodes that ran since this was asked before."""
    file = tmp_path / "ran"
    names = file.read_text().split() if file.exists() else []
    file.write_text("")
    return names


async def test_a_retry_ends_with_the_outputs_of_a_run_that_succeeds_at_once(opened, tmp_path):
    with trio.fail_after(LIMIT):
        async with opened() as orchestrator:
            await orchestrator.register_workflow(counting(tmp_path))
            first = await orchestrator.execute_workflow("counting", {"n": 7})
            assert (first.status, ran(tmp_path)) == ("failed", ["first", "second"])
            (tmp_path / "mended").touch()
            second = await (await orchestrator.retry(first)).result()
            assert (second.status, second.outputs) == ("succeeded", {"n": 7, "code": 0})
            assert (second.rerun_of, second.node("first").kept_from) == (first.run_id,) * 2
            assert ran(tmp_path) == ["second", "third"]
            with pytest.raises(dagrun.ConflictError, match="runs rerun"):
                await orchestrator.retry(second.run_id)
            third = await (await orchestrator.rerun(second, from_node="third")).result()
            assert (third.status, ran(tmp_path)) == ("succeeded", ["third"])
            origins = [node.kept_from for node in third.nodes]
            assert origins == [first.run_id, second.run_id, None]
            whole = await (await orchestrator.rerun(third)).result()
            assert (whole.outputs, ran(tmp_path)) == (third.outputs, ["first", "second", "third"])
            with pytest.raises(dagrun.NotFound, match="no node 'fourth'"):
                await orchestrator.rerun(third, from_node="fourth")
            assert await orchestrator.get_run(first) == first
            listed, _ = await orchestrator.list_runs()
            assert [run.rerun_of for run in listed] == [
                third.run_id,
                second.run_id,
                first.run_id,
                None,
            ]


async def test_a_retry_that_is_cut_off_in_the_queue_goes_on_with_what_it_kept(opened, tmp_path):
    with trio.fail_after(LIMIT):
        async with opened(capacity=1) as orchestrator:
            await orchestrator.register_workflow(counting(tmp_path))
            first = await orchestrator.execute_workflow("counting", {"n": 7})
            ran(tmp_path)
            (tmp_path / "mended").touch()
            await orchestrator.register_workflow(blocking(tmp_path))
            queues = orchestrator.monitor.subscribe(types={"run.queued"})
            async with queues as events, trio.open_nursery() as nursery:
                nursery.start_soon(orchestrator.execute_workflow, "blocking")
                await anext(events)
                nursery.start_soon(orchestrator.retry, first.run_id)
                queued = await anext(events)
                assert queued.data["rerun_of"] == first.run_id
                nursery.cancel_scope.cancel()
        (tmp_path / "open").touch()
        async with opened() as orchestrator:
            (retried,) = await orchestrator.recover(workflow_id="counting")
            result = await retried.result()
            assert (result.status, result.rerun_of) == ("succeeded", first.run_id)
            assert result.node("first").kept_from == first.run_id
            assert ran(tmp_path) == ["second", "third"]


def blocking(tmp_path):
    wait = dagrun.shell(f"while ! test -e {tmp_path}/open; do sleep 0.05; done")
    return Workflow("blocking", "1.0.0", nodes=[Node("a", executor=wait)])


async def test_a_retry_that_waits_for_a_place_keeps_its_outputs_on_the_disk_only(opened, tmp_path):
    with trio.fail_after(LIMIT):
        async with opened(capacity=1) as orchestrator:
            await orchestrator.register_workflow(counting(tmp_path))
            await orchestrator.register_workflow(blocking(tmp_path))
            first = await orchestrator.execute_workflow("counting", {"n": 7})
            ran(tmp_path)
            (tmp_path / "mended").touch()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(orchestrator.execute_workflow, "blocking")
                async with orchestrator.monitor.subscribe(types={"run.running"}) as events:
                    await anext(events)
                second = await orchestrator.retry(first, priority=3)
                listed, _ = await orchestrator.list_runs(workflow_id="counting", status="queued")
                assert [run.rerun_of for run in listed] == [first.run_id]
                (tmp_path / "open").touch()
                result = await second.result()
            assert (result.status, result.outputs) == ("succeeded", {"n": 7, "code": 0})
            assert ran(tmp_path) == ["second", "third"]


def test_a_program_that_is_not_async_runs_runs_again(tmp_path):
    with dagrun.open_sync_orchestrator(data_dir=tmp_path / "data", store="memory") as orchestrator:
        orchestrator.register_workflow(counting(tmp_path))
        first = orchestrator.execute_workflow("counting", {"n": 1})
        (tmp_path / "mended").touch()
        run = orchestrator.retry(first, idempotency_key="k")
        second = run.result()
        assert (second.status, second.rerun_of) == ("succeeded", first.run_id)
        assert orchestrator.retry(first, idempotency_key="k").run_id == run.run_id
        third = orchestrator.rerun(run, from_node="second").result()
        assert [node.kept_from for node in third.nodes] == [first.run_id, None, None]
