"""Both built-in stores do what the port says."""

from datetime import timedelta

import pytest

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.sqlite import SqliteStore
from dagrun.errors import NotFound, StoreFull
from dagrun.ports.store import Request
from dagrun.testing.journals import NOON, journal, new_run
from dagrun.testing.stores import DurableStoreSuite, StoreSuite


class TestMemoryStore(StoreSuite):
    def make_store(self, folder):
        return MemoryStore()


class TestSqliteStore(DurableStoreSuite):
    def file(self, folder):
        return folder / "data" / "dagrun.db"

    def make_store(self, folder):
        return SqliteStore(path=self.file(folder))


async def test_a_scripted_fault_of_the_memory_store_leaves_nothing_behind():
    async with MemoryStore(faults=[StoreFull("no room"), None]) as store:
        with pytest.raises(StoreFull):
            await store.commit(journal(), new_runs=[new_run()])
        with pytest.raises(NotFound):
            await store.run("r")
        await store.commit(journal(), new_runs=[new_run()])
        assert await store.events("r") == journal()


async def test_the_memory_store_forgets_the_keys_of_pruned_runs():
    async with MemoryStore() as store:
        request = Request(key="k", hash="h")
        await store.commit(journal(), new_runs=[new_run(request=request)])
        late = NOON + timedelta(days=2)
        await store.prune(before=late, now=late, limit=1)
        assert store._requests == {}
