"""Workflows whose nodes run workflows, in one program, on real files."""

import attrs
import pytest
import trio

import dagrun
from dagrun import Concurrency, Node, RetryPolicy, Workflow
from dagrun.domain.children import DEPTH
from dagrun.plugin.loading import load_plugins
from dagrun.testing.adding import adder
from dagrun.testing.probes import option_keys

pytestmark = pytest.mark.parametrize("store", ["sqlite", "memory"])


@pytest.fixture
def opened(tmp_path, store):
    def open_(**options):
        return dagrun.open_orchestrator(data_dir=tmp_path / "data", store=store, **options)

    return open_


def caller(workflow_id="caller", called="adder", version=None, wait=True, outputs=None, **fields):
    executor = dagrun.sub_workflow(called, version, wait=wait)
    node = Node("call", executor=executor, **fields)
    return Workflow(workflow_id, "1.0.0", nodes=[node], outputs=outputs or {})


def sleeper(seconds=60):
    node = Node("sleep", executor=dagrun.shell(f"exec sleep {seconds}"))
    return Workflow("sleeper", "1.0.0", nodes=[node])


async def register(orchestrator, *workflows):
    for workflow in workflows:
        await orchestrator.register_workflow(workflow)


async def wait_until(condition):
    with trio.fail_after(20):
        while not await condition():  # noqa: ASYNC110 — looks at the store
            await trio.sleep(0.02)


async def test_a_node_has_the_outputs_of_the_run_that_it_waits_for(opened):
    async with opened() as orchestrator:
        call = caller(inputs={"n": "${inputs.n * 10}"}, outputs={"n": "${nodes.call.n}"})
        await register(orchestrator, adder(), call)
        result = await orchestrator.execute_workflow("caller", {"n": 4}, priority=7)
        (child,) = await orchestrator.sub_workflows.children(result.run_id)
        assert (result.status, result.outputs) == ("succeeded", {"n": 41})
        assert (child.workflow_id, child.status) == ("adder", "succeeded")
        record = await orchestrator._local.store.run(child.run_id)
        assert record.priority == 7
        events = await orchestrator._local.store.events(result.run_id)
        (waiting,) = [event for event in events if event.type == "node.waiting"]
        assert waiting.data == {"child": child.run_id, "version": "1.0.0"}
        assert await orchestrator._local.store.messages(result.run_id) == []


CHANGES = {"workflow.id": "other", "workflow.version": "1.0.0", "workflow.wait": False}


async def test_each_option_changes_what_comes_of_the_node(opened):
    assert {*CHANGES} == {*option_keys(load_plugins().registry, "workflow")}
    async with opened() as orchestrator:
        other = attrs.evolve(adder(more=50), id="other")
        await register(orchestrator, adder(), adder("1.1.0", 10), other)
        seen = []
        for number, change in enumerate([{}, *CHANGES.items()]):
            name, value = change or ("workflow.id", "adder")
            options = {"id": "adder", name.partition(".")[2]: value}
            node = Node("call", executor={"type": "workflow", **options}, inputs={"n": 0})
            await register(orchestrator, Workflow(f"caller-{number}", "1.0.0", nodes=[node]))
            result = await orchestrator.execute_workflow(f"caller-{number}")
            seen.append(result.node("call").outputs)
        assert seen[:3] == [{"n": 10}, {"n": 50}, {"n": 1}]
        assert seen[3].keys() == {"run_id", "version"}


async def test_each_item_has_a_run_of_its_own_and_two_runs_fit_on_one_engine(opened):
    async with opened(capacity=1) as orchestrator:
        call = caller(
            for_each=list(range(20)), inputs={"n": "${item}"}, outputs={"all": "${nodes.call}"}
        )
        await register(orchestrator, adder(), call)
        with trio.fail_after(30):
            result = await orchestrator.execute_workflow("caller")
        assert result.outputs == {"all": [{"n": n + 1} for n in range(20)]}
        assert len(await orchestrator.sub_workflows.children(result.run_id)) == 20


async def test_what_a_child_sees_of_its_parent(opened):
    shows = Workflow(
        "shows",
        "1.0.0",
        inputs={"type": "object", "additionalProperties": False},
        nodes=[Node("show", executor=dagrun.lua("return {seen = inputs}"))],
        outputs={"seen": "${nodes.show.seen}"},
    )
    outer = caller(called="shows", inputs={}, outputs={"seen": "${nodes.call.seen}"})
    async with opened() as orchestrator:
        await register(orchestrator, shows, outer)
        result = await orchestrator.execute_workflow("caller")
        assert result.outputs["seen"] == {
            "_parent_workflow_id": "caller",
            "_parent_execution_id": result.run_id,
        }


