"""What ``${…}`` makes of argument lists of executors."""

from collections.abc import Mapping

import attrs
import pytest

from dagrun.builtin.shell import ShellOptions
from dagrun.domain.document.catalogue import check_options, structure_options
from dagrun.plugin.loading import load_plugins
from dagrun.services.plans import structuring


@attrs.frozen(kw_only=True)
class Options:
    words: tuple[str, ...] = ()
    counts: list[int] = attrs.field(factory=list)
    text: str = ""
    env: Mapping[str, str] = attrs.field(factory=dict)


def test_numbers_and_booleans_that_are_filled_into_a_list_of_texts_become_text_as_in_json():
    structure = structuring(load_plugins().registry)
    options = structure("shell", {"command": ["echo", 1, -2.5, 10**30, True, "x"]})
    assert options.argv() == ["echo", "1", "-2.5", "1" + "0" * 30, "true", "x"]
    assert structure_options(Options, {"words": [False]}).words == ("false",)


@pytest.mark.parametrize(("value", "name"), [(None, "null"), ([1], "a list"), ({}, "a mapping")])
def test_what_no_argument_can_be_is_refused(value, name):
    with pytest.raises(ValueError, match=rf"^command\.1: text is needed, not {name}$"):
        structure_options(ShellOptions, {"command": ["echo", value]})


def test_nothing_else_changes_its_type():
    assert structure_options(Options, {"counts": [1]}).counts == [1]
    with pytest.raises(ValueError, match="text: text is needed, not 1; use quotes"):
        structure_options(Options, {"text": 1})
    with pytest.raises(ValueError, match=r"counts\.0: a whole number is needed, not 'x'"):
        structure_options(Options, {"counts": ["x"]})
    with pytest.raises(ValueError, match="words: a list is needed, not 1"):
        structure_options(Options, {"words": 1})


def test_in_a_document_an_argument_needs_quotes():
    (finding,) = check_options(ShellOptions, {"command": ["sleep", 1]})
    assert finding.message == "text is needed, not 1; use quotes"
