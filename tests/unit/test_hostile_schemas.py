"""JSON Schemas that would take for ever, or break the library that applies them."""

import json
import math

import pytest
import referencing

from dagrun.domain import evaluation, keywords, patterns, steps
from dagrun.domain.defaults import MAX_DEFAULT_STEPS
from dagrun.domain.document.catalogue import Catalogue, ExecutorKind, check_options
from dagrun.domain.document.loader import load_document
from dagrun.domain.document.places import show
from dagrun.domain.evaluation import MAX_STEPS, Checker
from dagrun.domain.jsonvalue import encode
from dagrun.domain.output_schema import OutputSchema
from dagrun.domain.schema import check_inputs
from dagrun.domain.steps import Meter
from dagrun.domain.wellformed import schema_findings
from dagrun.errors import DefinitionError, InputError

CATALOGUE = Catalogue(executors={"any": ExecutorKind()}, triggers={})
HEAD = "apiVersion: dagrun/v1\nkind: Workflow\nmetadata: {id: w, version: 1.0.0}\nspec:\n"


def nested(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def doubling(keyword="properties"):
    twice = {"allOf": [{"$ref": "#/$defs/s"}, {"$ref": "#/$defs/s"}]}
    part = {"properties": {"a": twice}} if keyword == "properties" else {"items": twice}
    return {"$defs": {"s": part}}


def load(inputs):
    text = HEAD + f"  nodes: [{{id: a, executor: {{type: any}}}}]\n  inputs: {json.dumps(inputs)}\n"
    return load_document(text, file="w.yaml", catalogue=CATALOGUE)


def problem(inputs):
    with pytest.raises(DefinitionError) as caught:
        load(inputs)
    found = caught.value.problems[0]
    assert (found.file, found.line) == ("w.yaml", 6)
    assert found.path.startswith("spec.inputs")
    return found.message


def schema_problem(schema):
    (finding,) = schema_findings(schema)
    return f"{show(finding.path)}: {finding.message}"


@pytest.fixture
def taken(monkeypatch):
    """Count the steps that are taken under any meter."""
    counted = [0]
    original = Meter.take

    def take(meter, number):
        counted[0] += number
        original(meter, number)

    monkeypatch.setattr(Meter, "take", take)
    return lambda: counted[0]


@pytest.mark.parametrize("keyword", ["properties", "items"])
def test_a_default_that_is_checked_too_often_is_refused_after_a_number_of_steps(keyword, taken):
    default = nested(40) if keyword == "properties" else json.loads("[" * 40 + "]" * 40)
    schema = doubling(keyword)
    schema["properties"] = {"r": {"$ref": "#/$defs/s", "default": default}}
    message = problem(schema)
    assert message == (
        "the default of 'r' cannot be checked: the schema takes more than 1000000 steps to check"
    )
    assert taken() < MAX_DEFAULT_STEPS + 10_000


def test_all_defaults_of_a_schema_share_the_steps(taken):
    part = {"items": {"allOf": [{"type": "integer"}] * 3}, "default": list(range(4000))}
    assert "cannot be checked" in problem({"properties": {f"p{n}": part for n in range(8)}})
    assert taken() < MAX_DEFAULT_STEPS + 100_000


def test_inputs_and_outputs_are_given_up_after_a_number_of_steps(taken, monkeypatch):
    assert MAX_STEPS == 10_000_000
    monkeypatch.setattr(evaluation, "MAX_STEPS", 100_000)
    schema = {**doubling(), "properties": {"r": {"$ref": "#/$defs/s"}}}
    with pytest.raises(InputError, match="takes more than 100000 steps to check"):
        check_inputs(schema, {"r": nested(40)})
    assert taken() < 101_000
    said = OutputSchema(schema).problem(encode({"r": nested(40)}))
    assert said == "the schema cannot be applied: it takes more than 100000 steps to check"


MANY = [f"p{n}" for n in range(5000)]
ALL = dict.fromkeys(MANY, 1)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"enum": [[n] * 10 for n in range(500)]}, [499] * 10),
        ({"properties": {name: {} for name in MANY}}, {}),
        ({"required": MANY}, ALL),
        ({"maxProperties": 5000}, ALL),
        ({"$ref": "#/$defs/" + "x" * 100_000}, 1),
        ({"patternProperties": {f"{n}$": {} for n in range(500)}}, {"a": 1, "b": 2}),
        ({f"x-{n}": 1 for n in range(5000)}, 1),
        ({"dependentRequired": {"p1": MANY}}, ALL),
        ({"pattern": "(a?){900}(b?){900}c"}, "a" * 2000 + "c"),
        ({"uniqueItems": True}, [[n] * 100 for n in range(30)]),
    ],
    ids=lambda rule: next(iter(rule), None) if isinstance(rule, dict) else None,
)
def test_what_a_keyword_walks_over_is_counted(rule, value):
    checker = Checker({"items": rule, "$defs": {"x" * 100_000: {}}})
    meter = Meter(math.inf)
    assert checker.violations([value] * 10, most=1, meter=meter) == []
    assert meter.taken > 10_000


