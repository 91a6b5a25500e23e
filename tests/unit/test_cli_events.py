"""What ``dagrun events`` and ``runs watch --json`` print, and what they read for that."""

import json

import attrs
import pytest
import trio

from dagrun.builtin.memory_store import MemoryStore
from dagrun.builtin.ownership import OwnerLock
from dagrun.builtin.sqlite.store import SqliteStore
from dagrun.cli import events
from dagrun.cli.options import Asked
from dagrun.cli.watch import print_run
from dagrun.ports.management import Wanted
from dagrun.roles.management import events as stored
from dagrun.roles.management.events import StoredEvents
from dagrun.roles.management.looks import Looks
from dagrun.roles.management.shared_runs import SharedRuns
from dagrun.roles.places import DATABASE
from dagrun.testing.journals import add_run, journal

OPTIONS = {
    "follow": False,
    "after": None,
    "limit": 100,
    "severity": "info",
    "types": (),
    "workflow": None,
    "run": None,
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
    monkeypatch.setattr(stored, "PAGE", 10)
    monkeypatch.setattr(events, "MOST", 10)

    async def fill(runs):
        async with SqliteStore(path=tmp_path / DATABASE) as store:
            for number in range(runs):
                await add_run(store, f"r{number:02}")

    def printed(runs, **options):
        trio.run(fill, runs)
        assert events.print_events(Asked(data_dir=tmp_path), **{**OPTIONS, **options}) == 0
        return [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]

    return printed


def test_all_events_are_printed_when_there_are_fewer_than_the_limit(ids):
    assert ids(9) == list(range(1, 64))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"limit": 5}, range(59, 64)),
        ({"limit": 12}, range(52, 64)),
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
        events.print_events(Asked(data_dir=tmp_path, json=True), **{**OPTIONS, "run": run})
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [event["engine_id"] for event in printed] == [None, *["e"] * 6]


async def test_the_events_of_one_run_are_read_without_those_of_others():
    async with Counting() as store:
        for number in range(9):
            await add_run(store, f"r{number}")
        page = await StoredEvents(store).list(Wanted(run_id="r4"), after="0")
    assert [event.id for event in page.items] == [str(number) for number in range(29, 36)]
    assert store.reads == [0, 35]


@attrs.frozen
class Beside:
    """Who looks at the runs of another process."""

    runs: SharedRuns
    events: StoredEvents


def beside(store, folder):
    async def restored(_record):
        raise AssertionError("nobody asks for it")

    runs = SharedRuns(
        data_dir=folder,
        store=store,
        restored=restored,
        looks=Looks(store, folder),
        run_logs=None,
    )
    return Beside(runs, StoredEvents(store))


async def test_who_watches_gets_each_event_once_also_what_comes_while_others_are_read(
    tmp_path, capsys
):
    with OwnerLock(tmp_path) as lock:
        async with Growing() as store:
            await add_run(store, "other")
            await add_run(store, "r", upto=2, owner=lock.owner)
            with trio.fail_after(10):
                await print_run(beside(store, tmp_path), "r")
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["id"] for event in printed] == [str(number) for number in range(8, 15)]
    assert [event["engine_id"] for event in printed] == [None, *["e"] * 6]


async def test_watching_ends_with_the_process_of_the_run(tmp_path, capsys):
    async with MemoryStore() as store:
        await add_run(store, "r", upto=3)
        with trio.fail_after(10):
            await print_run(beside(store, tmp_path), "r")
    types = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    assert types == ["run.queued", "run.running", "node.running"]


async def test_who_follows_gets_everything_and_reads_nothing_twice(autojump_clock, monkeypatch):
    monkeypatch.setattr(stored, "PAGE", 10)
    seen = []

    async def follow(store):
        wanted = Wanted(types=["run.failed", "run.queued"])
        async with StoredEvents(store).follow(wanted, after="1") as coming:
            async for event in coming:
                seen.append(event.id)  # noqa: PERF401 — it is looked at meanwhile

    async with Counting() as store, trio.open_nursery() as nursery:
        for run_id in ("a", "b", "c"):
            await add_run(store, run_id)
        nursery.start_soon(follow, store)
        await trio.sleep(stored.LOOK / 2)
        assert seen == ["8", "15"]
        await trio.sleep(2)
        await add_run(store, "d")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert seen == ["8", "15", "22"]
    assert store.reads == [1, 11, 21]
