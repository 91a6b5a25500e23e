"""What runs left on the disk, and who may take it away."""

from datetime import timedelta

import pytest

from dagrun.builtin.memory_store import MemoryStore
from dagrun.services.retention import RunFolders, prune, sweep
from dagrun.testing.journals import NOON, add_run

YES, NO = (lambda: True), (lambda: False)


@pytest.fixture
def folders(tmp_path):
    for name in ("ended", "going", "unknown", "no id", "..x"):
        (tmp_path / "root" / name).mkdir(parents=True)
        (tmp_path / "root" / name / "file").touch()
    return RunFolders(tmp_path / "root")


@pytest.fixture
async def store():
    store = MemoryStore()
    await add_run(store, "ended")
    await add_run(store, "going", upto=3)
    return store


@pytest.mark.parametrize("name", ["..", "a/b", "", ".", "a\0"])
async def test_what_is_no_id_is_not_removed(folders, tmp_path, name):
    with pytest.raises(ValueError, match="is no id"):
        await folders.remove(name)
    assert len(list((tmp_path / "root").iterdir())) == 5


async def test_a_folder_that_is_not_there_is_removed_already(tmp_path):
    nothing = RunFolders(tmp_path / "nothing")
    assert nothing.runs() == []
    await nothing.remove("r")


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"ended": True, "unknown": NO}, ["going", "unknown"]),
        ({"ended": False, "unknown": YES}, ["ended", "going"]),
        ({"ended": True, "unknown": YES}, ["going"]),
        ({"ended": True, "unknown": YES, "most": 1}, ["going", "unknown"]),
    ],
)
async def test_sweeping_removes_what_is_asked_for_and_nothing_of_a_run_that_goes_on(
    folders, store, tmp_path, options, left
):
    await sweep(store, folders, **options)
    assert folders.runs() == left
    assert (tmp_path / "root" / "no id" / "file").exists()
    assert (tmp_path / "root" / "..x" / "file").exists()


@pytest.mark.parametrize(("most", "gone"), [(None, 5), (3, 3), (0, 0)])
async def test_pruning_deletes_ended_runs_with_their_folders_in_batches_up_to_its_limit(
    tmp_path, monkeypatch, most, gone
):
    monkeypatch.setattr("dagrun.services.retention.BATCH", 2)
    store, folders = MemoryStore(), RunFolders(tmp_path)
    for number in range(5):
        await add_run(store, f"r{number}")
        (tmp_path / f"r{number}").mkdir()
    await add_run(store, "going", upto=3)
    (tmp_path / "going").mkdir()
    later = NOON + timedelta(days=3)
    assert await prune(store, [folders], keep=5 * 86400, now=later, most=most) == 0
    assert await prune(store, [folders], keep=86400, now=later, most=most) == gone
    left = sorted(record.run_id for record in (await store.runs())[0])
    assert left == folders.runs()
    assert len(left) == 6 - gone
    assert "going" in left
