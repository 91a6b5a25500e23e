"""Which runs ``dagrun runs list`` chooses."""

import json

import pytest
import trio

from dagrun.builtin.ownership import OwnerLock
from dagrun.builtin.sqlite import SqliteStore
from dagrun.cli.app import run_command
from dagrun.domain.events import Type
from dagrun.roles.management import shared_runs
from dagrun.testing.journals import add_run, event

CUT_OFF = ["r8", "r6", "r5", "r3", "r1"]


async def fill(folder, living):
    async with SqliteStore(path=folder / "dagrun.db") as store:
        for number in (1, 3, 5):
            await add_run(store, f"r{number}", upto=3)
        await add_run(store, "r2")  # which has ended
        await add_run(store, "r4", upto=3, owner=living)
        await add_run(store, "r6", upto=1)  # in the queue
        await add_run(store, "r7", upto=1, owner=living)
        await add_run(store, "r8", upto=3, workflow_id="other")
        await store.commit([event(4, Type.RUN_PAUSED, "r5", data={"reason": "requested"})])


@pytest.fixture
def listed(tmp_path, capsys):
    """List runs of a data directory, in which one process lives."""

    def call(*arguments):
        assert run_command(["runs", "list", "--data-dir", str(tmp_path), "--json", *arguments]) == 0
        found = json.loads(capsys.readouterr().out)
        return [run["run_id"] for run in found["items"]], found

    with OwnerLock(tmp_path) as lock:
        trio.run(fill, tmp_path, lock.owner)
        yield call


@pytest.mark.parametrize("status", ["cut off", "cut-off"])
def test_runs_that_were_cut_off_are_those_that_can_be_resumed(listed, status):
    ids, found = listed("--status", status)
    assert ids == CUT_OFF
    assert all(run["resumable"] for run in found["items"])
    _, everything = listed()
    assert [run["run_id"] for run in everything["items"] if run["resumable"]] == CUT_OFF
    assert found["next"] is None


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
def test_runs_that_were_cut_off_come_in_pages(listed, monkeypatch, limit):
    monkeypatch.setattr(shared_runs, "MOST", limit)  # so that one state has several pages, too
    ids, cursor = [], []
    while True:
        page, found = listed("--status", "cut-off", "--limit", str(limit), *cursor)
        ids += page
        if found["next"] is None:
            break
        assert len(page) == limit
        cursor = ["--cursor", found["next"]]
    assert ids == CUT_OFF


def test_runs_of_one_workflow_that_were_cut_off_are_chosen(listed):
    assert listed("--status", "cut off", "--workflow", "other")[0] == ["r8"]
    assert listed("--status", "cut off", "--workflow", "none")[0] == []


def test_an_unknown_state_is_refused_with_those_that_there_are(capsys, tmp_path):
    assert run_command(["runs", "list", "--data-dir", str(tmp_path), "--status", "cut"]) == 2
    assert "ending, succeeded, failed, cancelled, cut-off" in capsys.readouterr().err
