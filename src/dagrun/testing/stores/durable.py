# ruff: noqa: D102, S101 — these are tests; their names say what they show
"""What stores must do, too, that keep things longer than their process."""

from abc import abstractmethod
from pathlib import Path

import pytest

from dagrun.domain.ids import RunId
from dagrun.errors import StoreError
from dagrun.ports.store import MessageKind, Refusal
from dagrun.testing.journals import add_run, definition, journal
from dagrun.testing.stores.records import add_child, assignment, taken, waiting
from dagrun.testing.stores.suite import StoreSuite
from dagrun.testing.stores.tokens import token


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
