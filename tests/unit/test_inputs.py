"""A run's inputs."""

import json
import re
from pathlib import Path

import pytest

from dagrun.domain.document.composer import compose, plain
from dagrun.domain.schema import check_inputs, parse_input, parse_inputs
from dagrun.domain.versions import is_version
from dagrun.domain.wellformed import schema_problem
from dagrun.errors import InputError

SCHEMA = {
    "type": "object",
    "required": ["n"],
    "properties": {
        "n": {"type": "integer"},
        "s": {"type": "string", "default": "x"},
        "o": {"type": "object", "default": {}, "properties": {"d": {"default": [1]}}},
        "l": {"type": "array"},
    },
}


def test_defaults_are_filled_in_at_every_level():
    given = {"n": 1}
    assert check_inputs(SCHEMA, given) == {"n": 1, "s": "x", "o": {"d": [1]}}
    assert given == {"n": 1}


def test_everything_that_does_not_fit_is_told():
    with pytest.raises(InputError) as caught:
        check_inputs(SCHEMA, {"s": 1, "_x": 2})
    found = [(problem.path, problem.message) for problem in caught.value.problems]
    assert ("inputs._x", "names that begin with _ are reserved") in found
    assert ("inputs.s", "1 is not of type 'string'") in found
    assert ("inputs", "'n' is a required property") in found


def test_without_a_schema_any_object_is_accepted():
    assert check_inputs(None, {"a": [1]}) == {"a": [1]}


@pytest.mark.parametrize(
    ("pair", "value"),
    [("n=3", 3), ("s=3", "3"), ("l=[1]", [1]), ("other=true", True), ("other=a=b", "a=b")],
)
def test_a_pair_is_read_as_the_schema_says(pair, value):
    assert parse_input(SCHEMA, pair) == (pair.partition("=")[0], value)


def test_without_a_schema_json_is_taken_as_such():
    assert parse_input(None, "x=1") == ("x", 1)
    assert parse_input(None, "x=one") == ("x", "one")


@pytest.mark.parametrize("pair", ["n", "=1", "n=x"])
def test_a_pair_that_cannot_be_read_is_refused(pair):
    with pytest.raises(InputError):
        parse_input(SCHEMA, pair)


def test_a_schema_is_checked_itself():
    assert schema_problem(SCHEMA) is None
    assert "is not valid under any of the given schemas" in schema_problem({"type": "nothing"})


@pytest.mark.parametrize("text", ["1.0.0", "0.1.2-rc.1", "1.2.3+build.5", "10.20.30-a-b.c"])
def test_semantic_versions(text):
    assert is_version(text)


@pytest.mark.parametrize(
    "text", ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "", "x" * 999]
)
def test_what_is_no_semantic_version(text):
    assert not is_version(text)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "http://127.0.0.1:1/x"}, "'http://127.0.0.1:1/x', which is not in it"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "which is not in it"),
        ({"$ref": "#"}, "refers to itself without end"),
    ],
)
def test_a_schema_that_leads_out_of_itself_or_nowhere_is_refused(schema, message):
    assert message in schema_problem(schema)


def test_a_schema_may_refer_to_its_own_parts_and_to_the_specifications():
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "n": {"$ref": "#/$defs/n"}}}
    schema = {**tree, "$defs": {"n": {"type": "integer"}}, "default": {"$ref": "nowhere"}}
    assert schema_problem(schema) is None
    assert check_inputs(schema, {"left": {"left": {"n": 1}}}) == {"left": {"left": {"n": 1}}}
    with pytest.raises(InputError, match=r"left\.left\.n"):
        check_inputs(schema, {"left": {"left": {"n": "x"}}})
    assert schema_problem({"$ref": "https://json-schema.org/draft/2020-12/schema"}) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"$id": "http://127.0.0.1:1/", "$ref": "x"}}},
    ],
)
def test_a_schema_that_cannot_be_applied_refuses_the_inputs_and_fetches_nothing(
    schema, monkeypatch
):
    asked = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *request, **_: asked.append(request))
    with pytest.raises(InputError, match="the schema of the inputs refers to"):
        check_inputs(schema, {"a": 1})
    assert asked == []


