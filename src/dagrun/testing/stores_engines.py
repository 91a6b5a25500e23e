# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What every store must do for engines in other processes: messages, assignments, children."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import MAX_OUTPUT, Raw, encode
from dagrun.errors import NotFound
from dagrun.ports.store import (
    Assignment,
    CommitResult,
    Message,
    MessageKind,
    NewRun,
    Parent,
    Posted,
    Refusal,
    Rejection,
    Store,
    Taken,
)
from dagrun.testing.journals import ATTEMPT, ERROR, LATER, add_run, event, journal, new_run
from dagrun.testing.limits import WHOLE

R = RunId("r")
CANCEL, PAUSE = MessageKind.CANCEL, MessageKind.PAUSE


def parent(run_id: str = "r", **fields: Any) -> Parent:
    """Say that the first attempt of node ``a`` of a run starts a child."""
    values = {"epoch": 1, "node_id": "a", "item": None, "attempt": 1, "depth": 1}
    return Parent(run_id=RunId(run_id), **{**values, **fields})


async def add_child(store: Store, run_id: str, of: str = "r", *, upto: int = 2, **at: Any) -> None:
    """Store a child of a run, started by a node that has its name."""
    given = new_run(run_id, parent=parent(of, **{"node_id": run_id, **at}))
    assert await store.commit(journal(run_id)[:upto], new_runs=[given]) == CommitResult()


def taken(number: int, epoch: int = 1) -> Taken:
    """Say that a message of run ``r`` was taken up."""
    return Taken(run_id=R, epoch=epoch, number=number)


def assignment(engine_id: str | None = "e", run_id: str = "r", **fields: Any) -> Assignment:
    """Assign a run to an engine, or to none."""
    instance = None if engine_id is None else "i"
    values = {"run_id": RunId(run_id), "epoch": 1, "engine_id": engine_id, "instance": instance}
    return Assignment(**{**values, **fields})


async def waiting(store: Store, run_id: str = "r") -> list[tuple[int, str]]:
    """Give numbers and kinds of the messages of a run."""
    messages = await store.messages(RunId(run_id))
    return [(message.number, str(message.kind)) for message in messages]


async def place(store: Store, run_id: str = "r") -> tuple[str | None, str | None]:
    """Give the engine that has a run, and which life of it."""
    run = await store.run(RunId(run_id))
    return run.engine_id, run.instance


def whom(posted: Sequence[Posted]) -> list[tuple[str, str]]:
    """Give the runs to which something was posted, and what."""
    return [(one.run_id, str(one.message.kind)) for one in posted]


def cancelling(seq: int = 3, run_id: str = "r") -> Event:
    """Make the event with which the cancellation of a run begins."""
    return event(seq, Type.RUN_CANCELLING, run_id, data={"reason": "requested"})


ENDINGS = [
    event(3, Type.RUN_ENDING, data={"status": "failed", "error": ERROR}),
    event(3, Type.RUN_SUCCEEDED, data={"outputs": Raw(b"{}")}),
    event(3, Type.RUN_FAILED, data={"error": ERROR}),
]


async def _fail_late() -> None:
    await trio.sleep(WHOLE)
    pytest.fail(f"the test takes more than {WHOLE:g} s")


