# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What everybody must do who gives journals, logs and events, as tests to inherit."""

from pathlib import Path

import pytest
import trio

from dagrun.domain.events import RUN_ENDS, Event, Type
from dagrun.domain.monitoring import Severity
from dagrun.domain.serialize import to_json
from dagrun.errors import InputError, NotFound
from dagrun.ports.management import Wanted
from dagrun.testing.journals import definition, journal, new_run
from dagrun.testing.managed import ENGINE
from dagrun.testing.reached import Reaching, document, node


class StreamsSuite(Reaching):
    """What comes piece by piece."""

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

    async def test_nothing_more_is_waited_for_of_a_run_that_was_cut_off(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            await it.management.workflows.register(document())
            _, workflow = await it.management.workflows.get("w")
            body = to_json(workflow)
            stored = definition(body)
            await it.world.leading.store.commit(
                journal("cut")[:3],
                new_runs=[new_run("cut", definition_hash=stored.hash, inputs=b"{}")],
                definitions=[stored],
            )
            async with it.management.runs.journal("cut") as batches:
                assert [event.seq async for batch in batches for event in batch] == [1, 2, 3]
            assert await self.logs(it, "cut", follow=True) == []
            assert (await it.management.runs.get("cut")).resumable

    async def test_logs_come_attempt_by_attempt(self, tmp_path: Path) -> None:
        async with self.reached(tmp_path) as it:
            retry = {"max_attempts": 2, "first_delay": 0}
            again = {**node("b", "a", fail="no", print="second é\n"), "retry": retry}
            run = await it.run(node("a", print="first"), again)
            await it.management.runs.wait(run.run_id)
            wanted = [
                ("a", None, 1, "first"),
                ("b", None, 1, "second é\n"),
                ("b", None, 2, "second é\n"),
            ]
            while (told := await self.logs(it, run.run_id)) != wanted:  # they come moments later
                assert all(piece in wanted for piece in told)
                await trio.sleep(0.01)
            assert await self.logs(it, run.run_id, node_id="b", attempt=2) == [
                ("b", None, 2, "second é\n")
            ]
            for wrong in ({"node_id": "c"}, {"attempt": 3}, {"item": 0}):
                with pytest.raises(NotFound):
                    await self.logs(it, run.run_id, **wrong)

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
            second = await it.starts.runs.start("w")
            async with it.management.events.follow(wanted, after=event.id) as news:
                assert (await anext(news)).run_id == second.run_id
            with pytest.raises(InputError):
                async with it.management.events.follow(wanted, after="x"):
                    pass

    async def test_who_knows_of_an_event_that_is_not_there_goes_on_behind_a_gap(
        self, tmp_path: Path
    ) -> None:
        async with self.reached(tmp_path) as it:
            await it.management.runs.wait((await it.run()).run_id)
            wanted = Wanted(types=["run.queued"])
            last = (await it.management.events.list(wanted)).position
            ahead = f"{int(last) + 1000}"
            assert (await it.management.events.list(wanted, after=ahead)).position == last
            async with it.management.events.follow(wanted, after=ahead) as news:
                event = await anext(news)
                assert (event.type, event.data) == ("gap", {"after": last})
                second = await it.starts.runs.start("w")
                assert (await anext(news)).run_id == second.run_id
