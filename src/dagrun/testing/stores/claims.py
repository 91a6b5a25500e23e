# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""Runs that are handed over."""

import pytest
import trio

from dagrun.domain.events import Type
from dagrun.domain.ids import RunId
from dagrun.errors import ConflictError, NotFound, RunHasEnded
from dagrun.ports.store import CommitResult, Store
from dagrun.testing.journals import add_run, event


class ClaimsSuite:
    """A part of :class:`~dagrun.testing.stores.StoreSuite`."""

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
