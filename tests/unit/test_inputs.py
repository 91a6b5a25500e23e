"""A run's inputs."""

import json
import re
from pathlib import Path

import pytest

from dagrun.domain import defaults
from dagrun.domain.document.composer import compose, plain
from dagrun.domain.document.places import show
from dagrun.domain.schema import check_inputs, inputs_findings, parse_input, parse_inputs
from dagrun.domain.versions import is_version
from dagrun.domain.wellformed import schema_findings
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


POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer", "default": 5}},
    "required": ["x"],
}


def test_defaults_are_filled_in_behind_a_reference_and_not_below_items():
    schema = {
        "properties": {
            "given": {"$ref": "#/$defs/a~1b"},
            "own": {"$ref": "#/$defs/a~1b", "default": {}},
            "list": {"items": {"properties": {"x": {"default": 1}}}},
            "joined": {"allOf": [{"properties": {"x": {"default": 1}}}]},
        },
        "$defs": {"a/b": {"$ref": "#/$defs/point"}, "point": POINT},
    }
    assert check_inputs(schema, {"given": {}, "list": [{}], "joined": {}}) == {
        "given": {"x": 5},
        "own": {"x": 5},
        "list": [{}],
        "joined": {},
    }


@pytest.mark.parametrize(
    ("properties", "place", "message"),
    [
        ({"n": {"type": "integer", "default": "x"}}, "n.default", "'x' is not of type 'integer'"),
        (
            {"o": {"properties": {"n": {"type": "integer", "default": "x"}}}},
            "o.properties.n.default",
            "the default of 'n' does not fit: 'x' is not of type 'integer'",
        ),
        ({"p": {"$ref": "#/$defs/point", "default": {"x": "y"}}}, "p.default", "'y' is not of"),
        ({"p": {"$ref": "#/$defs/wrong"}}, "n.default", "'x' is not of type 'integer'"),
        (
            {"t": {"$ref": "#/$defs/endless", "default": {}}},
            "default",
            "cannot be checked: the schema fills in its defaults without end",
        ),
    ],
)
def test_a_default_that_does_not_fit_is_told_where_it_stands(properties, place, message):
    schema = {
        "properties": properties,
        "$defs": {
            "point": POINT,
            "wrong": {"properties": {"n": {"type": "integer", "default": "x"}}},
            "endless": {"properties": {"next": {"$ref": "#/$defs/endless", "default": {}}}},
        },
    }
    assert schema_findings(schema) == []
    (finding,) = inputs_findings(schema)
    assert show(finding.path).endswith(place)
    assert message in finding.message


def test_all_wrong_defaults_are_told_and_those_that_are_never_filled_in_are_none():
    wrong = {"type": "integer", "default": "x"}
    schema = {"properties": {"a": wrong, "b": wrong}, "anyOf": [wrong], "default": 3}
    assert [show(finding.path) for finding in inputs_findings(schema)] == [
        "properties.a.default",
        "properties.b.default",
    ]


def test_defaults_that_multiply_are_given_up(monkeypatch):
    monkeypatch.setattr(defaults, "MAX_DEFAULT_STEPS", 50_000)
    level = {
        f"d{n}": {
            "properties": {key: {"$ref": f"#/$defs/d{n + 1}", "default": {}} for key in "abcd"}
        }
        for n in range(30)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**level, "d30": {}}}
    with pytest.raises(InputError, match="more than 50000 steps to fill in its defaults"):
        check_inputs(schema, {})


@pytest.mark.parametrize("key", [1, None, True])
def test_an_input_whose_name_is_no_text_is_refused(key):
    with pytest.raises(InputError, match="stands as a key, and is no text"):
        check_inputs(None, {key: 2})
    with pytest.raises(InputError, match="stands as a key, and is no text"):
        check_inputs(SCHEMA, {"n": 1, "l": [{key: 2}]})


def test_everything_that_does_not_fit_is_told():
    with pytest.raises(InputError) as caught:
        check_inputs(SCHEMA, {"s": 1, "_x": 2})
    found = [(problem.path, problem.message) for problem in caught.value.problems]
    assert ("inputs._x", "names that begin with _ are reserved") in found
    assert ("inputs.s", "1 is not of type 'string'") in found
    assert ("inputs.n", "it is needed, and not given") in found


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
    assert schema_findings(SCHEMA) == []


def test_all_that_is_wrong_with_a_schema_is_told_with_place_and_nearest_word():
    schema = {
        "propertees": {},
        "properties": {
            "a": {"type": "strin"},
            "b": {"type": "int"},
            "c": {"type": ["str", "integer", "nul"]},
            "d": {"type": 3},
            "e": {"type": []},
            "f": {"minLength": -1},
            "type": {"type": "string"},
        },
    }
    told = {
        show(f.path): (f.suggestion, f.message.split(" is ")[0]) for f in schema_findings(schema)
    }
    assert told == {
        "propertees": ("properties", "'propertees'"),
        "properties.a.type": ("string", "'strin'"),
        "properties.b.type": ("integer", "'int'"),
        "properties.c.type[0]": ("string", "'str'"),
        "properties.c.type[2]": ("null", "'nul'"),
        "properties.d.type": (None, "3"),
        "properties.e.type": (None, "[]"),
        "properties.f.minLength": (None, "-1"),
    }


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07"])
def test_wrong_types_are_told_in_older_versions_too(draft):
    schema = {"$schema": f"http://json-schema.org/{draft}/schema#", "items": {"type": "bool"}}
    (finding,) = schema_findings(schema)
    assert (show(finding.path), finding.suggestion) == ("items.type", "boolean")


def test_all_parts_of_a_schema_that_cannot_be_used_are_told_where_they_stand():
    schema = {
        "properties": {
            "a": {"pattern": "("},
            "b": {"patternProperties": {"[": {}}},
            "c": {"$dynamicRef": "#a"},
        }
    }
    assert sorted(show(finding.path) for finding in schema_findings(schema)) == [
        "properties.a.pattern",
        "properties.b.patternProperties.[",
        "properties.c.$dynamicRef",
    ]
    (finding,) = schema_findings({"properties": {"a": {"items": {"$ref": "#/nowhere"}}}})
    assert show(finding.path) == "properties.a.items"


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
    (finding,) = schema_findings(schema)
    assert message in finding.message


def test_a_schema_may_refer_to_its_own_parts_and_to_the_specifications():
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "n": {"$ref": "#/$defs/n"}}}
    schema = {**tree, "$defs": {"n": {"type": "integer"}}, "default": {"$ref": "nowhere"}}
    assert schema_findings(schema) == []
    assert check_inputs(schema, {"left": {"left": {"n": 1}}}) == {"left": {"left": {"n": 1}}}
    with pytest.raises(InputError, match=r"left\.left\.n"):
        check_inputs(schema, {"left": {"left": {"n": "x"}}})
    assert schema_findings({"$ref": "https://json-schema.org/draft/2020-12/schema"}) == []


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