def nested(level, depth):
    """Workflows that call each other: the first one calls the second, and so on."""
    if level == depth:
        return [
            Workflow(f"w{level}", "1.0.0", nodes=[Node("end", executor=dagrun.lua("return {}"))])
        ]
    return [*nested(level + 1, depth), caller(f"w{level}", f"w{level + 1}", inputs={})]


async def test_one_engine_of_capacity_one_completes_the_deepest_nesting_that_is_allowed(opened):
    async with opened(capacity=1) as orchestrator:
        await register(orchestrator, *nested(0, DEPTH))
        with trio.fail_after(60):
            result = await orchestrator.execute_workflow("w0")
        assert result.status == "succeeded"
        runs, _ = await orchestrator.list_runs(limit=100)
        assert [run.status for run in runs] == ["succeeded"] * (DEPTH + 1)


async def test_nesting_that_is_too_deep_fails_where_it_is(opened):
    async with opened(capacity=1) as orchestrator:
        await register(orchestrator, *nested(0, DEPTH + 1))
        with trio.fail_after(60):
            result = await orchestrator.execute_workflow("w0")
        assert result.status == "failed"
        assert "16 runs are above this one, and there may be no more" in result.error["message"]


async def test_workflows_that_call_each_other_in_a_circle_are_refused(opened):
    async with opened() as orchestrator:
        await register(orchestrator, caller("c", "a"), caller("b", "c"))
        with pytest.raises(
            dagrun.DefinitionError, match=r"a 1\.0\.0 → b 1\.0\.0 → c 1\.0\.0 → a 1\.0\.0"
        ):
            await register(orchestrator, caller("a", "b"))
        with pytest.raises(dagrun.DefinitionError, match=r"s 1\.0\.0 → s 1\.0\.0"):
            await register(orchestrator, caller("s", "s"))
        await register(orchestrator, caller("a", "other"))


def version_of(name, called=None, range_=None):
    """Make the version ``1.0.0`` of ``a`` for the name ``a1``, which calls a range of another one."""
    executor = dagrun.lua("return {}") if called is None else dagrun.sub_workflow(called, range_)
    return Workflow(name[0], f"{name[1]}.0.0", nodes=[Node("n", executor=executor)])


@pytest.mark.parametrize("last", [0, 1, 2])
async def test_a_circle_through_ranges_is_refused_though_the_current_versions_make_none(
    opened, last
):
    older = [
        version_of("a1", "b", "^1"),
        version_of("b1", "c", ">=1,<2"),
        version_of("c1", "a", "1"),
    ]
    async with opened() as orchestrator:
        await register(orchestrator, *(older[:last] + older[last + 1 :]))
        await register(orchestrator, *map(version_of, ("a2", "b2", "c2")))
        with pytest.raises(dagrun.DefinitionError, match="each other for ever"):
            await register(orchestrator, older[last])


async def test_versions_that_call_others_in_no_circle_are_registered(opened):
    async with opened() as orchestrator:
        await register(orchestrator, *map(version_of, ("a1", "b1")))
        await register(orchestrator, version_of("b2", "a", "^1"), version_of("a2", "b", "^1"))
        await register(orchestrator, version_of("a3", "a", "^1"))
        assert (await orchestrator.execute_workflow("a", version="2.0.0")).status == "succeeded"


async def test_the_same_content_is_no_circle_for_what_is_current_by_now(opened):
    async with opened() as orchestrator:
        first = [version_of("b1"), version_of("a1", "b")]
        await register(orchestrator, *first, version_of("b2", "a", "^1"))
        again = await orchestrator.register_workflow(first[1])
        assert not again.created


async def test_a_child_that_fails_is_followed_by_another_one_under_the_retry_policy(opened):
    fails = Workflow("fails", "1.0.0", nodes=[Node("a", executor=dagrun.shell("exit 3"))])
    retry = RetryPolicy(max_attempts=2, first_delay=0)
    async with opened() as orchestrator:
        await register(orchestrator, fails, caller(called="fails", retry=retry))
        result = await orchestrator.execute_workflow("caller")
        children = await orchestrator.sub_workflows.children(result.run_id)
        assert [child.status for child in children] == ["failed", "failed"]
        node = result.node("call")
        assert (node.status, node.attempts, node.error["type"]) == ("failed", 2, "child_failed")
        assert node.error["message"].startswith(f"run {children[1].run_id}: node a: exit_code")


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"called": "missing"}, "workflow", "no workflow 'missing' is registered"),
        (
            {"version": "^2", "inputs": {"n": 1}},
            "workflow",
            "adder has no version in the range '^2'",
        ),
        ({"inputs": {"n": "x"}}, "inputs", "'x' is not of type 'integer'"),
        (
            {"inputs": {"n": 1, "_x": 2}},
            "inputs",
            "inputs._x: names that begin with _ are reserved",
        ),
    ],
)
async def test_a_child_that_cannot_be_started_fails_its_node_for_good(
    opened, fields, kind, message
):
    async with opened() as orchestrator:
        retry = RetryPolicy(max_attempts=3, first_delay=0)
        await register(orchestrator, adder(), caller(retry=retry, **fields))
        result = await orchestrator.execute_workflow("caller")
        node = result.node("call")
        assert (node.error["type"], node.attempts) == (kind, 1)
        assert message in node.error["message"]


