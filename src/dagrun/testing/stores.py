# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every store must do, as tests to inherit."""

from abc import abstractmethod
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import MAX_OUTPUT, Raw, decode, encode
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.errors import ConflictError, NotFound, RunHasEnded, StoreError
from dagrun.ports.store import (
    MAX_LIMIT,
    CommitResult,
    MessageKind,
    Refusal,
    Rejection,
    Request,
    Slot,
    Store,
)
from dagrun.testing.journals import (
    ATTEMPT,
    ERROR,
    LATER,
    NASTY,
    NOON,
    add_run,
    definition,
    event,
    journal,
    new_run,
    registration,
)
from dagrun.testing.stores_engines import EnginesSuite, add_child, assignment, taken, waiting
from dagrun.testing.stores_reruns import RerunsSuite
from dagrun.testing.stores_tokens import TokensSuite, token


class StoreSuite(EnginesSuite, RerunsSuite, TokensSuite):
    """Inherit it in a test module, and say how to make a store; pytest-trio runs the rest."""

    async def test_a_store_says_what_people_know_it_by(self, store: Store) -> None:
        assert store.place

    # journals

    async def test_a_journal_comes_back_as_it_was_written(self, store: Store) -> None:
        await add_run(store)
        assert await store.events(RunId("r")) == journal()

    async def test_a_journal_can_be_read_from_a_position(self, store: Store) -> None:
        await add_run(store)
        assert await store.events(RunId("r"), after=5) == journal()[5:]
        assert await store.events(RunId("r"), after=7) == []

    async def test_a_run_that_nobody_stored_has_no_events(self, store: Store) -> None:
        assert await store.events(RunId("none")) == []
        assert await store.nodes(RunId("none")) == []

    async def test_times_keep_their_microseconds_and_stay_aware(self, store: Store) -> None:
        time = NOON + timedelta(microseconds=1)
        given = event(1, Type.RUN_QUEUED, time=time)
        await store.commit([given], new_runs=[new_run(created_at=time)])
        assert (await store.events(RunId("r")))[0].time == time
        assert (await store.run(RunId("r"))).created_at == time

    async def test_an_output_of_the_greatest_size_is_kept(self, store: Store) -> None:
        outputs = "x" * (MAX_OUTPUT - 2)
        await store.commit(journal(outputs=outputs), new_runs=[new_run()])
        (node,) = await store.nodes(RunId("r"))
        assert node.outputs is not None
        assert decode(node.outputs) == outputs

    async def test_an_empty_commit_does_nothing(self, store: Store) -> None:
        assert await store.commit([]) == CommitResult()

    # what is taken and what is not

    async def test_an_event_that_is_there_is_dropped(self, store: Store) -> None:
        await add_run(store, upto=4)
        assert await store.commit(journal()) == CommitResult()
        assert await store.commit(journal()[2:5]) == CommitResult()
        assert await store.events(RunId("r")) == journal()

    async def test_an_event_given_twice_in_a_batch_is_stored_once(self, store: Store) -> None:
        await store.commit([*journal()[:3], *journal()], new_runs=[new_run()])
        assert await store.events(RunId("r")) == journal()

    async def test_a_gap_makes_the_store_refuse_all_of_the_batch(self, store: Store) -> None:
        await add_run(store, upto=2)
        result = await store.commit([journal()[2], journal()[4]])
        assert result.refused == {"r": Refusal.GAP}
        assert await store.events(RunId("r")) == journal()[:2]
        assert (await store.run(RunId("r"))).last_seq == 2

    @pytest.mark.parametrize("seq", [0, -7, -(10**30)])
    async def test_an_event_before_the_first_makes_the_store_refuse_all_of_the_batch(
        self, store: Store, seq: int
    ) -> None:
        await add_run(store, upto=2)
        early = attrs.evolve(event(3, Type.NODE_RUNNING, **ATTEMPT), seq=seq)
        result = await store.commit([early, journal()[2]])
        assert result.refused == {"r": Refusal.GAP}
        assert await store.events(RunId("r")) == journal()[:2]

    @pytest.mark.parametrize("epoch", [1, 3])
    async def test_events_of_another_epoch_are_refused(self, store: Store, epoch: int) -> None:
        await add_run(store, upto=2)
        await store.claim(RunId("r"), owner="other", expected_epoch=1)
        result = await store.commit([event(3, Type.NODE_RUNNING, **ATTEMPT, epoch=epoch)])
        assert result.refused == {"r": Refusal.STALE_EPOCH}
        assert await store.events(RunId("r")) == journal()[:2]

    async def test_an_owner_that_does_not_know_the_whole_journal_is_refused(
        self, store: Store
    ) -> None:
        await add_run(store, upto=3)
        await store.claim(RunId("r"), owner="other", expected_epoch=1)
        result = await store.commit([event(3, Type.RUN_RUNNING, epoch=2)])
        assert result.refused == {"r": Refusal.GAP}
        assert await store.events(RunId("r")) == journal()[:3]

    async def test_events_of_an_unknown_run_are_refused(self, store: Store) -> None:
        result = await store.commit(journal("none"))
        assert result.refused == {"none": Refusal.UNKNOWN_RUN}

    async def test_a_refused_run_does_not_affect_the_others(self, store: Store) -> None:
        for run_id in ("one", "two"):
            await add_run(store, run_id, upto=2)
        mixed = [journal("one")[2], journal("two")[3], journal("one")[3], *journal("none")]
        result = await store.commit(mixed)
        assert result.refused == {"two": Refusal.GAP, "none": Refusal.UNKNOWN_RUN}
        assert await store.events(RunId("one")) == journal("one")[:4]
        assert await store.events(RunId("two")) == journal("two")[:2]
        assert await store.nodes(RunId("two")) == []

    async def test_a_run_id_that_is_taken_fails_the_whole_commit(self, store: Store) -> None:
        await add_run(store, upto=3)
        with pytest.raises(StoreError):
            await store.commit(
                [journal()[3], *journal("s")], new_runs=[new_run("s"), new_run(owner="thief")]
            )
        assert await store.events(RunId("r")) == journal()[:3]
        assert await store.events(RunId("s")) == []
        assert (await store.run(RunId("r"))).owner == "owner"
        with pytest.raises(NotFound):
            await store.run(RunId("s"))

    # definitions

    async def test_a_definition_is_stored_once(self, store: Store) -> None:
        given = definition(bytes(encode(NASTY)))
        for _ in range(2):
            await store.commit([], definitions=[given, given])
        assert await store.definition(given.hash) == given

    async def test_a_missing_definition_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.definition("0" * 64)

    # projections

    async def test_a_run_is_queued_when_it_is_stored(self, store: Store) -> None:
        await add_run(store, upto=1, priority=-3)
        run = await store.run(RunId("r"))
        assert (run.status, run.epoch, run.last_seq, run.priority) == ("queued", 1, 1, -3)
        assert (run.workflow_id, run.version, run.owner) == ("w", "1.0.0", "owner")
        assert (run.started_at, run.finished_at, run.outputs, run.error) == (None,) * 4
        assert decode(run.inputs) == NASTY

    async def test_a_run_and_its_node_show_how_they_ended(self, store: Store) -> None:
        await add_run(store)
        run, (node,) = await store.run(RunId("r")), await store.nodes(RunId("r"))
        assert run.status is RunStatus.SUCCEEDED
        assert (run.started_at, run.finished_at) == (journal()[1].time, journal()[6].time)
        assert node.status is NodeStatus.SUCCEEDED
        assert (node.started_at, node.finished_at) == (journal()[2].time, journal()[5].time)
        assert (node.attempts, node.item, node.error) == (2, None, None)
        assert decode(run.outputs or b"") == decode(node.outputs or b"") == NASTY

    async def test_events_one_by_one_leave_the_same_rows_as_all_at_once(self, store: Store) -> None:
        await add_run(store, "r", upto=0)
        for one in journal():
            await store.commit([one])
        single = await store.run(RunId("r")), await store.nodes(RunId("r"))
        await add_run(store, "s")
        run, nodes = await store.run(RunId("s")), await store.nodes(RunId("s"))
        assert _shape(*single) == _shape(run, nodes)

    async def test_an_error_is_shown_with_the_run_and_the_node(self, store: Store) -> None:
        failed = [
            *journal()[:3],
            event(4, Type.NODE_FAILED, **ATTEMPT, data={"error": ERROR}),
            event(5, Type.RUN_FAILED, data={"error": ERROR}),
        ]
        await store.commit(failed, new_runs=[new_run()])
        run, (node,) = await store.run(RunId("r")), await store.nodes(RunId("r"))
        assert (run.error, node.error) == (ERROR, ERROR)
        assert (run.outputs, node.outputs) == (None, None)

    async def test_items_are_given_in_order_behind_their_node(self, store: Store) -> None:
        ready = event(3, Type.NODE_READY, node_id="a", data={"items": Raw(b"[1]"), "when": True})
        indexes = [10, 0, 2]
        items = [
            event(4 + n, Type.NODE_RUNNING, **ATTEMPT, item=index)
            for n, index in enumerate(indexes)
        ]
        await store.commit([*journal()[:2], ready, *items], new_runs=[new_run()])
        assert [node.item for node in await store.nodes(RunId("r"))] == [None, 0, 2, 10]

    async def test_a_missing_run_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.run(RunId("none"))

    # lists

    async def test_runs_come_newest_first_in_pages(self, store: Store) -> None:
        for number in range(5):
            await add_run(store, f"r{number}", upto=1)
        first, cursor = await store.runs(limit=2)
        await add_run(store, "r9", upto=1)
        second, cursor = await store.runs(limit=2, cursor=cursor)
        third, end = await store.runs(limit=2, cursor=cursor)
        found = [[run.run_id for run in page] for page in (first, second, third)]
        assert found == [["r4", "r3"], ["r2", "r1"], ["r0"]]
        assert end is None

    async def test_a_page_that_is_just_full_has_no_next_one(self, store: Store) -> None:
        await add_run(store)
        runs, cursor = await store.runs(limit=1)
        assert (len(runs), cursor) == (1, None)

    @pytest.mark.parametrize("limit", [-1, 0, MAX_LIMIT + 1, 2**63])
    async def test_a_limit_that_makes_no_sense_is_refused(self, store: Store, limit: int) -> None:
        await add_run(store)
        for ask in (
            lambda: store.runs(limit=limit),
            lambda: store.log(after=0, limit=limit),
            lambda: store.prune(before=LATER, now=LATER, limit=limit),
        ):
            with pytest.raises(ValueError, match="limit"):
                await ask()
        assert len((await store.runs(limit=MAX_LIMIT))[0]) == 1

    async def test_runs_are_found_by_workflow_and_status(self, store: Store) -> None:
        await add_run(store, "r1", workflow_id="w", upto=2)
        await add_run(store, "r2", workflow_id="v", upto=2)
        await add_run(store, "r3", workflow_id="w", upto=1)
        runs, _ = await store.runs(workflow_id="w", status=RunStatus.RUNNING)
        assert [run.run_id for run in runs] == ["r1"]
        assert await store.runs(workflow_id="none") == ([], None)

    # claims

    async def test_a_claim_gives_the_run_the_next_epoch(self, store: Store) -> None:
        await add_run(store, upto=2)
        claimed = await store.claim(RunId("r"), owner="other", expected_epoch=1)
        assert (claimed.owner, claimed.epoch, claimed.last_seq) == ("other", 2, 2)
        assert await store.run(RunId("r")) == claimed
        result = await store.commit([event(3, Type.RUN_RUNNING, epoch=2)])
        assert result == CommitResult()
        assert (await store.events(RunId("r")))[-1].epoch == 2

    async def test_a_claim_under_another_epoch_changes_nothing(self, store: Store) -> None:
        await add_run(store, upto=2)
        with pytest.raises(ConflictError):
            await store.claim(RunId("r"), owner="other", expected_epoch=2)
        assert (await store.run(RunId("r"))).owner == "owner"

    async def test_a_run_that_has_ended_cannot_be_claimed(self, store: Store) -> None:
        await add_run(store)
        before = await store.run(RunId("r"))
        assert before.finished_at is not None
        for epoch in (1, 2):
            with pytest.raises(RunHasEnded):
                await store.claim(RunId("r"), owner="other", expected_epoch=epoch)
        assert await store.run(RunId("r")) == before

    async def test_a_claim_on_a_missing_run_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.claim(RunId("none"), owner="other", expected_epoch=1)

    async def test_of_claims_at_the_same_time_one_wins(self, store: Store) -> None:
        await add_run(store, upto=2)
        won: list[str] = []

        async def claim(owner: str) -> None:
            try:
                await store.claim(RunId("r"), owner=owner, expected_epoch=1)
            except ConflictError:
                return
            won.append(owner)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(claim, f"o{number}")
        assert [(await store.run(RunId("r"))).owner] == won

    # the order of all runs

    async def test_events_of_all_runs_have_positions_that_grow(self, store: Store) -> None:
        assert await store.last_position() == 0
        both = [journal("r")[0], *journal("s")[:2], journal("r")[1]]
        result = await store.commit(both, new_runs=[new_run("r"), new_run("s", workflow_id="v")])
        assert list(result.taken) == both
        later = await store.commit([*journal("r")[:1], journal("r")[2]])
        assert list(later.taken) == [journal("r")[2]]
        assert later.position == result.position + 4
        logged = await store.log(after=0, limit=100)
        assert [entry.event for entry in logged] == [*both, journal("r")[2]]
        assert [entry.position - result.position for entry in logged] == [0, 1, 2, 3, 4]
        assert [entry.workflow_id for entry in logged] == ["w", "v", "v", "w", "w"]
        assert await store.last_position() == later.position

    async def test_the_log_can_be_read_in_parts(self, store: Store) -> None:
        await add_run(store)
        first = await store.log(after=0, limit=3)
        rest = await store.log(after=first[-1].position, limit=100)
        assert [entry.event for entry in (*first, *rest)] == journal()

    async def test_the_log_of_one_run_is_that_of_all_without_the_others(self, store: Store) -> None:
        for number in range(7):
            new = [new_run("r"), new_run("s")] if number == 0 else []
            await store.commit([journal("r")[number], journal("s")[number]], new_runs=new)
        everything = await store.log(after=0, limit=100)
        theirs = [entry for entry in everything if entry.event.run_id == "s"]
        assert [entry.event for entry in theirs] == journal("s")
        for after in range(everything[-1].position + 1):
            found = await store.log(after=after, limit=3, run_id=RunId("s"))
            assert found == [entry for entry in theirs if entry.position > after][:3]
        assert await store.log(after=0, limit=9, run_id=RunId("none")) == []

    async def test_the_log_says_which_engine_had_a_run(self, store: Store) -> None:
        placed = [
            (event(1, Type.RUN_QUEUED), None),
            (event(2, Type.RUN_RUNNING, data={"engine": "e1"}), "e1"),
            (event(3, Type.NODE_RUNNING, **ATTEMPT), "e1"),
            (event(4, Type.RUN_PAUSED), "e1"),
            (event(5, Type.RUN_RUNNING), "e1"),
            (event(6, Type.RUN_PAUSED), "e1"),
            (event(7, Type.RUN_QUEUED), None),
            (event(8, Type.RUN_CANCELLING, data={"engine": "e2", "reason": "requested"}), "e2"),
            (event(9, Type.NODE_CANCELLED, **ATTEMPT), "e2"),
            (event(10, Type.RUN_PAUSED, data={"engine": None, "reason": "requested"}), None),
            (event(11, Type.NODE_CANCELLED, **ATTEMPT), None),
        ]
        await store.commit([one for one, _ in placed], new_runs=[new_run()])
        await store.claim(RunId("r"), owner="other", expected_epoch=1)
        later = [
            (event(12, Type.RUN_PAUSED, epoch=2), None),
            (event(13, Type.RUN_CANCELLING, epoch=2, data={"engine": "e3"}), "e3"),
            (event(14, Type.RUN_CANCELLED, epoch=2), "e3"),
        ]
        await store.commit([one for one, _ in later])
        placed += later
        await add_run(store, "other")
        for after in range(len(placed)):  # also who begins to read in the middle sees it
            (first, *_) = await store.log(after=after, limit=1)
            assert (first.event, first.engine_id) == placed[after]
        theirs = await store.log(after=0, limit=99, run_id=RunId("r"))
        assert [entry.engine_id for entry in theirs] == [engine for _, engine in placed]

    # slots

    async def test_a_run_that_needs_a_slot_at_once_is_left_out_without_one(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=1, at_once=True)
        await add_run(store, "r1", upto=2, slot=slot)
        result = await store.commit(journal("r2"), new_runs=[new_run("r2", slot=slot)])
        assert result == CommitResult(unsaved={RunId("r2"): Rejection.NO_SLOT})
        assert await store.events(RunId("r2")) == []
        with pytest.raises(NotFound):
            await store.run(RunId("r2"))
        await store.commit(journal("r1"))
        await add_run(store, "r3", upto=2, slot=slot)

    async def test_of_runs_in_one_batch_only_as_many_as_have_room_are_stored(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=2, at_once=True)
        runs = [new_run(f"r{number}", slot=slot) for number in range(4)]
        events = [journal(run.run_id)[0] for run in runs]
        result = await store.commit(events, new_runs=runs)
        assert result.unsaved == dict.fromkeys(("r2", "r3"), Rejection.NO_SLOT)
        assert [run.run_id for run in await store.holders("w/k")] == ["r0", "r1"]

    async def test_a_slot_is_given_while_one_is_free_and_kept_until_the_end(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=1)
        for run_id in ("r1", "r2"):
            await add_run(store, run_id, upto=2, slot=slot)
            assert not (await store.run(RunId(run_id))).admitted
        assert await store.admit(RunId("r1"), slot)
        assert await store.admit(RunId("r1"), slot)
        assert not await store.admit(RunId("r2"), slot)
        assert await store.admit(RunId("r2"), Slot(key="w/other", limit=1))
        assert [run.run_id for run in await store.holders("w/k")] == ["r1"]
        await store.commit(journal("r1"))
        assert await store.holders("w/k") == []
        assert (await store.run(RunId("r2"))).slot_key == "w/other"

    async def test_rivals_are_the_runs_with_a_slot_and_those_that_waited_before(
        self, store: Store
    ) -> None:
        slot = Slot(key="w/k", limit=9)
        for run_id in ("r2", "r1", "r3", "r4", "r5"):
            await add_run(store, run_id, upto=2, slot=slot)
        await add_run(store, "r0", upto=2, slot=Slot(key="w/other", limit=9))
        await add_run(store, "r00", upto=2)
        assert await store.admit(RunId("r1"), slot)
        assert await store.admit(RunId("r5"), slot)
        rivals = await store.rivals(RunId("r3"), "w/k")
        assert [run.run_id for run in rivals] == ["r1", "r2", "r3", "r5"]
        assert [run.admitted for run in rivals] == [True, False, False, True]
        for run_id in ("r2", "r5"):
            await store.commit(journal(run_id)[2:])
        rivals = await store.rivals(RunId("r3"), "w/k")
        assert [run.run_id for run in rivals] == ["r1", "r3"]

    async def test_a_slot_for_a_missing_run_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.admit(RunId("none"), Slot(key="w/k", limit=1))

    # idempotency keys

    async def test_the_same_request_is_stored_once(self, store: Store) -> None:
        request = Request(key="k", hash="h")
        runs = [new_run(f"r{number}", request=request) for number in range(3)]
        events = [journal(run.run_id)[0] for run in runs]
        result = await store.commit(events, new_runs=runs)
        assert result.unsaved == {"r1": "r0", "r2": "r0"}
        later = await store.commit([], new_runs=[new_run("r9", request=request)])
        assert later.unsaved == {"r9": "r0"}
        assert [run.run_id for run in (await store.runs())[0]] == ["r0"]

    async def test_what_a_key_stands_for_is_told_and_nothing_is_stored(self, store: Store) -> None:
        request = Request(key="k", hash="h")
        assert await store.standing(new_run("r2", request=request)) is None
        await add_run(store, "r1", request=request)
        later = NOON + timedelta(hours=24, seconds=1)
        for run, expected in (
            (new_run("r2", request=request), "r1"),
            (new_run("r2", request=Request(key="k", hash="other")), Rejection.OTHER_REQUEST),
            (new_run("r2", request=request, workflow_id="v"), None),
            (new_run("r2", request=request, created_at=later), None),
            (new_run("r2"), None),
        ):
            assert await store.standing(run) == expected
        assert [run.run_id for run in (await store.runs())[0]] == ["r1"]

    async def test_another_request_under_the_same_key_is_refused(self, store: Store) -> None:
        await add_run(store, "r1", request=Request(key="k", hash="h"))
        other = new_run("r2", request=Request(key="k", hash="other"))
        assert (await store.commit([], new_runs=[other])).unsaved == {"r2": Rejection.OTHER_REQUEST}

    async def test_a_key_is_of_one_workflow_and_free_again_after_a_day(self, store: Store) -> None:
        request = Request(key="k", hash="h")
        await add_run(store, "r1", request=request)
        await add_run(store, "r2", request=request, workflow_id="v")
        day = timedelta(hours=24)
        early = new_run("r3", request=request, created_at=NOON + day)
        assert (await store.commit([], new_runs=[early])).unsaved == {"r3": "r1"}
        late = new_run("r4", request=request, created_at=NOON + day + timedelta(seconds=1))
        assert (await store.commit([], new_runs=[late])).unsaved == {}
        again = new_run("r5", request=request, created_at=late.created_at)
        assert (await store.commit([], new_runs=[again])).unsaved == {"r5": "r4"}

    # registered workflows

    async def test_a_version_is_registered_once_and_never_changes(self, store: Store) -> None:
        first = registration("w", "1.0.0", metadata=encode({"owner": "me"}), base="/b")
        assert await store.register(first, definition())
        assert not await store.register(first, definition())
        other = definition(b'{"id":"other"}')
        changed = registration("w", "1.0.0", definition_hash=other.hash)
        with pytest.raises(ConflictError):
            await store.register(changed, other)
        assert await store.registrations("w") == [first]
        assert await store.definition(first.definition_hash) == definition()

    async def test_versions_are_listed_by_workflow(self, store: Store) -> None:
        given = [registration("w", "2.0.0"), registration("v", "1.0.0"), registration("w", "1.0.0")]
        for number, one in enumerate(given):
            given[number] = attrs.evolve(one, registered_at=NOON + timedelta(seconds=number))
            await store.register(given[number], definition())
        assert await store.registrations() == [given[1], given[0], given[2]]
        assert await store.registrations("w") == [given[0], given[2]]
        assert await store.registrations("none") == []

    # pruning

    async def test_pruning_takes_old_ended_runs_and_nothing_else(self, store: Store) -> None:
        for run_id, upto in (("r1", 7), ("r2", 7), ("r3", 3)):
            await add_run(store, run_id, upto=upto)
        end = journal()[-1].time
        assert await store.prune(before=end, now=LATER, limit=10) == []
        assert await store.prune(before=end + timedelta(seconds=1), now=LATER, limit=1) == ["r1"]
        assert await store.prune(before=end + timedelta(seconds=1), now=LATER, limit=10) == ["r2"]
        assert [run.run_id for run in (await store.runs())[0]] == ["r3"]
        assert await store.events(RunId("r1")) == []
        assert await store.nodes(RunId("r1")) == []
        assert {entry.event.run_id for entry in await store.log(after=0, limit=99)} == {"r3"}
        assert await store.definition(definition().hash) == definition()

    async def test_a_definition_goes_with_the_last_run_that_used_it(self, store: Store) -> None:
        kept, gone = definition(b'{"id":"kept"}'), definition(b'{"id":"gone"}')
        await store.register(registration("w", "1.0.0", definition_hash=kept.hash), kept)
        for run_id, used in (("r1", kept), ("r2", gone)):
            run = new_run(run_id, definition_hash=used.hash)
            await store.commit(journal(run_id), new_runs=[run], definitions=[used])
        assert len(await store.prune(before=LATER, now=LATER, limit=10)) == 2
        assert await store.definition(kept.hash) == kept
        with pytest.raises(NotFound):
            await store.definition(gone.hash)

    async def test_a_run_stays_for_as_long_as_its_key_stands_for_it(self, store: Store) -> None:
        request = Request(key="k", hash="h")
        await add_run(store, "r1", request=request)
        await add_run(store, "r2")
        assert await store.prune(before=LATER, now=LATER, limit=10) == ["r2"]
        again = new_run("r3", request=request, created_at=LATER)
        assert (await store.commit([], new_runs=[again])).unsaved == {"r3": "r1"}
        after = LATER + timedelta(microseconds=1)
        assert await store.prune(before=LATER, now=after, limit=10) == ["r1"]
        fresh = new_run("r4", request=request, created_at=after)
        assert (await store.commit([], new_runs=[fresh])).unsaved == {}

    async def test_positions_are_not_given_again_after_pruning(self, store: Store) -> None:
        await add_run(store)
        before = await store.last_position()
        await store.prune(before=LATER, now=LATER, limit=10)
        assert await store.last_position() == before
        assert (await store.commit(journal(), new_runs=[new_run()])).position == before + 1

    async def test_commits_and_reads_at_the_same_time_see_whole_batches(self, store: Store) -> None:
        await add_run(store, upto=2)

        async def read() -> None:
            assert len(await store.events(RunId("r"))) in (2, 7)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(read)
                if number == 4:
                    nursery.start_soon(store.commit, journal()[2:])


