"""What ``dagrun events`` and ``runs watch --json`` print, and what they read for that."""

import json

import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.sqlite.store import SqliteStore
from dagrun.cli import events, watch
from dagrun.domain.ids import RunId
from dagrun.domain.monitoring import Filter
from dagrun.domain.plan import compile_plan
from dagrun.domain.specs import shell
from dagrun.domain.state import RunState
from dagrun.domain.workflow import Node, RetryPolicy, Workflow
from dagrun.plugin.registry import Registry
from dagrun.roles.local import DATABASE
from dagrun.services.plans import handling
from dagrun.settings import Settings
from dagrun.testing.stores import add_run, journal, new_run

OPTIONS = {
    "follow": False,
    "after": None,
    "limit": 100,
    "severity": "info",
    "types": (),
    "workflow": None,
    "run": None,
    "as_json": False,
}


class Counting(MemoryStore):
    """Notes from where its log is read."""

    def __init__(self):
        super().__init__()
        self.reads = []

    async def log(self, *, after, limit, **more):
        self.reads.append(after)
        return await super().log(after=after, limit=limit, **more)


class Growing(Counting):
    """Holds the rest of a journal as soon as its log is read."""

    async def log(self, **asked):
        await self.commit(journal("r"))
        return await super().log(**asked)


@pytest.fixture
def ids(tmp_path, monkeypatch, capsys):
    """Give a function that makes a data directory of some runs, and gives the ids it prints."""
    monkeypatch.setattr(events, "PAGE", 10)

    async def fill(runs):
        async with SqliteStore(path=tmp_path / DATABASE) as store:
            for number in range(runs):
                await add_run(store, f"r{number:02}")

    def printed(runs, **options):
        trio.run(fill, runs)
        events.print_events(Settings(data_dir=tmp_path, parallel=1), **{**OPTIONS, **options})
        return [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]

    return printed


def test_all_events_are_printed_when_there_are_fewer_than_the_limit(ids):
    assert ids(9) == list(range(1, 64))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"limit": 5}, range(59, 64)),
        ({"limit": 0}, []),
        ({"limit": 12, "after": "9"}, range(10, 22)),
        ({"limit": 0, "after": "9"}, []),
        ({"after": "55"}, range(56, 64)),
        ({"after": "63"}, []),
        ({"limit": 2, "types": ["run.succeeded"]}, [56, 63]),
        ({"limit": 2, "types": ["run.succeeded"], "after": "7"}, [14, 21]),
    ],
)
def test_the_limit_keeps_the_newest_or_the_first_behind_an_event(ids, options, expected):
    assert ids(9, **options) == list(expected)


def test_events_say_which_engine_had_the_run(ids, tmp_path, capsys):
    ids(1)
    for run in (None, "r00"):
        options = {**OPTIONS, "as_json": True, "run": run}
        events.print_events(Settings(data_dir=tmp_path, parallel=1), **options)
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [event["engine_id"] for event in printed] == [None, *["e"] * 6]


async def test_the_events_of_one_run_are_read_without_those_of_others():
    async with Counting() as store:
        for number in range(9):
            await add_run(store, f"r{number}")
        pages = events._pages(store, Filter(run_id="r4"), 0, None)
        found = [event.id async for _, page in pages for event in page]
    assert found == [str(number) for number in range(29, 36)]
    assert store.reads == [0, 35]


async def test_who_watches_gets_each_event_once_also_what_comes_while_others_are_read(
    tmp_path, capsys
):
    node = Node("a", executor=shell("true"), retry=RetryPolicy(max_attempts=2))
    plan = compile_plan(Workflow("w", "1.0.0", nodes=[node]), handling(Registry()))
    async with Growing() as store:
        await add_run(store, "other")
        await add_run(store, "r", upto=2)
        state = RunState(plan, RunId("r"), new_run().inputs)
        with trio.fail_after(10):
            await watch._print(Settings(data_dir=tmp_path, parallel=1), store, state)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["id"] for event in printed] == [str(number) for number in range(8, 15)]
    assert [event["engine_id"] for event in printed] == [None, *["e"] * 6]


async def test_who_follows_gets_everything_and_reads_nothing_twice(autojump_clock, monkeypatch):
    monkeypatch.setattr(events, "PAGE", 10)
    seen = []
    async with Counting() as store, trio.open_nursery() as nursery:
        for run_id in ("a", "b", "c"):
            await add_run(store, run_id)
        failures = Filter(types={"run.failed", "run.queued"})
        nursery.start_soon(events._follow, store, failures, 1, seen.extend)
        await trio.sleep(events.LOOK / 2)
        assert [event.id for event in seen] == ["8", "15"]
        await trio.sleep(2)
        await add_run(store, "d")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [event.id for event in seen] == ["8", "15", "22"]
    assert store.reads[:3] == [1, 11, 21]
    assert set(store.reads[3:]) == {21, 28}