async def test_a_range_means_the_highest_version_and_none_what_was_current_at_registration(opened):
    async with opened() as orchestrator:
        outputs = {"n": "${nodes.call.n}"}
        fields = {"inputs": {"n": 0}, "outputs": outputs}
        await register(orchestrator, caller("early", **fields))
        await register(orchestrator, adder("1.0.0", 100), caller("usual", **fields))
        await register(
            orchestrator,
            adder("1.1.0", 110),
            adder("2.0.0", 200),
            adder("3.0.0-rc.1", 300),
            caller("range", version=">=1,<2", **fields),
            caller("exact", version="3.0.0-rc.1", **fields),
            caller("newest", **fields),
        )
        found = {}
        for name in ("early", "usual", "range", "exact", "newest"):
            found[name] = (await orchestrator.execute_workflow(name)).outputs["n"]
        ones = {"early": 110, "usual": 110, "range": 110}
        assert found == {**ones, "exact": 300, "newest": 200}


async def test_a_node_that_does_not_wait_leaves_its_run_to_itself(opened):
    async with opened() as orchestrator:
        outputs = {"child": "${nodes.call}"}
        await register(
            orchestrator, sleeper(), caller(called="sleeper", wait=False, outputs=outputs)
        )
        result = await orchestrator.execute_workflow("caller")
        child = result.outputs["child"]
        assert child["version"] == "1.0.0"
        assert (await orchestrator.get_run(child["run_id"])).status in ("queued", "running")
        assert await orchestrator.sub_workflows.cancel_children(result.run_id) == [child["run_id"]]


async def test_cancelling_a_parent_stops_all_that_runs_for_it(opened):
    async with opened(capacity=4) as orchestrator:
        await register(orchestrator, sleeper(), caller(called="sleeper", for_each=list(range(10))))
        run = await orchestrator.start_workflow("caller")

        async def ten_and_some_run():
            children = await orchestrator.sub_workflows.children(run.run_id)
            return len(children) == 10 and sum(c.status == "running" for c in children) == 4

        await wait_until(ten_and_some_run)
        assert await orchestrator.cancel(run.run_id)
        with trio.fail_after(20):
            result = await run.result()
        children = await orchestrator.sub_workflows.children(run.run_id)
        assert result.status == "cancelled"
        assert [item.status for item in result.node("call").items] == ["cancelled"] * 10
        assert [child.status for child in children] == ["cancelled"] * 10


async def test_cancelling_reaches_grandchildren_and_a_childs_own_end_is_a_failure(opened):
    async with opened(capacity=1) as orchestrator:
        middle = caller("middle", "sleeper")
        await register(orchestrator, sleeper(), middle, caller(called="middle"))
        run = await orchestrator.start_workflow("caller")

        async def sleeps():
            runs, _ = await orchestrator.list_runs(workflow_id="sleeper", status="running")
            return bool(runs)

        await wait_until(sleeps)
        (child,) = await orchestrator.sub_workflows.children(run.run_id)
        (grandchild,) = await orchestrator.sub_workflows.children(child.run_id)
        assert await orchestrator.sub_workflows.cancel_children(run.run_id) == [child.run_id]
        with trio.fail_after(20):
            result = await run.result()
        assert result.status == "failed"
        assert result.node("call").error["type"] == "child_cancelled"
        assert (await orchestrator.sub_workflows.status(grandchild.run_id)).status == "cancelled"


async def test_a_run_whose_time_is_over_while_it_waits_fails_with_its_children(opened):
    async with opened() as orchestrator:
        executor = dagrun.sub_workflow("sleeper")
        short = Workflow("short", "1.0.0", timeout=0.5, nodes=[Node("call", executor=executor)])
        await register(orchestrator, sleeper(), short)
        with trio.fail_after(20):
            result = await orchestrator.execute_workflow("short")
        (child,) = await orchestrator.sub_workflows.children(result.run_id)
        assert (result.status, result.error["type"]) == ("failed", "timeout")
        assert child.status == "cancelled"


async def test_a_child_shares_the_slot_of_who_waits_for_it(opened):
    one = Concurrency(key="k", limit=1, scope="global")
    outer = Workflow(
        "outer",
        "1.0.0",
        concurrency=one,
        nodes=[Node("call", executor=dagrun.sub_workflow("middle"), inputs={"n": 1})],
    )
    async with opened() as orchestrator:
        await register(orchestrator, adder(concurrency=one), caller("middle"), outer)
        with trio.fail_after(20):
            result = await orchestrator.execute_workflow("outer")
        assert result.status == "succeeded"


