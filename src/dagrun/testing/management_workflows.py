# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What everybody must do who manages registered workflows, as tests to inherit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError, DefinitionError, InputError, NotFound, StillNeeded
from dagrun.ports.management import Registered
from dagrun.testing.managed import EXECUTOR
from dagrun.testing.reached import (
    NO_IDS,
    Reaching,
    calls,
    document,
    node,
)


class WorkflowsSuite(Reaching):
    """The registered workflows."""

    async def test_a_version_is_registered_once_and_never_changes(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            workflows = it.management.workflows
            first = await workflows.register(document(), metadata={"owner": "é"})
            assert first == Registered(workflow_id="w", version="1.0.0", created=True)
            again = await workflows.register(document())
            assert again == attrs.evolve(first, created=False)
            with pytest.raises(ConflictError, match="another content"):
                await workflows.register(document(node("b")))
            (view,) = await workflows.versions("w")
            assert view.metadata == {"owner": "é"}

    async def test_all_that_is_wrong_with_a_document_is_told_with_its_place(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            wrong = (
                "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"
            )
            wrong += "  nodes:\n" + "".join(
                f"    - {{id: n{number}, executer: {{type: {EXECUTOR}}}}}\n"
                for number in range(300)
            )
            with pytest.raises(DefinitionError) as raised:
                await it.management.workflows.register(wrong.encode())
            found = [one for one in raised.value.problems if one.suggestion == "executor"]
            assert [one.line for one in found] == list(range(6, 306))
            assert [found[0].column, found[10].column, found[299].column] == [16, 17, 18]
            assert found[7].path == "spec.nodes[7].executer"
            told = await it.management.workflows.validate(wrong.encode())
            assert list(told) == list(raised.value.problems)

    @pytest.mark.parametrize("text", [b"", b"\xff", b"[", b"{}", b"a: &a [*a]"])
    async def test_what_is_no_document_is_refused(self, tmp_path: Path, text: bytes) -> None:
        async with self.reached(tmp_path) as it:
            with pytest.raises(DefinitionError):
                await it.management.workflows.register(text)

    async def test_a_document_that_could_be_registered_is_not_by_validating_it(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            assert not await it.management.workflows.validate(document())
            assert not (await it.management.workflows.list()).items

    async def test_files_come_with_the_document_and_from_nowhere_else(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            beside = tmp_path / "there.txt"
            beside.write_text("secret")
            for name in ("sub/../there.txt", str(beside)):
                named = {"id": "a", "executor": {"type": EXECUTOR, "file": name}}
                with pytest.raises(DefinitionError, match="not sent"):
                    await it.management.workflows.register(document(named))
                sent = document(named, workflow_id=f"w{len(name)}")
                await it.management.workflows.register(sent, files={name: "text é"})
                _, workflow = await it.management.workflows.get(f"w{len(name)}")
                assert workflow.nodes[0].executor.options == {"code": "text é"}

    @pytest.mark.parametrize(
        "executor",
        [
            {"type": "shell", "command": ["./run.sh"]},
            {"type": "shell", "command": ["bin/run"]},
            {"type": "shell", "command": "true", "cwd": "there"},
        ],
    )
    async def test_programs_and_folders_beside_the_document_are_refused(
        self, tmp_path: Path, executor: Mapping[str, Any]
    ) -> None:
        async with self.reached(tmp_path) as it:
            with pytest.raises(DefinitionError, match="relative") as raised:
                await it.management.workflows.register(document({"id": "a", "executor": executor}))
            assert raised.value.problems[0].path.startswith("spec.nodes[0].executor.c")
            fine = {"type": "shell", "command": ["env", "./x"], "cwd": "/tmp"}  # noqa: S108 — it is not run
            await it.management.workflows.register(document({"id": "a", "executor": fine}))

    async def test_a_workflow_must_not_come_to_call_itself(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            await it.management.workflows.register(document(calls("b"), workflow_id="a"))
            circle = document(calls("a"), workflow_id="b")
            assert len(await it.management.workflows.validate(circle)) == 1
            with pytest.raises(DefinitionError, match="each other"):
                await it.management.workflows.register(circle)

    async def test_an_update_is_of_a_workflow_that_is_there(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            workflows = it.management.workflows
            with pytest.raises(NotFound):
                await workflows.update("w", document())
            await workflows.register(document())
            updated = await workflows.update("w", document(version="1.1.0"), metadata={"n": 1})
            assert updated == Registered(workflow_id="w", version="1.1.0", created=True)
            with pytest.raises(InputError, match="'v'"):
                await workflows.update("w", document(workflow_id="v"))
            with pytest.raises(ConflictError):
                await workflows.update("w", document(node("b")))

    async def test_versions_and_workflows_are_listed_in_order(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            workflows = it.management.workflows
            for version in ("1.10.0", "2.0.0-rc.1", "1.2.0"):
                await workflows.register(
                    document(version=version, name="W é", description="d", labels={"a": "b"})
                )
            await workflows.register(document(workflow_id="v", version="1.0.0-a"))
            versions = await workflows.versions("w")
            assert [(one.version, one.current) for one in versions] == [
                ("2.0.0-rc.1", False),
                ("1.10.0", True),
                ("1.2.0", False),
            ]
            shown = versions[1]
            assert (shown.name, shown.description, shown.labels) == ("W é", "d", {"a": "b"})
            page = await workflows.list(limit=1)
            assert [(one.workflow_id, one.version) for one in page.items] == [("v", "1.0.0-a")]
            rest = await workflows.list(limit=1, cursor=page.next)
            assert ([one.version for one in rest.items], rest.next) == (["1.10.0"], None)

    async def test_the_content_comes_back_as_it_was_registered(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            long = node("a", outputs={"é": "x" * 1_500_000, "n": 10**30})
            await it.management.workflows.register(document(long))
            view, workflow = await it.management.workflows.get("w")
            assert view.version == workflow.version == "1.0.0"
            assert workflow.nodes[0].inputs == long["inputs"]
            assert content_hash(to_json(workflow)) == view.definition_hash

    async def test_versions_are_deleted_and_may_come_back_as_something_else(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            workflows = it.management.workflows
            for version in ("1.0.0", "1.1.0", "1.2.0"):
                await workflows.register(document(version=version))
            assert list(await workflows.delete("w", "1.1.0")) == ["1.1.0"]
            with pytest.raises(NotFound, match=r"1\.1\.0"):
                await workflows.delete("w", "1.1.0")
            run = await it.starts.runs.start("w")
            assert list(await workflows.delete("w")) == ["1.2.0", "1.0.0"]
            assert (await it.management.runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
            with pytest.raises(NotFound):
                await it.starts.runs.start("w")
            other = await it.run(node("other"), version="1.2.0")
            result = await it.management.runs.wait(other.run_id)
            assert [one.id for one in result.nodes] == ["other"]

    async def test_what_another_workflow_runs_is_not_deleted_unless_forced(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            workflows = it.management.workflows
            for version in ("1.0.0", "1.1.0", "2.0.0"):
                await workflows.register(document(version=version))
            await workflows.register(document(calls("w", version="^1.0"), workflow_id="range"))
            await workflows.register(document(calls("w"), workflow_id="usual"))
            for version, needed in (("1.1.0", ["range 1.0.0"]), ("2.0.0", ["usual 1.0.0"])):
                with pytest.raises(StillNeeded) as raised:
                    await workflows.delete("w", version)
                assert raised.value.dependents == needed
            with pytest.raises(StillNeeded) as raised:
                await workflows.delete("w")
            assert raised.value.dependents == ["range 1.0.0", "usual 1.0.0"]
            assert len(await workflows.versions("w")) == 3
            assert list(await workflows.delete("w", "1.0.0")) == ["1.0.0"]
            assert list(await workflows.delete("w", force=True)) == ["2.0.0", "1.1.0"]

    @pytest.mark.parametrize("workflow_id", NO_IDS)
    async def test_nothing_can_be_done_with_a_workflow_that_is_not_there(
        self, tmp_path: Path, workflow_id: str
    ) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            workflows = it.management.workflows
            for ask in (workflows.versions, workflows.get, workflows.delete):
                with pytest.raises(NotFound):
                    await ask(workflow_id)
