"""What is asked of a run whose process has ended is refused in the same words, whoever asks."""

import pytest

import dagrun
from dagrun import Node, Workflow
from dagrun.errors import ConflictError
from dagrun.plugin.loading import load_plugins
from dagrun.roles.management.directory import open_data_directory
from dagrun.settings import Settings

SLEEPS = Workflow("sleeps", "1.0.0", nodes=[Node("a", executor=dagrun.shell("sleep 60"))])


@pytest.fixture
async def cut_off(tmp_path):
    async with dagrun.open_orchestrator(data_dir=tmp_path) as orchestrator:
        await orchestrator.register_workflow(SLEEPS)
        return (await orchestrator.start_workflow("sleeps")).run_id


@pytest.mark.parametrize("what", ["pause", "resume"])
async def test_a_run_whose_process_has_ended_is_refused_in_the_same_words(tmp_path, cut_off, what):
    refused = (
        f"the process of run {cut_off} has ended; go on with it where its data directory is: "
        f"dagrun run --resume {cut_off}"
    )
    async with dagrun.open_orchestrator(data_dir=tmp_path) as orchestrator:
        with pytest.raises(ConflictError) as by_program:
            await getattr(orchestrator, what)(cut_off)
    settings = Settings(data_dir=tmp_path, parallel=1)
    async with open_data_directory(load_plugins().registry, settings) as management:
        with pytest.raises(ConflictError) as by_command:
            await getattr(management.runs, what)(cut_off)
    assert str(by_program.value) == str(by_command.value) == refused