def test_a_pattern_never_goes_back():
    said = problem({"properties": {"r": {"pattern": "^(a+)+$", "default": "a" * 36 + "!"}}})
    assert said == f"the default of 'r' does not fit: '{'a' * 36}!' does not match '^(a+)+$'"
    schema = {
        "properties": {"n": {"pattern": "(x+x+)+y"}},
        "patternProperties": {"^(b+)+$": {}},
        "additionalProperties": False,
    }
    said = OutputSchema(schema).problem(encode({"n": "x" * 100_000}))
    assert said == 'outputs.n: the value does not fit {"pattern": "(x+x+)+y"}'
    with pytest.raises(InputError, match="no such input"):
        check_inputs(schema, {"b" * 5000 + "!": 1})
    options = check_options(schema, {"b" * 5000 + "!": 1})
    assert len(options) == 1


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("^[a-z]+$", "abc", True),
        ("^[a-z]+$", "abc\n", False),
        (r"^\d{3}$", "123", True),
        (r"^[\u4e00-\u9fa5]+$", "中文", True),
        (r"\\u0041", r"\u0041", True),
        ("b", "abc", True),
    ],
)
def test_patterns_mean_what_json_schema_says(pattern, text, fits):
    assert patterns.found(pattern, text) is fits


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"pattern": "("}, "the pattern '(' cannot be used: missing ): ("),
        ({"pattern": "(?!a)b"}, "the pattern '(?!a)b' cannot be used: invalid perl operator: (?!"),
        ({"pattern": r"(a)\1"}, "invalid escape sequence"),
        ({"patternProperties": {"[": {}}}, "the pattern '[' cannot be used"),
        ({"pattern": "(a{1000}){1000}"}, "invalid repetition size"),
        ({"pattern": r"[\x{0}-\x{10ffff}]{900}" * 20}, "too large"),
        ({"allOf": [{"pattern": f"{n}(a?){{900}}"} for n in range(100)]}, "too large together"),
        ({"unevaluatedProperties": False}, "'unevaluatedProperties' is not supported; write 'add"),
        ({"unevaluatedItems": False}, "'unevaluatedItems' is not supported; write 'items'"),
        ({"$schema": "urn:x"}, "'$schema' may stand at its top only"),
        ({"$id": "x" * 300}, "an '$id' may have 256 characters"),
        ({"$ref": "#/x-part"}, "it refers to '#/x-part', which is no schema in it"),
    ],
)
def test_what_cannot_be_bounded_or_is_no_schema_is_refused(part, message, taken):
    assert message in problem({"x-part": {"type": 5}, "properties": {"a": part}})
    assert taken() < 1_000_000


def test_no_more_is_told_of_a_schema_than_anybody_reads():
    assert len(schema_findings({"required": [1, "a"] * 20_000})) == 1000


