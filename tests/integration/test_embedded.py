"""dagrun inside a Python program, on real files, with the public names only."""

import json
import math
import sys
import threading

import pytest
import trio
import trio.testing

import dagrun
from dagrun import Node, RetryPolicy, Workflow
from dagrun.services import retention
from dagrun.testing.http_server import json_answer, serving

DOCUMENT = """
apiVersion: dagrun/v1
kind: Workflow
metadata: {id: written, version: 2.0.0}
spec:
  inputs: {type: object, properties: {n: {type: integer, default: 2}}}
  outputs: {n: "${nodes.a.n}"}
  nodes:
    - {id: a, executor: {type: lua, code: "return {n = inputs.n + 1}"}}
"""


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


def adder(version="1.0.0", more=1):
    return Workflow(
        "adder",
        version,
        inputs={"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        outputs={"n": "${nodes.add.n}"},
        nodes=[Node("add", executor=dagrun.lua(f"return {{n = inputs.n + {more}}}"))],
    )


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


async def test_documents_are_registered_from_files_and_texts(data_dir, tmp_path):
    file = tmp_path / "written.yaml"
    file.write_text(DOCUMENT)
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        sources = [DOCUMENT, file, str(file)]
        created = [(await orchestrator.register_workflow(s)).created for s in sources]
        assert created == [True, False, False]
        assert (await orchestrator.execute_workflow("written")).outputs == {"n": 3}
        with pytest.raises(dagrun.DefinitionError, match="cannot be read"):
            await orchestrator.register_workflow("missing.yaml")
        with pytest.raises(dagrun.DefinitionError, match="dependencies"):
            await orchestrator.register_workflow(
                Workflow(
                    "w", "1.0.0", nodes=[Node("a", executor=dagrun.lua(""), dependencies=["b"])]
                )
            )
        with pytest.raises(TypeError, match=r"a Workflow is needed, .* not int"):
            await orchestrator.register_workflow(lambda: 3)


async def test_a_file_is_part_of_the_version_that_was_registered(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", str(tmp_path / "program.py"), raising=False
    )
    (tmp_path / "x.lua").write_text("return {v = 1}")
    workflow = Workflow(
        "filed",
        "1.0.0",
        nodes=[Node("a", executor=dagrun.lua(file="x.lua"))],
        outputs={"v": "${nodes.a.v}"},
    )
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(workflow)
        assert (await orchestrator.execute_workflow("filed")).outputs == {"v": 1}
        (tmp_path / "x.lua").write_text("return {v = 2}")
        assert (await orchestrator.execute_workflow("filed")).outputs == {"v": 1}
        with pytest.raises(dagrun.ConflictError, match="another content"):
            await orchestrator.register_workflow(workflow)
        (tmp_path / "x.lua").write_text("return {")
        with pytest.raises(dagrun.DefinitionError, match="code, line 1"):
            await orchestrator.register_workflow(workflow)
        (tmp_path / "x.lua").unlink()
        with pytest.raises(dagrun.DefinitionError, match="No such file"):
            await orchestrator.register_workflow(workflow)


async def test_a_document_that_is_a_text_names_no_file_beside_it(data_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.lua").write_text("return {n = 7}")
    beside = DOCUMENT.replace('code: "return {n = inputs.n + 1}"', "file: x.lua")
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        with pytest.raises(dagrun.DefinitionError, match="lies beside nothing"):
            await orchestrator.register_workflow(beside)
        await orchestrator.register_workflow(beside.replace("x.lua", str(tmp_path / "x.lua")))
        assert (await orchestrator.execute_workflow("written")).outputs == {"n": 7}


async def test_shell_code_leaves_marks_to_the_shell_and_one_text_is_needed(data_dir):
    code = 'x=5; echo "{\\"n\\": ${x}}" > $DAGRUN_OUTPUT'
    workflow = Workflow(
        "coded",
        "1.0.0",
        nodes=[Node("a", executor=dagrun.shell(code=code))],
        outputs={"n": "${nodes.a.n}"},
    )
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(workflow)
        assert (await orchestrator.execute_workflow("coded")).outputs == {"n": 5}
    for make in (dagrun.shell, dagrun.lua):
        with pytest.raises(ValueError, match="is needed"):
            make()
    with pytest.raises(ValueError, match="one of code and file"):
        dagrun.lua("return {}", file="x.lua")


async def test_the_current_version_is_the_highest_that_is_no_prerelease(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        for version, more in (("1.10.0", 10), ("1.9.0", 9), ("2.0.0-rc.1", 20)):
            await orchestrator.register_workflow(adder(version, more))
        assert (await orchestrator.execute_workflow("adder", {"n": 0})).outputs == {"n": 10}
        named = await orchestrator.execute_workflow("adder", {"n": 0}, version="2.0.0-rc.1")
        assert (named.version, named.outputs) == ("2.0.0-rc.1", {"n": 20})
        with pytest.raises(dagrun.NotFound, match=r"no version '3\.0\.0'; registered: 1\.10\.0"):
            await orchestrator.execute_workflow("adder", version="3.0.0")
        with pytest.raises(dagrun.NotFound, match="no workflow 'other'"):
            await orchestrator.execute_workflow("other")
        await orchestrator.register_workflow(
            Workflow("early", "0.1.0-alpha", nodes=[Node("a", executor=dagrun.lua(""))])
        )
        with pytest.raises(dagrun.NotFound, match=r"pre-releases only \(0\.1\.0-alpha\)"):
            await orchestrator.execute_workflow("early")


async def test_a_version_never_changes(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(adder())
        with pytest.raises(dagrun.ConflictError, match="a version never changes"):
            await orchestrator.register_workflow(adder(more=2))
        assert (await orchestrator.execute_workflow("adder", {"n": 1})).outputs == {"n": 2}


async def test_inputs_that_do_not_fit_are_refused(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(adder())
        for wrong in ({}, {"n": "x"}, {"n": 1, "_mine": 2}, {"n": math.nan}):
            with pytest.raises(dagrun.InputError):
                await orchestrator.execute_workflow("adder", wrong)
        assert await orchestrator.list_runs() == ([], None)


async def test_a_registration_outlives_its_program(data_dir):
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        await orchestrator.register_workflow(adder())
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        result = await orchestrator.execute_workflow("adder", {"n": 1})
        assert result.outputs == {"n": 2}
        runs, following = await orchestrator.list_runs(workflow_id="adder", status="succeeded")
        assert ([run.run_id for run in runs], following) == ([result.run_id], None)


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
        with trio.fail_after(10):  # until its engine has given it back
            ticket = orchestrator._local.dispatcher.ticket(runs[0].run_id)
            while ticket.engine:  # noqa: ASYNC110 — nobody is told of it
                await trio.sleep(0.02)
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


def test_a_workflow_may_be_written_in_the_words_of_a_document():
    written = Workflow(
        "w",
        "1.0.0",
        start_timeout="1h",
        concurrency={"key": "k", "limit": 2},
        placement={"balancer": "round-robin"},
        handlers={"failure": {"executor": {"type": "lua", "code": ""}, "timeout": "10s"}},
        nodes=[
            {
                "id": "a",
                "executor": {"type": "lua", "code": ""},
                "timeout": "5m",
                "kill_after": "2s",
                "retry": {"max_attempts": 3, "first_delay": "1s"},
                "requires": {"labels": {"gpu": "yes"}},
            }
        ],
    )
    node = written.nodes[0]
    assert (node.timeout, node.kill_after, written.start_timeout) == (300, 2, 3600)
    assert node.retry == RetryPolicy(max_attempts=3, first_delay=1)
    assert (written.concurrency.limit, written.placement.balancer) == (2, "round-robin")
    assert written.handlers["failure"].timeout == 10
    assert node.requires.labels == {"gpu": "yes"}


async def test_a_workflow_with_values_of_wrong_types_is_refused_whole(data_dir):
    nodes = [Node("a", executor=dagrun.shell("false"), allow_failure="no", timeout="soon")]
    async with dagrun.open_orchestrator(data_dir=data_dir) as orchestrator:
        with pytest.raises(dagrun.DefinitionError) as caught:
            await orchestrator.register_workflow(Workflow("w", "1.0.0", nodes=nodes))
    assert [problem.path for problem in caught.value.problems] == [
        "spec.nodes[0].allow_failure",
        "spec.nodes[0].timeout",
    ]


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


# plain synchronous code


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


# names


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
