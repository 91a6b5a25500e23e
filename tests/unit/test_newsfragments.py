"""What is told of changes: the fragments that a release makes its section of."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "newsfragments"
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
KINDS = {kind["directory"] for kind in CONFIG["type"]}
OTHERS = {*CONFIG["ignore"], Path(CONFIG["template"]).name}
FRAGMENTS = sorted(path for path in FOLDER.iterdir() if path.name not in OTHERS)


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_named_after_its_change_and_kind(path):
    name, kind, *rest = path.name.split(".")
    assert re.fullmatch(CONFIG["issue_pattern"], name)
    assert kind in KINDS
    assert rest == ["md"]


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_one_paragraph_of_whole_sentences(path):
    text = path.read_text()
    assert text.endswith(".\n")
    assert "\n\n" not in text
    assert not text.startswith(("-", "#", " "))


def test_the_folder_explains_every_kind():
    explained = re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert set(explained) == KINDS


def test_the_list_of_changes_has_the_place_where_a_release_is_put():
    marker = "<!-- towncrier release notes start -->\n"
    assert (ROOT / CONFIG["filename"]).read_text().count(marker) == 1