def test_a_reference_is_a_text_in_old_versions_too():
    old = {"$schema": "http://json-schema.org/draft-04/schema#"}
    assert schema_problem({**old, "$ref": None}) == "$ref: text is needed"
    named = {"$ref": {"$ref": "#/properties/id"}, "id": {}}
    assert schema_findings({**old, "properties": named}) == []
    assert "256 characters" in schema_problem({**old, "items": {"id": "x" * 300}})


def test_an_unknown_version_of_json_schema_is_refused():
    said = schema_problem({"$schema": "http://json-schema.org/draft-03/schema#"})
    assert said.startswith(
        "$schema: 'http://json-schema.org/draft-03/schema#' cannot be understood"
    )


@pytest.mark.parametrize(
    "part",
    [
        {"$dynamicRef": "#nope", "default": 1},
        {"$dynamicRef": "http://127.0.0.1:1/x", "default": 1},
        {"$dynamicAnchor": "m", "$dynamicRef": "#m", "default": 1},
        {"$dynamicAnchor": "m", "$dynamicRef": "#m"},
        {"$recursiveRef": "#", "default": 1},
    ],
)
@pytest.mark.parametrize("at_top", [False, True])
def test_references_that_depend_on_the_way_are_refused(part, at_top):
    word = next(key for key in part if key.endswith("Ref"))
    message = problem(part if at_top else {"properties": {"a": part}})
    assert message == f"'{word}' is not supported; write '$ref'"


def test_unique_items_are_looked_at_once(monkeypatch):
    written = []
    original = keywords._canonical
    monkeypatch.setattr(keywords, "_canonical", lambda value: written.append(1) or original(value))
    load({"properties": {"r": {"uniqueItems": True, "default": [{"a": n} for n in range(4000)]}}})
    assert len(written) == 8000


@pytest.mark.parametrize(
    ("value", "unique"),
    [
        ([1, 1.0], False),
        ([1, True], True),
        ([0, False, None, "", [], {}], True),
        ([{"a": 1, "b": [2.0]}, {"b": [2], "a": 1}], False),
        ([{"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}], True),
        ([[1, 2], [12]], True),
        (["1", 1], True),
        (["é", "\\u00e9"], True),
    ],
)
def test_unique_items_are_those_of_json(value, unique):
    assert (Checker({"uniqueItems": True}).violations(value, most=1) == []) is unique


def test_names_of_parts_are_looked_for_once(monkeypatch):
    looked = []
    original = referencing.Resource.id
    monkeypatch.setattr(
        referencing.Resource, "id", lambda resource: looked.append(1) or original(resource)
    )
    parts = {f"d{n}": {"$id": f"http://x.test/{n}", "type": "string"} for n in range(1000)}
    uses = {f"p{n}": {"$ref": f"http://x.test/{n}"} for n in range(1000)}
    load({"$defs": parts, "properties": uses})
    assert len(looked) < 20 * 2000


def test_one_value_may_be_checked_against_many_alternatives():
    schema = {"properties": {"a": {"oneOf": [{"const": n} for n in range(1500)]}}}
    assert load(schema).inputs == schema
    assert check_inputs(schema, {"a": 1499}) == {"a": 1499}
    with pytest.raises(InputError, match="-1 is not valid under any of the given schemas"):
        check_inputs(schema, {"a": -1})


def test_a_message_about_a_large_value_is_short_and_so_is_the_list_of_messages():
    schema = {"anyOf": [{"minProperties": 9}] * 50, "properties": {"a": {"items": {"const": 1}}}}
    with pytest.raises(InputError) as caught:
        check_inputs(schema, {"a": ["x" * 1000] * 900, "b": "y" * 50_000})
    assert len(caught.value.problems) == 901
    assert max(len(str(problem)) for problem in caught.value.problems) < 500
    with pytest.raises(InputError) as caught:
        check_inputs({"additionalProperties": False}, {f"k{n}": n for n in range(5000)})
    assert len(caught.value.problems) == 1000


def test_steps_are_counted_only_while_a_check_goes_on():
    meter = Meter(5)
    with steps.counted_by(meter):
        steps.take(2)
    steps.take(100)
    assert meter.taken == 2
