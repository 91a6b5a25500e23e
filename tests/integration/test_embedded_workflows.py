"""What a Python program registers: documents, files and versions, and what is refused of them."""

import math
import sys

import pytest

import dagrun
from dagrun import Node, RetryPolicy, Workflow
from dagrun.testing.adding import adder

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