class EnginesSuite(ABC):
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

    @abstractmethod
    def make_store(self, folder: Path) -> Store:
        """Make a store that keeps what it has in ``folder``."""

    @pytest.fixture
    async def store(self, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Store]:
        nursery.start_soon(_fail_late)  # it ends with the test, and the test with it
        async with self.make_store(tmp_path) as store:
            yield store

    async def test_what_is_posted_waits_in_order_with_its_data(self, store: Store) -> None:
        await add_run(store, upto=2)
        data = {"reason": "requested", "nested": {"list": [1, None, "ü\0"]}}
        posted = [
            await store.post(R, PAUSE),
            await store.post(R, MessageKind.RESUME),
            await store.post(R, CANCEL, data),
        ]
        expected = [
            Message(number=1, kind=PAUSE),
            Message(number=2, kind=MessageKind.RESUME),
            Message(number=3, kind=CANCEL, data=data),
        ]
        assert posted == [[Posted(run_id=R, message=message)] for message in expected]
        assert await store.messages(R) == expected
        assert await store.messages(RunId("none")) == []

    async def test_numbers_are_not_given_again(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        for number in (1, 2, 3):
            await store.post(R, PAUSE)
            assert await waiting(store) == [(number, "pause")]
            assert await store.commit([], taken=[taken(number)]) == CommitResult()
            assert await waiting(store) == []
        await store.post(RunId("other"), PAUSE)
        assert await waiting(store, "other") == [(1, "pause")]

    async def test_only_what_was_taken_up_is_deleted(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        for run_id in ("r", "r", "other", "r"):
            await store.post(RunId(run_id), PAUSE)
        await store.commit([], taken=[taken(1), taken(3), taken(9), taken(1)])
        assert await waiting(store) == [(2, "pause")]
        assert await waiting(store, "other") == [(1, "pause")]

    @pytest.mark.parametrize("epoch", [1, 3])
    async def test_what_was_taken_up_under_another_epoch_stays(
        self, store: Store, epoch: int
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.claim(R, owner="other", expected_epoch=1)
        await store.commit([], taken=[taken(1, epoch)])
        assert await waiting(store) == [(1, "pause")]
        await store.commit([], taken=[taken(1, epoch=2)])
        assert await waiting(store) == []

    async def test_messages_stay_if_what_they_brought_about_is_refused(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        await store.post(R, CANCEL, {"reason": "requested"})
        before = await store.messages(R)
        gap = await store.commit([cancelling(4), *journal("other")[2:3]], taken=[taken(1)])
        assert gap.refused == {R: Refusal.GAP}
        assert await store.messages(R) == before
        assert not (await store.commit([cancelling(3)], taken=[taken(1)])).refused
        assert await store.messages(R) == []

    async def test_nothing_is_posted_to_a_run_that_has_ended(self, store: Store) -> None:
        await add_run(store)
        for kind in (CANCEL, PAUSE, MessageKind.RESUME):
            assert await store.post(R, kind) == []
        assert await store.messages(R) == []

    async def test_nothing_is_posted_to_a_run_that_is_missing(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.post(RunId("none"), PAUSE)

    async def test_a_request_to_cancel_is_posted_once(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        assert await store.post(R, CANCEL) == []
        assert await waiting(store) == [(1, "cancel")]
        await store.commit([cancelling()], taken=[taken(1)])
        assert await store.post(R, CANCEL) == []
        assert whom(await store.post(R, PAUSE)) == [("r", "pause")]
        assert await waiting(store) == [(2, "pause")]

    async def test_the_end_of_a_run_deletes_its_messages_and_its_assignment(
        self, store: Store
    ) -> None:
        for run_id in ("r", "other", "unposted"):
            await add_run(store, run_id, upto=2)
            await store.commit([], assignments=[assignment(run_id=run_id)])
        for run_id in ("r", "other"):
            await store.post(RunId(run_id), PAUSE)
        await store.commit([*journal()[2:6], *journal("other")[2:6]])
        assert await place(store) == ("e", "i")
        await store.commit([journal()[6], *journal("unposted")[2:]])
        assert await store.messages(R) == []
        assert [await place(store, run_id) for run_id in ("r", "unposted")] == [(None, None)] * 2
        assert await waiting(store, "other") == [(1, "pause")]
        assert await place(store, "other") == ("e", "i")

    @pytest.mark.parametrize("end", ENDINGS, ids=[end.type for end in ENDINGS])
    async def test_no_end_is_decided_on_while_a_request_to_cancel_waits(
        self, store: Store, end: Event
    ) -> None:
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        await store.post(R, CANCEL)
        node = event(3, Type.NODE_RUNNING, **ATTEMPT)
        last = attrs.evolve(end, seq=4)
        result = await store.commit([node, last, *journal("other")[2:]])
        assert result.refused == {R: Refusal.UNSEEN}
        assert await store.events(R) == [*journal()[:2], node]
        assert [one for one in result.taken if one.run_id == R] == [node]
        assert await store.events(RunId("other")) == journal("other")
        assert not (await store.commit([last], taken=[taken(1)])).refused

    async def test_what_follows_a_refused_end_is_not_stored(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        result = await store.commit([ENDINGS[0], event(4, Type.RUN_FAILED, data={"error": ERROR})])
        assert (result.refused, result.taken) == ({R: Refusal.UNSEEN}, [])
        assert await store.events(R) == journal()[:2]

    async def test_a_message_stays_though_only_the_end_behind_it_was_refused(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.post(R, CANCEL)
        node = event(3, Type.NODE_RUNNING, **ATTEMPT)
        await store.commit([node, attrs.evolve(ENDINGS[2], seq=4)], taken=[taken(1)])
        assert await store.events(R) == [*journal()[:2], node]
        assert await waiting(store) == [(1, "pause"), (2, "cancel")]

    async def test_other_messages_keep_no_run_from_ending(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.post(R, MessageKind.RESUME)
        assert not (await store.commit(journal()[2:])).refused

    async def test_a_message_taken_up_in_vain_does_not_stand_for_the_request(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.post(R, CANCEL)
        result = await store.commit([ENDINGS[1]], taken=[taken(1), taken(2, epoch=2)])
        assert result.refused == {R: Refusal.UNSEEN}
        assert await waiting(store) == [(1, "pause"), (2, "cancel")]

    @pytest.mark.parametrize("end", [ENDINGS[0], ENDINGS[2]], ids=["ending", "failed"])
    @pytest.mark.parametrize("at_once", [True, False])
    async def test_a_run_that_is_being_cancelled_anyway_may_end(
        self, store: Store, end: Event, at_once: bool
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        events = [cancelling(), attrs.evolve(end, seq=4)]
        for batch in [events] if at_once else [[one] for one in events]:
            assert not (await store.commit(batch)).refused

    async def test_the_cancellation_of_one_run_does_not_let_another_one_end(
        self, store: Store
    ) -> None:
        for run_id in ("r", "other"):
            await add_run(store, run_id, upto=2)
            await store.post(RunId(run_id), CANCEL)
        result = await store.commit([cancelling(run_id="other"), ENDINGS[2]])
        assert result.refused == {R: Refusal.UNSEEN}

    async def test_the_end_of_a_cancellation_is_never_too_early(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        assert not (await store.commit([event(3, Type.RUN_CANCELLED)])).refused

    async def test_a_run_is_with_no_engine_until_it_is_assigned_to_one(self, store: Store) -> None:
        await add_run(store, upto=2)
        assert await place(store) == (None, None)
        before = await store.run(R)
        assert (await store.commit([], assignments=[assignment()])).unassigned == {}
        after = await store.run(R)
        assert after == attrs.evolve(before, engine_id="e", instance="i")
        assert [run.engine_id for run in (await store.runs())[0]] == ["e"]
        await store.commit([journal()[2]])
        assert await place(store) == ("e", "i")
        await store.commit([], assignments=[assignment("other", instance="j")])
        assert await place(store) == ("other", "j")
        await store.commit([], assignments=[assignment(None)])
        assert await place(store) == (None, None)

    async def test_a_claimed_run_is_with_no_engine(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.commit([], assignments=[assignment()])
        claimed = await store.claim(R, owner="other", expected_epoch=1)
        assert (claimed.engine_id, claimed.instance) == (None, None)
        assert await place(store) == (None, None)

    async def test_a_new_run_is_assigned_in_the_commit_that_stores_it(self, store: Store) -> None:
        result = await store.commit(journal()[:2], new_runs=[new_run()], assignments=[assignment()])
        assert result == CommitResult()
        assert await place(store) == ("e", "i")

    async def test_refused_assignments_affect_neither_events_nor_others(self, store: Store) -> None:
        for run_id in ("r", "other", "ended"):
            await add_run(store, run_id, upto=7 if run_id == "ended" else 2)
        result = await store.commit(
            [journal()[2]],
            assignments=[
                assignment(epoch=2),
                assignment(run_id="ended"),
                assignment(run_id="none"),
                assignment(run_id="other"),
            ],
        )
        assert result == CommitResult(
            unassigned={
                R: Refusal.STALE_EPOCH,
                RunId("ended"): Refusal.ENDED,
                RunId("none"): Refusal.UNKNOWN_RUN,
            }
        )
        assert [await place(store, run_id) for run_id in ("r", "ended")] == [(None, None)] * 2
        assert await place(store, "other") == ("e", "i")
        assert len(await store.events(R)) == 3

    async def test_a_run_that_ends_in_the_same_commit_is_not_assigned(self, store: Store) -> None:
        await add_run(store, upto=2)
        result = await store.commit(journal()[2:], assignments=[assignment()])
        assert result.unassigned == {R: Refusal.ENDED}
        assert await place(store) == (None, None)

    async def test_an_assignment_is_refused_while_there_is_a_newer_message_than_was_seen(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await store.commit([], assignments=[assignment()])
        for _ in range(2):
            await store.post(R, PAUSE)
        result = await store.commit([], assignments=[assignment(None, seen=1)])
        assert result.unassigned == {R: Refusal.UNSEEN}
        assert await place(store) == ("e", "i")
        assert not (await store.commit([], assignments=[assignment(None, seen=2)])).unassigned
        assert await place(store) == (None, None)
        assert not (await store.commit([], assignments=[assignment()])).unassigned
        together = await store.commit([], taken=[taken(2)], assignments=[assignment(None, seen=1)])
        assert not together.unassigned

    async def test_a_childs_end_in_the_same_commit_is_newer_than_what_was_seen(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c")
        result = await store.commit(journal("c")[2:], assignments=[assignment(None, seen=0)])
        assert result.unassigned == {R: Refusal.UNSEEN}

    async def test_a_child_says_what_started_it(self, store: Store) -> None:
        await add_run(store, upto=2)
        given = [
            parent(),
            parent(item=0, attempt=3, depth=7, wait=False),
            parent(node_id="b"),
        ]
        for number in (2, 1, 0):
            await add_run(store, f"c{number}", upto=1, parent=given[number])
        await add_run(store, "d", upto=1, parent=parent("c1"))
        children = await store.children(R)
        assert [child.run_id for child in children] == ["c0", "c1", "c2"]
        assert [child.parent for child in children] == given
        assert children[0] == await store.run(RunId("c0"))
        assert (await store.run(R)).parent is None
        assert await store.children(RunId("c0")) == []
        assert await store.children(RunId("none")) == []

    async def test_the_child_of_one_attempt_is_found_among_many(self, store: Store) -> None:
        await add_run(store, upto=2)
        given = [parent(), parent(item=0), parent(item=1), parent(attempt=2), parent(node_id="b")]
        for number, one in enumerate(given):
            await add_run(store, f"c{number}", upto=1, parent=one)
        for number, one in enumerate(given):
            found = await store.child(one.run_id, one.node_id, one.item, one.attempt)
            assert found == await store.run(RunId(f"c{number}"))
        assert await store.child(R, "b", None, 2) is None
        assert await store.child(RunId("c0"), "a", None, 1) is None

    async def test_a_child_is_stored_once(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_run(store, "first", parent=parent())
        await store.claim(R, owner="owner", expected_epoch=1)
        for asked in (parent(epoch=2), parent(epoch=9), parent(depth=5, wait=False)):
            again = new_run("again", parent=asked)
            result = await store.commit(journal("again"), new_runs=[again])
            assert result == CommitResult(unsaved={RunId("again"): RunId("first")})
        await store.commit([event(3, Type.RUN_FAILED, epoch=2, data={"error": ERROR})])
        result = await store.commit([], new_runs=[new_run("again", parent=parent(epoch=2))])
        assert result.unsaved == {"again": "first"}
        assert [run.run_id for run in await store.children(R)] == ["first"]

    async def test_a_child_asked_for_twice_in_a_commit_is_stored_once(self, store: Store) -> None:
        await add_run(store, upto=2)
        runs = [new_run(run_id, parent=parent()) for run_id in ("c1", "c2")]
        assert (await store.commit([], new_runs=runs)).unsaved == {"c2": "c1"}

    @pytest.mark.parametrize(
        "other", [{"node_id": "b"}, {"item": 0}, {"item": 1}, {"attempt": 2}, {"run_id": "s"}]
    )
    async def test_each_node_item_and_attempt_has_a_child_of_its_own(
        self, store: Store, other: dict[str, Any]
    ) -> None:
        for run_id in ("r", "s"):
            await add_run(store, run_id, upto=2)
        await add_run(store, "c1", parent=parent())
        await add_run(store, "c2", parent=parent(**other))

    @pytest.mark.parametrize("why", ["epoch", "ended", "cancelling", "cancelled", "missing"])
    async def test_a_child_without_a_parent_that_goes_on_is_not_stored(
        self, store: Store, why: str
    ) -> None:
        if why != "missing":
            await add_run(store, upto=7 if why == "ended" else 2)
        if why == "cancelling":
            await store.commit([cancelling()])
        elif why == "cancelled":
            await store.post(R, CANCEL)
        asked = parent(epoch=2 if why == "epoch" else 1)
        result = await store.commit(journal("c"), new_runs=[new_run("c", parent=asked)])
        assert result == CommitResult(unsaved={RunId("c"): Rejection.ORPHAN})
        assert await store.events(RunId("c")) == []
        with pytest.raises(NotFound):
            await store.run(RunId("c"))

    async def test_a_paused_run_goes_on_for_its_children(self, store: Store) -> None:
        await add_run(store, upto=2)
        await store.post(R, PAUSE)
        await store.commit([event(3, Type.RUN_PAUSED, data={"reason": "requested"})])
        await add_child(store, "c")

    @pytest.mark.parametrize("item", [None, 0, 2])
    async def test_a_childs_end_is_posted_to_its_parent(
        self, store: Store, item: int | None
    ) -> None:
        await add_run(store, upto=2)
        await add_run(store, "c", upto=6, parent=parent(item=item, attempt=3))
        assert await store.messages(R) == []
        result = await store.commit(journal("c")[6:])
        (message,) = await store.messages(R)
        assert result.posted == [Posted(run_id=R, message=message)]
        assert (message.number, message.kind) == (1, MessageKind.CHILD_ENDED)
        outputs = (journal("c")[6].data or {})["outputs"]
        place = {"node_id": "a", "item": item, "attempt": 3}
        assert message.data == {
            **place, "run_id": "c", "status": "succeeded", "outputs": outputs,
        }  # fmt: skip
        assert isinstance(message.data["outputs"], Raw)
        assert not (await store.commit(journal("c")[6:])).posted
        assert await waiting(store) == [(1, "child_ended")]

    async def test_a_parent_learns_how_its_children_failed(self, store: Store) -> None:
        await add_run(store, upto=2)
        for child in ("c", "d"):
            await add_child(store, child)
        failed = event(3, Type.RUN_FAILED, "c", data={"error": ERROR})
        cancelled = [cancelling(3, "d"), event(4, Type.RUN_CANCELLED, "d")]
        result = await store.commit([failed, *cancelled])
        assert [one.message for one in result.posted] == await store.messages(R)
        place = {"item": None, "attempt": 1}
        assert [message.data for message in await store.messages(R)] == [
            {**place, "node_id": "c", "run_id": "c", "status": "failed", "error": ERROR},
            {**place, "node_id": "d", "run_id": "d", "status": "cancelled"},
        ]
        assert await waiting(store) == [(1, "child_ended"), (2, "child_ended")]

    async def test_a_child_that_ends_in_the_commit_that_stores_it_is_told_of(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        result = await store.commit(journal("c"), new_runs=[new_run("c", parent=parent())])
        assert whom(result.posted) == [("r", "child_ended")]

    async def test_a_parent_hears_nothing_if_it_does_not_wait(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c", wait=False)
        await store.post(RunId("c"), PAUSE)
        assert not (await store.commit(journal("c")[2:])).posted
        assert await store.messages(R) == []

    @pytest.mark.parametrize("together", [True, False])
    async def test_a_parent_that_has_ended_hears_nothing(
        self, store: Store, together: bool
    ) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c")
        batches = [journal()[2:], journal("c")[2:]]
        if together:
            batches = [[*batches[1], *batches[0]]]
        for batch in batches:
            assert not (await store.commit(batch)).posted
        assert await store.messages(R) == []

    async def test_a_parent_under_a_new_epoch_hears_of_its_child(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c")
        await store.claim(R, owner="other", expected_epoch=1)
        assert whom((await store.commit(journal("c")[2:])).posted) == [("r", "child_ended")]

    async def test_outputs_that_no_node_may_return_are_an_error_to_the_parent(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        for child, size in (("c", MAX_OUTPUT), ("d", MAX_OUTPUT + 1)):
            await add_child(store, child)
            outputs = encode("x" * (size - 2), limit=size)
            await store.commit([event(3, Type.RUN_SUCCEEDED, child, data={"outputs": outputs})])
        fits, is_too_large = (message.data for message in await store.messages(R))
        assert (fits["status"], len(bytes(fits["outputs"]))) == ("succeeded", MAX_OUTPUT)
        assert "outputs" not in is_too_large
        assert is_too_large["status"] == "failed"
        assert is_too_large["error"]["type"] == "output"
        assert f"{MAX_OUTPUT + 1} bytes" in is_too_large["error"]["message"]

    async def add_family(self, store: Store) -> None:
        """Store a run with children, one of which is being cancelled, and grandchildren."""
        await add_run(store, upto=2)
        await add_run(store, "other", upto=2)
        await add_child(store, "other-child", "other")
        for child in ("c1", "c2", "c3", "c4"):
            await add_child(store, child, wait=False)
        for grandchild, child in (("d1", "c1"), ("d2", "c2"), ("d3", "c3"), ("d4", "d3")):
            await add_child(store, grandchild, child, wait=False)
        await store.commit([*journal("c3")[2:], cancelling(3, "c4")])
        posted = await store.post(RunId("c2"), CANCEL, {"reason": "requested"})
        assert whom(posted) == [("c2", "cancel"), ("d2", "cancel")]

    async def test_a_cancellation_is_posted_to_all_descendants_that_go_on(
        self, store: Store
    ) -> None:
        await self.add_family(store)
        result = await store.commit([cancelling()])
        assert whom(result.posted) == [(id_, "cancel") for id_ in ("c1", "d1", "d3", "d4")]
        for run_id in ("c1", "c2", "d1", "d2", "d3", "d4"):
            assert await waiting(store, run_id) == [(1, "cancel")]
            assert all("reason" in message.data for message in await store.messages(RunId(run_id)))
        for run_id in ("r", "c3", "c4", "other", "other-child"):
            assert await waiting(store, run_id) == []

    async def test_a_request_to_cancel_is_posted_to_all_descendants_that_go_on(
        self, store: Store
    ) -> None:
        await self.add_family(store)
        posted = await store.post(R, CANCEL, {"reason": "requested"})
        assert whom(posted) == [(id_, "cancel") for id_ in ("r", "c1", "d1", "d3", "d4")]
        assert [one.message for one in posted[1:2]] == await store.messages(RunId("c1"))
        assert (await store.messages(R))[0].data == {"reason": "requested"}
        assert not (await store.commit([cancelling()], taken=[taken(1)])).posted

    async def test_other_messages_are_for_one_run_only(self, store: Store) -> None:
        await self.add_family(store)
        assert whom(await store.post(R, PAUSE)) == [("r", "pause")]

    async def test_a_cancellation_that_is_over_at_once_reaches_the_children(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c")
        result = await store.commit([cancelling(), event(4, Type.RUN_CANCELLED)])
        assert whom(result.posted) == [("c", "cancel")]

    async def test_a_child_stored_together_with_the_cancellation_gets_the_request(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        child = new_run("c", parent=parent())
        result = await store.commit([cancelling(), *journal("c")[:1]], new_runs=[child])
        assert whom(result.posted) == [("c", "cancel")]

    async def test_a_request_that_is_taken_up_lets_no_child_slip_through(
        self, store: Store
    ) -> None:
        await add_run(store, upto=2)
        await store.post(R, CANCEL)
        child: NewRun = new_run("c", parent=parent())
        result = await store.commit([cancelling()], new_runs=[child], taken=[taken(1)])
        assert result.unsaved == {"c": Rejection.ORPHAN}

    async def test_the_unfinished_runs_of_an_owner_are_found(self, store: Store) -> None:
        for run_id, owner in (("r3", "me"), ("r1", "me"), ("r2", "you"), ("r4", "me")):
            await add_run(store, run_id, upto=1, owner=owner)
        await store.commit(journal("r4")[1:])
        await store.commit([event(2, Type.RUN_PAUSED, "r3", data={"reason": "requested"})])
        found = await store.unfinished("me")
        assert found == [await store.run(RunId(run_id)) for run_id in ("r1", "r3")]
        await store.claim(RunId("r2"), owner="me", expected_epoch=1)
        assert [run.run_id for run in await store.unfinished("me")] == ["r1", "r2", "r3"]
        assert await store.unfinished("you") == []

    @pytest.mark.parametrize("upto", range(3, 7))
    async def test_a_run_is_unfinished_whatever_its_state(self, store: Store, upto: int) -> None:
        states = [
            *journal()[:2],
            event(3, Type.RUN_PAUSED),
            event(4, Type.RUN_CANCELLING),
            event(5, Type.RUN_ENDING, data={"status": "cancelled"}),
            event(6, Type.RUN_CANCELLED),
        ]
        await store.commit(states[:upto], new_runs=[new_run()])
        assert [run.run_id for run in await store.unfinished("owner")] == ["r"][: 6 - upto]

    async def test_pruning_a_run_leaves_its_children(self, store: Store) -> None:
        await add_run(store, upto=2)
        await add_child(store, "c")
        await store.post(R, PAUSE)
        await store.post(RunId("c"), PAUSE)
        await store.commit(journal()[2:])
        assert await store.prune(before=LATER, now=LATER, limit=10) == ["r"]
        assert await store.messages(R) == []
        assert await waiting(store, "c") == [(1, "pause")]
        assert (await store.run(RunId("c"))).parent == parent(node_id="c")
        assert not (await store.commit(journal("c")[2:])).posted
        assert await store.prune(before=LATER, now=LATER, limit=10) == ["c"]
