"""Subscribers of a whole program hear of all of it, from the first event to the last."""

import logging

import pytest
import trio

import dagrun
from dagrun import ConfigError, Node, Workflow
from dagrun.builtin.memory_store import MemoryStore
from dagrun.plugin.loading import load_plugins
from dagrun.roles.local import open_local
from dagrun.roles.submission import Submission
from dagrun.settings import read_settings

HELLO = Workflow("hello", "1.0.0", nodes=[Node("a", executor=dagrun.shell("sleep 0"))])
ALL = ["engine.joined", "workflow.registered", "run.queued", "run.running"]
REST = ["node.running", "node.succeeded", "run.succeeded"]


class Collector:
    def __init__(self):
        self.types = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await trio.lowlevel.checkpoint()
        self.types.append("closed")

    async def handle(self, events):
        await trio.sleep(0.01)
        self.types += [event.type for event in events]


async def test_a_program_names_plugins_that_hear_of_everything(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="dagrun.events")
    async with dagrun.open_orchestrator(data_dir=tmp_path, subscribers=["log"]) as orchestrator:
        await orchestrator.register_workflow(HELLO)
        await orchestrator.execute_workflow("hello")
    heard = [record.getMessage() for record in caplog.records if record.name == "dagrun.events"]
    assert heard == [*ALL, *REST]


@pytest.mark.parametrize("names", ["nobody", ["log", "nobody"], 7])
async def test_what_is_no_subscriber_is_refused(tmp_path, names):
    with pytest.raises(ConfigError, match=r"nobody|names are needed"):
        async with dagrun.open_orchestrator(data_dir=tmp_path, subscribers=names):
            pass


@pytest.mark.parametrize("cancelled", [False, True])
async def test_the_last_events_are_told_however_the_program_ends(tmp_path, cancelled):
    collector = Collector()
    settings = read_settings({"data_dir": str(tmp_path)}, environ={})
    with trio.CancelScope() as scope:
        async with open_local(
            load_plugins().registry,
            settings,
            store=MemoryStore(),
            subscribers={"collector": collector},
        ) as local:
            ticket = await local.submit(Submission(workflow=HELLO, inputs={}))
            await local.result(ticket)
            if cancelled:
                scope.cancel()
                await trio.sleep_forever()
    assert collector.types == ["engine.joined", *ALL[2:], *REST, "closed"]
