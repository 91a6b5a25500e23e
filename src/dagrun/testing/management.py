# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What everybody must do who implements management, as tests to inherit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from dagrun.domain.events import RUN_ENDS, Event, Type
from dagrun.domain.monitoring import Severity
from dagrun.domain.serialize import content_hash, to_json
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.errors import ConflictError, DefinitionError, InputError, NotFound, StillNeeded
from dagrun.ports.management import Change, Registered, Wanted
from dagrun.testing.managed import CAPACITY, ENGINE, EXECUTOR
from dagrun.testing.management_reruns import RerunsSuite
from dagrun.testing.reached import Reached, calls, document, node

NO_IDS: Final = ("none", "", "../x", "é", "x" * 200)
INPUTS: Final = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}


class ManagementSuite(RerunsSuite):
    """Inherit it in a test module, and say how to reach an orchestrator; pytest-trio runs the rest."""

    # workflows

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
            fine = {"type": "shell", "command": ["env", "./x"], "cwd": "/tmp"}  # noqa: S108
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
            run = await it.management.runs.start("w")
            assert list(await workflows.delete("w")) == ["1.2.0", "1.0.0"]
            assert (await it.management.runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
            with pytest.raises(NotFound):
                await it.management.runs.start("w")
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

    # runs

    async def test_a_run_is_started_waited_for_and_looked_at(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            outputs = {"big": 2**70, "é": [None, True, 1.5, {"deep": [[]]}], "long": "x" * 900_000}
            items = {**node("many", "one"), "for_each": [1, 2], "inputs": {}}
            run = await it.run(
                node("one", outputs=outputs), items, outputs={"copy": "${nodes.one}"}
            )
            assert (run.workflow_id, run.version, run.resumable) == ("w", "1.0.0", False)
            result = await it.management.runs.wait(run.run_id)
            assert result.status is RunStatus.SUCCEEDED
            assert result.outputs == {"copy": outputs}
            assert result.node("one").outputs == outputs
            assert [item.index for item in result.node("many").items or ()] == [0, 1]
            view = await it.management.runs.get(run.run_id)
            assert (view.result, view.resumable) == (result, False)
            local = await it.world.leading.management.runs.get(run.run_id)
            assert local == view

    async def test_a_failure_is_told_and_not_raised(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            handler = {"failure": {"executor": {"type": EXECUTOR}}}
            run = await it.run(node("a", fail="é broke"), node("b", "a"), handlers=handler)
            result = await it.management.runs.wait(run.run_id)
            assert result.status is RunStatus.FAILED
            assert result.node("a").error == {"type": "ValueError", "message": "é broke"}
            assert result.node("b").status is NodeStatus.SKIPPED
            assert result.handlers is not None
            assert result.handlers[0].status is NodeStatus.SUCCEEDED
            (listed,) = (await it.management.runs.list()).items
            assert listed.error == result.error

    async def test_inputs_are_checked_before_a_run_is_accepted(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            await it.management.workflows.register(document(inputs=INPUTS))
            for wrong in ({"n": "x"}, {"_n": 1}):
                with pytest.raises(InputError) as raised:
                    await it.management.runs.start("w", wrong)
                assert raised.value.problems[0].path.startswith("inputs.")
            with pytest.raises(InputError):
                await it.management.runs.start("w", priority=10**9)
            assert not (await it.management.runs.list()).items

    async def test_a_run_names_a_version_and_a_priority(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            for version in ("1.0.0", "1.1.0"):
                await it.management.workflows.register(document(version=version))
            runs = it.management.runs
            assert (await runs.start("w")).version == "1.1.0"
            low = await runs.start("w", version="1.0.0", priority=-5)
            assert low.version == "1.0.0"
            assert (await it.world.leading.store.run(low.run_id)).priority == -5  # type: ignore[arg-type]  # views hold ids as plain text
            with pytest.raises(NotFound):
                await runs.start("w", version="3.0.0")

    async def test_the_same_idempotency_key_is_the_same_run(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            await it.management.workflows.register(document())
            runs = it.management.runs
            first = await runs.start("w", idempotency_key="k")
            assert (await runs.start("w", idempotency_key="k")).run_id == first.run_id
            assert (await runs.start("w")).run_id != first.run_id
            with pytest.raises(ConflictError, match="'k'"):
                await runs.start("w", {"n": 2}, idempotency_key="k")

    async def test_runs_are_listed_in_pages_the_newest_first(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            first = await it.run()
            await runs.wait(first.run_id)
            second = await it.run(node("a", gate="g"), workflow_id="v")
            page = await runs.list(limit=1)
            assert [one.run_id for one in page.items] == [second.run_id]
            rest = await runs.list(limit=1, cursor=page.next)
            assert ([one.run_id for one in rest.items], rest.next) == ([first.run_id], None)
            assert rest.items[0].finished_at is not None
            for chosen in ({"workflow_id": "w"}, {"status": RunStatus.SUCCEEDED}):
                assert [one.run_id for one in (await runs.list(**chosen)).items] == [first.run_id]
            it.world.told.open("g")

    @pytest.mark.parametrize("limit", [-1, 0, 1001])
    async def test_a_list_has_a_limit(self, tmp_path: Path, limit: int) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            lists: Sequence[Callable[[], Awaitable[object]]] = (
                lambda: it.management.workflows.list(limit=limit),
                lambda: it.management.runs.list(limit=limit),
                lambda: it.management.events.list(Wanted(), limit=limit),
            )
            for listing in lists:
                with pytest.raises(InputError, match="1000"):
                    await listing()

    async def test_a_run_is_paused_gone_on_with_and_cancelled(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            run = await it.run(node("a", gate="g"), node("b", "a", gate="h"))
            await self._status(it, run.run_id, RunStatus.RUNNING)
            assert (await runs.pause(run.run_id)).changed
            await self._status(it, run.run_id, RunStatus.PAUSED)
            assert not (await runs.pause(run.run_id)).changed
            it.world.told.open("g")
            assert (await runs.resume(run.run_id)).changed
            await self._status(it, run.run_id, RunStatus.RUNNING)
            assert not (await runs.resume(run.run_id)).changed
            assert (await runs.cancel(run.run_id)).changed
            assert (await runs.wait(run.run_id)).status is RunStatus.CANCELLED
            ended = Change(run_id=run.run_id, changed=False, status=RunStatus.CANCELLED)
            for change in (runs.cancel, runs.pause, runs.resume):
                assert await change(run.run_id) == ended

    @pytest.mark.parametrize("run_id", NO_IDS)
    async def test_nothing_can_be_done_with_a_run_that_is_not_there(
        self, tmp_path: Path, run_id: str
    ) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            await it.management.workflows.register(document())
            runs = it.management.runs
            for ask in (
                *(runs.get, runs.wait, runs.cancel, runs.pause, runs.resume, runs.explain),
                *(runs.children, runs.child, runs.workflow_of),
            ):
                with pytest.raises(NotFound):
                    await ask(run_id)
            with pytest.raises(NotFound):
                await runs.start_child(run_id, "w")
            with pytest.raises(NotFound):
                async with runs.journal(run_id):
                    pass
            with pytest.raises(NotFound):
                async with runs.logs(run_id):
                    pass

    @pytest.mark.parametrize("workflow_id", NO_IDS)
    async def test_nothing_can_be_done_with_a_workflow_that_is_not_there(
        self, tmp_path: Path, workflow_id: str
    ) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            workflows = it.management.workflows
            for ask in (workflows.versions, workflows.get, workflows.delete):
                with pytest.raises(NotFound):
                    await ask(workflow_id)
            with pytest.raises(NotFound):
                await it.management.runs.start(workflow_id)

    async def test_why_a_run_stands_where_it_stands_is_explained(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            run = await it.run(node("a", gate="g"), node("b", "a"))
            await self._status(it, run.run_id, RunStatus.RUNNING)
            told = await it.management.runs.explain(run.run_id)
            assert told.status is RunStatus.RUNNING
            assert f"engine {ENGINE} has it" in told.reasons
            assert "b: waits for a" in told.reasons
            it.world.told.open("g")

    async def test_a_run_that_no_engine_takes_says_so(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path, engine=False) as it:
            run = await it.run()
            told = await it.management.runs.explain(run.run_id)
            assert told.status is RunStatus.QUEUED
            assert any("none is attached" in reason for reason in told.reasons), told.reasons

    # child runs

    async def test_a_run_started_for_another_one_is_its_child(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            runs = it.management.runs
            parent = await it.run(node("a", gate="g"))
            await it.management.workflows.register(document(workflow_id="c", inputs=INPUTS))
            child = await runs.start_child(parent.run_id, "c", {"n": 3}, version="^1.0")
            await runs.wait(child.run_id)
            (known,) = await runs.children(parent.run_id)
            assert known == await runs.child(child.run_id)
            assert (known.parent_run_id, known.node_id, known.attempt) == (
                parent.run_id,
                None,
                None,
            )
            assert (known.run.run_id, known.run.status, known.depth) == (
                child.run_id,
                RunStatus.SUCCEEDED,
                1,
            )
            with pytest.raises(NotFound, match="no other run"):
                await runs.child(parent.run_id)
            with pytest.raises(NotFound):
                await runs.start_child(parent.run_id, "c", version="^2")
            with pytest.raises(InputError):
                await runs.start_child(parent.run_id, "c", {"n": "x"})
            it.world.told.open("g")

    async def test_the_child_of_a_node_names_its_node(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            await it.management.workflows.register(document(workflow_id="c"))
            parent = await it.run({**calls("c"), "for_each": [1]})
            result = await it.management.runs.wait(parent.run_id)
            assert result.status is RunStatus.SUCCEEDED, result.nodes
            (child,) = await it.management.runs.children(parent.run_id)
            assert (child.node_id, child.item, child.attempt) == ("child", 0, 1)

    # streams

    async def test_a_journal_is_followed_to_the_end_of_the_run(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            long = {"text": "é" * 500_000}
            many = {**node("many", outputs=long), "for_each": [1, 2, 3, 4, 5, 6]}
            run = await it.run(node("a", gate="g"), many)
            events: list[Event] = []
            async with it.management.runs.journal(run.run_id) as batches:
                async for batch in batches:
                    events += batch
                    it.world.told.open("g")
            kept = await it.world.leading.store.events(run.run_id)  # type: ignore[arg-type]  # views hold ids as plain text
            assert events == list(kept)
            assert events[-1].type in RUN_ENDS
            async with it.management.runs.journal(run.run_id, after=events[-2].seq) as batches:
                assert [list(batch) async for batch in batches] == [events[-1:]]
            workflow = await it.management.runs.workflow_of(run.run_id)
            assert [one.id for one in workflow.nodes] == ["a", "many"]

    async def test_logs_come_attempt_by_attempt(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            retry = {"max_attempts": 2, "first_delay": 0}
            again = {**node("b", "a", fail="no", print="second é\n"), "retry": retry}
            run = await it.run(node("a", print="first"), again)
            await it.management.runs.wait(run.run_id)
            assert await self._logs(it, run.run_id) == [
                ("a", None, 1, "first"),
                ("b", None, 1, "second é\n"),
                ("b", None, 2, "second é\n"),
            ]
            assert await self._logs(it, run.run_id, node_id="b", attempt=2) == [
                ("b", None, 2, "second é\n")
            ]
            for wrong in ({"node_id": "c"}, {"attempt": 3}, {"item": 0}):
                with pytest.raises(NotFound):
                    await self._logs(it, run.run_id, **wrong)

    async def test_logs_are_followed_while_a_node_writes(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            run = await it.run(node("a", gate="g", print="so far\n"))
            pieces = []
            async with it.management.runs.logs(run.run_id, follow=True) as logs:
                async for piece in logs:
                    pieces.append((piece.node_id, piece.text))
                    it.world.told.open("g")
            assert pieces == [("a", "so far\n")]

    async def test_events_of_the_past_are_listed(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            events = it.management.events
            runs = [await it.run(node("a", fail="no")) for _ in range(2)]
            for run in runs:
                await it.management.runs.wait(run.run_id)
            everything = await events.list(Wanted())
            assert {event.run_id for event in everything.items} == {run.run_id for run in runs}
            newest = await events.list(Wanted(), limit=3)
            assert list(newest.items) == list(everything.items)[-3:]
            first = await events.list(Wanted(), after="0", limit=3)
            assert list(first.items) == list(everything.items)[:3]
            second = await events.list(Wanted(), after=first.position, limit=1)
            assert list(second.items) == list(everything.items)[3:4]
            failed = Wanted(
                min_severity=Severity.ERROR, types=["node"], run_id=runs[0].run_id, workflow_id="w"
            )
            (event,) = (await events.list(failed)).items
            assert (event.type, event.node_id, event.engine_id) == ("node.failed", "a", ENGINE)
            assert event.data["error"]["message"] == "no"
            with pytest.raises(InputError):
                await events.list(Wanted(), after="x")

    async def test_events_are_followed_from_now_on_or_from_one_of_the_past(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            wanted = Wanted(types=["run.queued"])
            async with it.management.events.follow(wanted) as news:
                first = await it.run()
                event = await anext(news)
                assert (event.run_id, event.type) == (first.run_id, Type.RUN_QUEUED)
            await it.management.runs.wait(first.run_id)
            second = await it.management.runs.start("w")
            async with it.management.events.follow(wanted, after=event.id) as news:
                assert (await anext(news)).run_id == second.run_id
            with pytest.raises(InputError):
                async with it.management.events.follow(wanted, after="x"):
                    pass

    async def test_a_registration_is_told(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            async with it.management.events.follow(Wanted(types=["workflow"])) as news:
                await it.management.workflows.register(document())
                await it.management.workflows.register(document())
                await it.management.workflows.delete("w")
                told = [await anext(news), await anext(news)]
            assert [(one.type, one.workflow_id, one.data) for one in told] == [
                ("workflow.registered", "w", {"version": "1.0.0"}),
                ("workflow.deleted", "w", {"versions": ["1.0.0"]}),
            ]

    # engines

    async def test_engines_are_listed_and_drained(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            engines = it.management.engines
            (view,) = await engines.list()
            assert (view.id, view.status, view.capacity) == (ENGINE, "idle", CAPACITY)
            assert (view.active_runs, view.labels) == (0, {"zone": "a"})
            drained = await engines.drain(ENGINE, on=True)
            assert drained == attrs.evolve(view, status="draining")
            run = await it.run()
            await trio.sleep(0.1)
            told = await it.management.runs.explain(run.run_id)
            assert told.status is RunStatus.QUEUED
            assert (await engines.drain(ENGINE, on=False)).status != "draining"
            assert (await it.management.runs.wait(run.run_id)).status is RunStatus.SUCCEEDED
            with pytest.raises(NotFound):
                await engines.drain("none", on=True)

    async def _status(self, it: Reached, run_id: str, wanted: RunStatus) -> None:
        while (await it.management.runs.get(run_id)).result.status is not wanted:  # noqa: ASYNC110 — it is told by nobody
            await trio.sleep(0.01)

    async def _logs(
        self, it: Reached, run_id: str, **wanted: Any
    ) -> list[tuple[str, int | None, int, str]]:
        async with it.management.runs.logs(run_id, **wanted) as pieces:
            return [(one.node_id, one.item, one.attempt, one.text) async for one in pieces]
