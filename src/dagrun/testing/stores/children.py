# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Runs that other runs start, and their ends."""

from typing import Any

import pytest

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import MAX_OUTPUT, Raw, encode
from dagrun.errors import NotFound
from dagrun.ports.store import CommitResult, MessageKind, Posted, Rejection, Store
from dagrun.testing.journals import ERROR, add_run, event, journal, new_run
from dagrun.testing.stores.records import (
    CANCEL,
    PAUSE,
    R,
    add_child,
    cancelling,
    parent,
    waiting,
    whom,
)


class ChildrenSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

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
