"""dagrun inside a Python program, on real files, with the public names only."""

import json
import threading

import pytest
import trio
import trio.testing

import dagrun
from dagrun import Node, Workflow
from dagrun.services import retention
from dagrun.testing.adding import adder
from dagrun.testing.http_server import json_answer, serving


def failing():
    return Workflow("failing", "1.0.0", nodes=[Node("a", executor=dagrun.shell("exit 3"))])


async def test_a_workflow_is_registered_and_executed(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        registered = await orchestrator.register_workflow(adder(), metadata={"team": "data"})
        assert (registered.workflow_id, registered.version, registered.created) == (
            "adder",
            "1.0.0",
            True,
        )
        result = await orchestrator.execute_workflow("adder", {"n": 41})
    assert (result.status, result.outputs, result.error) == ("succeeded", {"n": 42}, None)
    assert result.node("add").outputs == {"n": 42}
    assert result.raise_for_status() is result
    assert result.duration > 0
    with pytest.raises(KeyError):
        result.node("other")


async def test_a_failed_run_is_told_and_raised_only_when_asked(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(failing)
        result = await orchestrator.execute_workflow("failing")
        assert result.status == "failed"
        with pytest.raises(dagrun.RunFailed, match="exit code 3") as caught:
            result.raise_for_status()
        assert caught.value.result is result
        assert (await orchestrator.get_run(result.run_id)) == result


async def test_a_caller_that_goes_away_leaves_the_run_going(data_dir):
    slow = Workflow("slow", "1.0.0", nodes=[Node("a", executor=dagrun.shell("sleep 0.5"))])
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(slow)
        with trio.move_on_after(0.2):
            await orchestrator.execute_workflow("slow")
        (run,), _ = await orchestrator.list_runs()
        assert run.status == "running"
        with trio.fail_after(10):
            while (await orchestrator.get_run(run.run_id)).status == "running":  # noqa: ASYNC110 — nobody tells of it
                await trio.sleep(0.02)
        assert (await orchestrator.get_run(run.run_id)).status == "succeeded"


async def test_runs_that_were_cut_off_are_gone_on_with(data_dir, tmp_path):
    effects = tmp_path / "effects"
    two = Workflow(
        "two",
        "1.0.0",
        nodes=[
            Node("first", executor=dagrun.shell(f"echo first >> {effects}")),
            Node(
                "second",
                executor=dagrun.shell(
                    f"echo second >> {effects}; test -e {tmp_path}/go || sleep 60"
                ),
                dependencies=["first"],
            ),
        ],
    )
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(two)
        async with orchestrator.monitor.subscribe(types=["node.running"]) as events:
            run = await orchestrator.start_workflow("two")
            assert [(await anext(events)).node_id for _ in range(2)] == ["first", "second"]
        async with dagrun.open_orchestrator(data_dir=data_dir) as other:
            assert await other.recover() == []  # its program lives
    (tmp_path / "go").touch()
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        (again,) = await orchestrator.recover()
        assert again.run_id == run.run_id
        assert (await again.result()).status == "succeeded"
        assert await orchestrator.recover() == []
    assert effects.read_text().splitlines().count("first") == 1


async def test_a_run_of_another_program_is_changed_through_it(data_dir):
    two = Workflow(
        "two",
        "1.0.0",
        nodes=[
            Node("a", executor=dagrun.shell("sleep 0.4")),
            Node("b", executor=dagrun.shell("sleep 60"), dependencies=["a"]),
        ],
    )
    async with (
        dagrun.open_orchestrator(data_dir=data_dir) as one,
        dagrun.open_orchestrator(data_dir=data_dir) as other,
    ):
        await one.register_workflow(two)
        run = await one.start_workflow("two")
        assert await other.pause(run.run_id)
        assert (await other.get_run(run.run_id)).status == "paused"
        assert await other.resume(run.run_id)
        assert await other.cancel(run.run_id)
        assert not await other.cancel(run.run_id)
        assert (await run.result()).status == "cancelled"
        with pytest.raises(dagrun.NotFound):
            await other.cancel("0unknown")
        with pytest.raises(dagrun.NotFound):
            await other.get_run("../../etc/passwd")


async def test_a_python_function_is_called_in_this_process_or_in_a_worker(data_dir):
    workflow = Workflow(
        "py",
        "1.0.0",
        nodes=[
            Node("worker", executor=dagrun.python(dict), inputs={"a": 1}),
            Node("inline", executor=dagrun.python(dict, isolation="inline"), inputs={"b": 2}),
        ],
    )
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(workflow)
        result = await orchestrator.execute_workflow("py")
    assert [node.outputs for node in result.nodes] == [{"a": 1}, {"b": 2}]
    with pytest.raises(ValueError, match="has no name to import it by"):
        dagrun.python(lambda: None)


async def test_a_program_calls_the_functions_of_its_own_folder(data_dir, tmp_path):
    for folder in (tmp_path / "old", tmp_path / "new"):
        folder.mkdir()
        (folder / "somewhere.py").write_text("def where():\n    return {'file': __file__}\n")
        node = "{id: a, executor: {type: python, callable: 'somewhere:where'}}"
        (folder / "w.yaml").write_text(
            "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\n"
            f"spec: {{nodes: [{node}]}}\n"
        )
        async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
            await orchestrator.register_workflow(folder / "w.yaml")
            result = await orchestrator.execute_workflow("w")
        assert result.node("a").outputs == {"file": str(folder / "somewhere.py")}
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        result = await orchestrator.execute_workflow("w")
    assert result.node("a").outputs == {"file": str(tmp_path / "old" / "somewhere.py")}


async def test_what_the_block_raises_leaves_it_as_it_was_raised(data_dir):
    async def fail():
        async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
            await orchestrator.register_workflow(failing)
            (await orchestrator.execute_workflow("failing")).raise_for_status()

    with pytest.raises(dagrun.RunFailed):
        await fail()
    with trio.move_on_after(0.05) as scope:
        async with dagrun.open_orchestrator(data_dir=data_dir):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_the_memory_store_leaves_no_database(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir, store="memory") as orchestrator:
        await orchestrator.register_workflow(adder())
        assert (await orchestrator.execute_workflow("adder", {"n": 1})).outputs == {"n": 2}
    assert not (data_dir / "dagrun.db").exists()


@pytest.mark.parametrize("option", ["engines", "capacity"])
async def test_a_wrong_number_is_refused(data_dir, option):
    with pytest.raises(dagrun.ConfigError, match=option):
        async with dagrun.open_orchestrator(data_dir=data_dir, **{option: 0}):
            pass


async def test_a_thousand_runs_pass_through_few_places(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir, engines=2, capacity=3) as orchestrator:
        await orchestrator.register_workflow(adder())
        results = []

        async def run(number):
            results.append(
                (await orchestrator.execute_workflow("adder", {"n": number})).outputs["n"]
            )

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(run, number)
        assert sorted(results) == list(range(1, 201))


def test_a_program_that_is_not_async_runs_workflows(data_dir):
    with dagrun.open_sync_orchestrator(data_dir=data_dir) as orchestrator:
        orchestrator.register_workflow(adder())
        with orchestrator.subscribe(types=["run"]) as events:
            assert orchestrator.execute_workflow("adder", {"n": 1}).outputs == {"n": 2}
            assert [next(events).type for _ in range(3)] == [
                "run.queued",
                "run.running",
                "run.succeeded",
            ]
        run = orchestrator.start_workflow("adder", {"n": 2})
        assert run.result().outputs == {"n": 3}
        assert not orchestrator.cancel(run.run_id)
        assert not orchestrator.pause(run.run_id)
        assert not orchestrator.resume(run.run_id)
        assert orchestrator.get_run(run.run_id).status == "succeeded"
        assert [run.resumable for run in orchestrator.list_runs()[0]] == [False, False]
        assert orchestrator.recover() == []
        with pytest.raises(dagrun.NotFound):
            orchestrator.execute_workflow("other")
    assert not [t for t in threading.enumerate() if t.name == "dagrun"]
    with pytest.raises(RuntimeError, match="the orchestrator is closed"):
        orchestrator.list_runs()


def test_an_error_while_it_opens_is_raised_by_the_with_statement(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(dagrun.ConfigError, match="data directory"),
        dagrun.open_sync_orchestrator(data_dir=tmp_path / "file"),
    ):
        pass


def test_an_error_of_the_block_ends_it_and_is_raised(data_dir):
    def use():
        with dagrun.open_sync_orchestrator(data_dir=data_dir) as orchestrator:
            orchestrator.list_runs()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert not [t for t in threading.enumerate() if t.name == "dagrun"]


def test_the_public_names_are_those_that_can_be_imported():
    assert set(dagrun.__all__) == set(dagrun._PLACE_OF)
    for name in dagrun.__all__:
        assert getattr(dagrun, name) is not None
    assert set(dagrun.__all__) <= set(dir(dagrun))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dagrun.nothing


async def test_secrets_and_addresses_are_settings_of_the_program(data_dir, tmp_path):
    (tmp_path / "key").write_text("s3cret-value")

    def echo(request):
        return json_answer(json.dumps({"key": request.headers["x-key"]}))

    with serving({"*": echo}) as server:
        asks = Workflow(
            "asks",
            "1.0.0",
            secrets={"KEY": "file:key"},
            outputs={"json": "${nodes.get.json}"},
            nodes=[
                Node("get", executor=dagrun.http(server.url, headers={"X-Key": "$secret{KEY}"}))
            ],
        )
        async with dagrun.open_orchestrator(
            data_dir=data_dir, secrets_dir=tmp_path, http_allow=["127.0.0.1"]
        ) as orchestrator:
            await orchestrator.register_workflow(asks)
            result = await orchestrator.execute_workflow("asks")
    assert result.outputs == {"json": {"key": "***"}}


async def test_old_runs_are_deleted_while_the_program_lives(data_dir, monkeypatch):
    monkeypatch.setattr(retention, "EVERY", 0.05)
    async with dagrun.open_orchestrator(data_dir=data_dir, retention="0s") as orchestrator:
        await orchestrator.register_workflow(adder())
        result = await orchestrator.execute_workflow("adder", {"n": 1})
        with trio.fail_after(10):
            while (await orchestrator.list_runs())[0]:  # noqa: ASYNC110 — looks at the store
                await trio.sleep(0.02)
    assert not (data_dir / "logs" / result.run_id).exists()


async def test_without_retention_runs_stay(data_dir, monkeypatch):
    monkeypatch.setattr(retention, "EVERY", 0.01)
    async with dagrun.open_orchestrator(data_dir=data_dir, retention="forever") as orchestrator:
        await orchestrator.register_workflow(adder())
        await orchestrator.execute_workflow("adder", {"n": 1})
        await trio.sleep(0.1)
        assert len((await orchestrator.list_runs())[0]) == 1
