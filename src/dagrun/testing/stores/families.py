# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Cancellations, which reach all descendants."""

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.ports.store import NewRun, Rejection, Store
from dagrun.testing.journals import add_run, event, journal, new_run
from dagrun.testing.stores.records import (
    CANCEL,
    PAUSE,
    R,
    add_child,
    cancelling,
    parent,
    taken,
    waiting,
    whom,
)


class FamiliesSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

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
