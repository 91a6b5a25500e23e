"""What a program gives in place of what is asked for."""

import re

import pytest

import dagrun
from dagrun import Node, Workflow
from dagrun.testing.programs import call


def workflow(version="1.0.0", code="return {v = run.version}", **fields):
    node = Node("a", executor=dagrun.lua(code))
    return Workflow("w", version, nodes=[node], outputs={"v": "${nodes.a.v}"}, **fields)


@pytest.fixture
def opened(tmp_path):
    return dagrun.open_orchestrator(store="memory", data_dir=tmp_path)


async def test_a_workflow_stands_for_its_id_and_its_version(opened):
    async with opened as orchestrator:
        registered = await orchestrator.register_workflow(workflow("1.0.0"))
        await orchestrator.register_workflow(workflow("2.0.0"))
        for given, version in [
            ("w", "2.0.0"),
            (workflow("1.0.0"), "1.0.0"),
            (registered, "1.0.0"),
            (workflow("2.0.0"), "2.0.0"),
        ]:
            assert (await orchestrator.execute_workflow(given)).outputs == {"v": version}
        named = await orchestrator.execute_workflow(workflow("1.0.0"), version="2.0.0")
        assert named.outputs == {"v": "2.0.0"}
        with pytest.raises(dagrun.NotFound, match=r"w has no version '3.0.0'"):
            await orchestrator.start_workflow(workflow("3.0.0"))


async def test_a_run_in_any_form_stands_for_its_id(opened):
    async with opened as orchestrator:
        await orchestrator.register_workflow(workflow())
        run = await orchestrator.start_workflow("w")
        result = await run.result()
        ((listed,), _) = await orchestrator.list_runs()
        for given in (run, result, listed, run.run_id):
            assert await orchestrator.get_run(given) == result
            assert not await orchestrator.cancel(given)
            assert not await orchestrator.pause(given)
            assert not await orchestrator.resume(given)


def test_a_sync_run_stands_for_its_id(tmp_path):
    with dagrun.open_sync_orchestrator(store="memory", data_dir=tmp_path) as orchestrator:
        orchestrator.register_workflow(workflow())
        run = orchestrator.start_workflow(workflow())
        assert run.result() == orchestrator.get_run(run)


async def test_what_is_no_workflow_run_or_inputs_is_refused_by_name(opened):
    async with opened as orchestrator:
        await orchestrator.register_workflow(workflow())
        for call, message in [
            (orchestrator.execute_workflow(None), "a workflow or its id is needed, not None"),
            (orchestrator.execute_workflow("w", [1]), "the inputs are a mapping, .*, not list"),
            (orchestrator.get_run(None), "a run or its id is needed, .*, not None"),
            (orchestrator.cancel(5), "a run or its id is needed, .*, not int"),
        ]:
            with pytest.raises(TypeError, match=message):
                await call


async def build():
    return workflow()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([workflow()], "not list; register each workflow by itself"),
        ({"id": "w"}, r"not dict; write Workflow\(id, version"),
        (None, "a Workflow is needed, or a function that builds one, not NoneType"),
        (lambda: 5, "a function that builds one, not int"),
        (build, "the function that builds the workflow is async; it must not be"),
    ],
)
async def test_what_is_no_workflow_is_not_registered(opened, source, message):
    async with opened as orchestrator:
        with pytest.raises(TypeError, match=message):
            await orchestrator.register_workflow(source)


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        (build, r"a function is no executor; write dagrun\.python\(build\)"),
        ("shell", "a mapping is needed, not 'shell'"),
        (None, "a mapping is needed, not null"),
    ],
)
async def test_what_is_no_executor_is_told(opened, executor, message):
    async with opened as orchestrator:
        with pytest.raises(dagrun.DefinitionError, match=rf"spec.nodes\[0\].executor: {message}"):
            await orchestrator.register_workflow(
                Workflow("q", "1.0.0", nodes=[Node("a", executor=executor)])
            )


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_another_content_comes_with_what_to_do(tmp_path, store):
    async with dagrun.open_orchestrator(store=store, data_dir=tmp_path) as orchestrator:
        await orchestrator.register_workflow(workflow())
        with pytest.raises(dagrun.ConflictError, match="give the new content a new version"):
            await orchestrator.register_workflow(workflow(code="return {}"))


UNDER_ASYNCIO = """
import asyncio, dagrun

async def main():
    async with dagrun.open_orchestrator(store="memory"):
        pass

asyncio.run(main())
"""
"""A program of its own: trio-asyncio, wherever it was imported, changes what asyncio.run does."""


def test_under_asyncio_one_is_told_what_to_take(tmp_path):
    done = call("-c", UNDER_ASYNCIO, folder=tmp_path)
    assert done.returncode == 1
    assert re.search(r"RuntimeError: .*needs trio: .* open_sync_orchestrator", done.stderr)
