import os
import time

from dagrun.services.engine_folders import STALE, engine_folder


def fill(folder, age=0.0):
    """Leave a log and a scratch directory in an engine's folder, of some age in seconds."""
    for name in ("logs/run/node/1@1.log", "scratch/run@1/file"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (time.time() - age,) * 2)


def test_a_folder_goes_with_its_engine(tmp_path):
    with engine_folder(tmp_path / "engines") as folder:
        (folder / "logs").mkdir()
        (folder / "scratch" / "run@1").mkdir(parents=True)
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "engines").iterdir()) == []


def test_an_engine_that_wrote_nothing_leaves_nothing(tmp_path):
    with engine_folder(tmp_path / "engines"):
        pass
    assert list((tmp_path / "engines").iterdir()) == []


def test_logs_that_were_not_sent_stay(tmp_path):
    with engine_folder(tmp_path / "engines") as folder:
        fill(folder)
    left = [path.name for path in folder.rglob("*") if path.is_file()]
    assert left == ["1@1.log"]


def test_what_killed_engines_left_goes_after_a_day_and_what_living_ones_have_does_not(tmp_path):
    old, young = tmp_path / "old", tmp_path / "young"
    for folder, age in [(old, STALE + 60), (young, STALE - 60)]:
        folder.mkdir()
        fill(folder, age)
    (tmp_path / "a file").touch()
    (tmp_path / "a link").symlink_to(young)
    with engine_folder(tmp_path) as living:
        fill(living, STALE + 60)
        with engine_folder(tmp_path) as other:
            names = {path.name for path in tmp_path.iterdir()}
    assert names == {"young", "a file", "a link", living.name, other.name}
    assert len(list(young.rglob("*"))) == 7


def test_a_folder_in_which_something_is_new_is_not_old(tmp_path):
    left = tmp_path / "left"
    left.mkdir()
    fill(left, STALE + 60)
    os.utime(left / "logs/run/node/1@1.log")
    with engine_folder(tmp_path):
        assert left.exists()