@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_inputs_that_are_nested_too_deeply_are_refused(schema):
    deep = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(InputError, match="nested deeper than 200 levels"):
        check_inputs(schema, {"a": deep})


def test_an_input_that_the_schema_does_not_know_is_named_with_the_nearest_one():
    schema = {
        "properties": {"least": {"type": "integer"}},
        "patternProperties": {"^x": {}},
        "additionalProperties": False,
    }
    with pytest.raises(InputError) as caught:
        check_inputs(schema, {"leats": 1, "other": 2, "xy": 3})
    assert [str(problem) for problem in caught.value.problems] == [
        "inputs.leats: the workflow has no such input (did you mean 'least'?)",
        "inputs.other: the workflow has no such input",
    ]


def test_a_list_that_is_no_json_is_refused_with_what_to_write():
    schema = {"properties": {"words": {"type": "array"}}}
    with pytest.raises(InputError, match=r"inputs\.words: 'abc' is no array; write it as JSON"):
        parse_input(schema, "words=abc")


TYPED = {
    "$defs": {"text": {"type": "string"}, "count": {"type": "integer"}},
    "properties": {
        "ref": {"$ref": "#/$defs/text"},
        "count": {"$ref": "#/$defs/count"},
        "maybe": {"type": ["string", "null"]},
        "word": {"enum": ["12", "b", 3, None]},
        "const": {"const": "true"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 3}]},
        "free": {},
        "titled": {"title": "Anything"},
        "broken": {"$ref": "#/nowhere"},
    },
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("ref=12", "12"),
        ("ref=null", "null"),
        ('ref="12"', '"12"'),
        ("ref=abc", "abc"),
        ("count=12", 12),
        ("count=x", "x"),
        ("maybe=12", "12"),
        ("maybe=null", None),
        ("maybe=abc", "abc"),
        ("word=12", "12"),
        ("word=b", "b"),
        ('word="b"', "b"),
        ("word=3", 3),
        ("word=null", None),
        ("word=4", 4),
        ("const=true", "true"),
        ("either=12", 12),
        ("either=1.5", "1.5"),
        ("free=12", 12),
        ('free="12"', "12"),
        ("titled=12", 12),
        ("broken=12", 12),
    ],
)
def test_a_value_is_a_text_where_the_schema_takes_no_other(pair, value):
    assert parse_input(TYPED, pair) == (pair.partition("=")[0], value)


def test_an_input_that_is_given_twice_is_refused():
    assert parse_inputs(None, ["a=1", "b=1"]) == {"a": 1, "b": 1}
    with pytest.raises(InputError, match=r"^inputs\.a: it is given twice$"):
        parse_inputs(None, ["a=1", "b=1", "a=1"])


def test_inputs_that_json_cannot_hold_are_named():
    good = {"a": 1, "b": [None]}
    bad = {"n": [float("nan")], "i": float("inf"), "s": "\ud800", "k\ud800": 1, "o": object()}
    with pytest.raises(InputError) as caught:
        check_inputs(None, {**good, **bad})
    paths = [problem.path for problem in caught.value.problems]
    assert paths == ["inputs.n", "inputs.i", "inputs.s", "inputs.k?", "inputs.o"]
    with pytest.raises(InputError, match=r"the inputs are refused: it has \d+ bytes of JSON"):
        check_inputs(None, {f"k{n}": "x" * 1000 for n in range(1100)})


def test_the_table_of_the_reference_tells_how_values_are_read():
    page = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    section = page.split("### Inputs on the command line")[1].split("\n### ")[0]
    head, _, *rows = [
        row.strip("| ").split(" | ") for row in re.findall(r"^\|.*\|$", section, re.MULTILINE)
    ]
    assert len(rows) == 5
    for shown, *values in rows:
        part = None if shown == "none" else plain(compose(f"schema: {shown.strip('`')}"))["schema"]
        schema = {"properties": {"key": part}} if part else None
        for pair, told in zip(head[1:], values, strict=True):
            assert read(schema, pair.removeprefix("`-i ").strip("`")) == told


def read(schema, pair):
    try:
        value = check_inputs(schema, parse_inputs(schema, [pair]))["key"]
    except InputError:
        return "refused"
    return f'`"{value}"`' if isinstance(value, str) else json.dumps(value)
