"""What can be asked of a data directory beside the processes that use it."""

from contextlib import asynccontextmanager

import pytest

from dagrun.builtin.memory_transport import Hub, MemoryTransport
from dagrun.builtin.sqlite import SqliteStore
from dagrun.domain.status import RunStatus
from dagrun.errors import ConfigError, ConflictError, NoSuchRun
from dagrun.plugin.loading import load_plugins
from dagrun.ports.management import Wanted
from dagrun.roles.management.directory import open_data_directory
from dagrun.roles.places import DATABASE
from dagrun.settings import Settings
from dagrun.testing.journals import add_run
from dagrun.testing.management import SharedManagementSuite, node


class TestDataDirectory(SharedManagementSuite):
    hub = Hub()

    def transport(self):
        return MemoryTransport(hub=self.hub)

    def store(self, folder):
        return SqliteStore(path=folder / DATABASE)

    def starts(self, world, management):
        return world.leading.management

    @asynccontextmanager
    async def client(self, world):
        settings = Settings(data_dir=world.folder, parallel=1)
        async with open_data_directory(world.registry, settings) as management:
            yield management

    async def test_the_orchestrator_says_which_engine_has_a_run(self, tmp_path):
        async with self.reached(tmp_path) as it:
            run = await it.run(node("a", gate="g"), node("b", "a"))
            await self.has_status(it, run.run_id, RunStatus.RUNNING)
            told = await it.management.runs.explain(run.run_id)
            assert told.status is RunStatus.RUNNING
            assert "engine e1 has it" in told.reasons
            assert "b: waits for a" in told.reasons
            it.world.told.open("g")

    async def test_what_needs_an_orchestrator_says_so(self, tmp_path):
        async with self.reached(tmp_path) as it:
            run = await it.run()
            asked = it.management
            for call in (
                lambda: asked.runs.start("w"),
                lambda: asked.runs.start_child(run.run_id, "w"),
                asked.engines.list,
                lambda: asked.engines.drain("e1", on=True),
            ):
                with pytest.raises(ConfigError, match="running orchestrator"):
                    await call()


def opened(folder, **options):
    settings = Settings(data_dir=folder, parallel=1)
    return open_data_directory(load_plugins().registry, settings, **options)


async def test_looking_into_a_directory_that_is_not_there_finds_nothing_and_makes_nothing(tmp_path):
    folder = tmp_path / "data"
    async with opened(folder) as management:
        assert not (await management.runs.list()).items
        assert not (await management.workflows.list()).items
        assert (await management.events.list(Wanted())).position == "0"
        with pytest.raises(NoSuchRun, match=str(folder)):
            await management.runs.get("r")
    assert not folder.exists()


async def test_the_database_is_made_where_it_is_to_be(tmp_path):
    async with opened(tmp_path / "data", makes=True) as management:
        assert not (await management.runs.list()).items
    assert (tmp_path / "data" / DATABASE).exists()


async def test_a_run_that_was_cut_off_is_not_paused_and_not_resumed(tmp_path):
    async with SqliteStore(path=tmp_path / DATABASE) as store:
        await add_run(store, "r", upto=3)
    async with opened(tmp_path) as management:
        for change in (management.runs.pause, management.runs.resume):
            with pytest.raises(ConflictError, match="dagrun run --resume r"):
                await change("r")