async def test_a_paused_parent_hears_of_the_end_when_it_is_resumed(opened, tmp_path):
    go = tmp_path / "go"
    waits = Workflow(
        "waits",
        "1.0.0",
        nodes=[Node("a", executor=dagrun.shell(f"while ! test -e {go}; do sleep 0.02; done"))],
    )
    async with opened() as orchestrator:
        await register(orchestrator, waits, caller(called="waits"))
        run = await orchestrator.start_workflow("caller")

        async def has_child():
            return bool(await orchestrator.sub_workflows.children(run.run_id))

        await wait_until(has_child)
        assert await orchestrator.pause(run.run_id)
        go.touch()

        async def child_has_ended():
            (child,) = await orchestrator.sub_workflows.children(run.run_id)
            return child.status == "succeeded"

        await wait_until(child_has_ended)
        assert (await orchestrator.get_run(run.run_id)).status == "paused"
        assert await orchestrator.resume(run.run_id)
        with trio.fail_after(20):
            assert (await run.result()).status == "succeeded"


async def test_a_program_starts_runs_for_a_run(opened):
    async with opened() as orchestrator:
        await register(orchestrator, adder(), sleeper())
        parent = await orchestrator.start_workflow("sleeper")
        child = await orchestrator.sub_workflows.execute(
            "adder", "^1.0", parent=parent.run_id, inputs={"n": 1}
        )
        again = await orchestrator.sub_workflows.execute(
            "adder", parent=parent.run_id, inputs={"n": 1}
        )
        assert child.outputs == {"n": 2}
        children = await orchestrator.sub_workflows.children(parent.run_id)
        assert [one.run_id for one in children] == [child.run_id, again.run_id]
        await orchestrator.cancel(parent.run_id)
        await parent.result()
        late = await orchestrator.sub_workflows.execute(
            "adder", parent=parent.run_id, inputs={"n": 2}
        )
        assert late.outputs == {"n": 3}
        assert len(await orchestrator.sub_workflows.children(parent.run_id)) == 2
        with pytest.raises(dagrun.NotFound):
            await orchestrator.sub_workflows.execute("adder", parent="nobody", inputs={"n": 1})
        with pytest.raises(dagrun.NotFound, match="in the range"):
            await orchestrator.sub_workflows.execute("adder", "^9", parent=parent.run_id)


async def test_a_program_names_runs_and_workflows_by_what_it_has_of_them(opened):
    async with opened() as orchestrator:
        add = adder()
        await register(orchestrator, add, sleeper())
        runs, parent = orchestrator.sub_workflows, await orchestrator.start_workflow("sleeper")
        child = await runs.execute(add, parent=parent, inputs={"n": 1})
        assert await runs.status(child) == child
        assert [one.run_id for one in await runs.children(parent)] == [child.run_id]
        assert await runs.cancel_children(parent) == []
        with pytest.raises(TypeError, match="not list"):
            await runs.execute(add, parent=parent, inputs=[1])
        for nobody in ("nobody", "../nobody"):
            for ask in (runs.children, runs.cancel_children, runs.status):
                with pytest.raises(dagrun.NotFound, match="no run"):
                    await ask(nobody)


async def test_the_time_of_a_run_passes_though_its_child_has_the_only_place(opened):
    node = Node("call", executor=dagrun.sub_workflow("sleeper"))
    async with opened(capacity=1) as orchestrator:
        await register(
            orchestrator, sleeper(), Workflow("short", "1.0.0", timeout=0.3, nodes=[node])
        )
        with trio.fail_after(20):
            result = await orchestrator.execute_workflow("short")
        (child,) = await orchestrator.sub_workflows.children(result.run_id)
        assert (result.error["type"], child.status) == ("timeout", "cancelled")


async def test_nested_runs_are_cancelled_though_another_one_has_the_only_place(opened):
    nested = [caller(f"w{depth + 1}", f"w{depth}") for depth in range(4)]
    async with opened(capacity=1) as orchestrator:
        await register(orchestrator, sleeper(), attrs.evolve(sleeper(), id="w0"), *nested)
        top = await orchestrator.start_workflow("w4")

        async def innermost():
            runs, _ = await orchestrator.list_runs(workflow_id="w0", status="running")
            return runs

        await wait_until(innermost)
        await orchestrator.pause((await innermost())[0].run_id)  # and it keeps its place for now
        other = await orchestrator.start_workflow("sleeper", priority=9)
        await orchestrator.cancel(top.run_id)
        with trio.fail_after(20):
            assert (await top.result()).status == "cancelled"
        await orchestrator.cancel(other.run_id)
