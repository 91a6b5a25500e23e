"""The repository's own promises about itself."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_tox_installs_every_plugin_of_the_folder():
    folder = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    lines = (ROOT / "tox.ini").read_text().splitlines()
    assert {line.split("/")[1] for line in lines if "-e plugins/" in line} == folder


def test_every_plugin_is_typed_checked():
    text = (ROOT / "pyproject.toml").read_text()
    for path in (*ROOT.glob("plugins/*/src"), *ROOT.glob("examples/*/src")):
        assert f'"{path.relative_to(ROOT)}"' in text