class DurableStoreSuite(StoreSuite):
    """What a store that keeps things longer than its process must do, too."""

    @abstractmethod
    def file(self, folder: Path) -> Path:
        """Give the file in which a store made for ``folder`` keeps what it has."""

    async def test_everything_is_there_after_reopening(self, tmp_path: Path) -> None:
        async with self.make_store(tmp_path) as store:
            await add_run(store)
            before = await store.run(RunId("r")), await store.nodes(RunId("r"))
        async with self.make_store(tmp_path) as store:
            assert (await store.run(RunId("r")), await store.nodes(RunId("r"))) == before
            assert await store.events(RunId("r")) == journal()
            assert await store.definition(definition().hash) == definition()

    async def test_messages_and_assignments_are_there_after_reopening(self, tmp_path: Path) -> None:
        async with self.make_store(tmp_path) as store:
            await add_run(store, upto=2)
            await add_child(store, "c", upto=7)
            await store.commit([], assignments=[assignment()])
            before = await store.run(RunId("r")), await store.messages(RunId("r"))
        async with self.make_store(tmp_path) as store:
            assert (await store.run(RunId("r")), await store.messages(RunId("r"))) == before
            assert [child.run_id for child in await store.children(RunId("r"))] == ["c"]
            await store.commit([], taken=[taken(1)])
        async with self.make_store(tmp_path) as store:
            await store.post(RunId("r"), MessageKind.PAUSE)
            assert await waiting(store) == [(2, "pause")]

    async def test_tokens_are_there_after_reopening(self, tmp_path: Path) -> None:
        async with self.make_store(tmp_path) as store:
            await store.add_token(token())
        async with self.make_store(tmp_path) as store:
            assert await store.tokens() == [token()]

    async def test_what_is_there_is_dropped_and_refused_after_reopening(
        self, tmp_path: Path
    ) -> None:
        async with self.make_store(tmp_path) as store:
            await add_run(store, upto=3)
            await add_run(store, "s", upto=3)
            await store.claim(RunId("s"), owner="other", expected_epoch=1)
        async with self.make_store(tmp_path) as store:
            result = await store.commit([*journal(), *journal("s")])
            assert result.refused == {"s": Refusal.STALE_EPOCH}
            assert await store.events(RunId("r")) == journal()

    async def test_a_backup_is_a_whole_store(self, tmp_path: Path) -> None:
        copy = self.file(tmp_path / "copy")
        copy.parent.mkdir(parents=True)
        async with self.make_store(tmp_path) as store:
            await add_run(store)
            await store.backup(copy)
            await add_run(store, "later")
            with pytest.raises(StoreError):
                await store.backup(copy)
        async with self.make_store(tmp_path / "copy") as store:
            assert [run.run_id for run in (await store.runs())[0]] == ["r"]
            assert await store.events(RunId("r")) == journal()
            await add_run(store, "s")

    async def test_a_backup_that_cannot_be_written_leaves_nothing(self, tmp_path: Path) -> None:
        async with self.make_store(tmp_path) as store:
            with pytest.raises(StoreError):
                await store.backup(self.file(tmp_path / "missing"))
        assert not (tmp_path / "missing").exists()

    async def test_two_open_stores_see_each_other(self, tmp_path: Path) -> None:
        async with self.make_store(tmp_path) as one, self.make_store(tmp_path) as other:
            await add_run(one, upto=3)
            assert await other.events(RunId("r")) == journal()[:3]
            await other.commit(journal())
            assert (await one.run(RunId("r"))).last_seq == 7


def _shape(run: Any, nodes: Any) -> tuple[Any, ...]:
    """Give what must be the same for two runs with like journals."""
    row = (run.status, run.epoch, run.last_seq, run.started_at, run.finished_at, run.error)
    rows = [(n.node_id, n.item, n.status, n.attempts, n.started_at, n.finished_at) for n in nodes]
    return (*row, run.outputs, rows, [(n.outputs, n.error) for n in nodes])
