from collections.abc import Collection, Iterable, Mapping, MutableSequence, Sequence, Set
from typing import Any, Literal

import attrs
import pytest

from dagrun.domain.document.catalogue import check_options, structure_options


def having(kind):
    return attrs.make_class("Options", {"x": attrs.field(type=kind)})


def messages(kind, value):
    return [finding.message for finding in check_options(having(kind), {"x": value})]


LISTS = [
    (list[str], ["b", "a"]),
    (MutableSequence[str], ["b", "a"]),
    (Sequence[str], ("b", "a")),
    (Collection[str], ("b", "a")),
    (Iterable[str], ("b", "a")),
    (tuple[str, ...], ("b", "a")),
    (tuple[str, str], ("b", "a")),
    (set[str], {"a", "b"}),
    (frozenset[str], frozenset({"a", "b"})),
    (Set[str], frozenset({"a", "b"})),
    (list, ["b", "a"]),
    (tuple, ("b", "a")),
    (set, {"a", "b"}),
    (Sequence[Literal["a", "b"]], ("b", "a")),
]


@pytest.mark.parametrize(("kind", "expected"), LISTS)
def test_an_option_that_takes_a_list_takes_no_text_and_no_mapping(kind, expected):
    given = structure_options(having(kind), {"x": ["b", "a"]}).x
    assert given == expected
    assert type(given) is type(expected)
    assert messages(kind, "ba") == ["a list is needed, not 'ba'"]
    assert messages(kind, {"a": "b"}) == ["a list is needed, not a mapping"]
    assert messages(kind | None, "ba") == ["a list is needed, not 'ba'"]
    assert structure_options(having(kind | None), {"x": None}).x is None


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Sequence[str], ["a", 1], "text is needed, not 1; use quotes"),
        (set[int], ["a"], "a whole number is needed, not 'a'"),
        (tuple[str, int], ["a", "b"], "a whole number is needed, not 'b'"),
        (tuple[str, int], ["a"], "a list of 2 is needed, not of 1"),
        (Mapping, "ba", "a mapping is needed, not 'ba'"),
        (dict, ["ba"], "a mapping is needed, not a list"),
        (dict[str, int], {"a": "b"}, "a whole number is needed, not 'b'"),
        (Mapping[str, Sequence[str]], {"a": "xy"}, "a list is needed, not 'xy'"),
        (Mapping[str, bool], {"a": "yes"}, "true or false is needed, not 'yes'"),
    ],
)
def test_what_is_in_an_option_has_the_type_that_it_says(kind, value, message):
    assert messages(kind, value) == [message]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Mapping, {"a": [1]}),
        (dict, {}),
        (dict[str, int], {"a": 1}),
        (Mapping[str, Any], {"a": [1]}),
        (dict[str, list[str]], {"a": ["x"]}),
        (Mapping[str, Mapping[str, int]], {"a": {"b": 1}}),
        (tuple[str, int], ["a", 1]),
    ],
)
def test_what_fits_is_taken(kind, value):
    assert messages(kind, value) == []
    given = structure_options(having(kind), {"x": value}).x
    assert given == (tuple(value) if isinstance(value, list) else value)
