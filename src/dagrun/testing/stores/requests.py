# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Idempotency keys."""

from datetime import timedelta

from dagrun.ports.store import Rejection, Request, Store
from dagrun.testing.journals import NOON, add_run, journal, new_run


class RequestsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

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
