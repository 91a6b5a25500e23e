"""The examples in docstrings do what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "src", *sorted(ROOT.glob("plugins/*/src")))


def modules_with_examples():
    return [
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
        for source in SOURCES
        for path in sorted(source.rglob("*.py"))
        if ">>> " in path.read_text()
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_an_example_in_a_docstring_gives_what_it_shows(name, capsys):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0, capsys.readouterr().out
    assert tried > 0


def test_the_pure_part_has_examples():
    assert {"dagrun.domain.durations", "dagrun.domain.retry"} <= set(modules_with_examples())
