# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""The order of the events of all runs."""

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.ports.store import Store
from dagrun.testing.journals import ATTEMPT, add_run, event, journal, new_run


class OrderSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

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
