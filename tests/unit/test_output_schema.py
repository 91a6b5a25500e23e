"""What is said about outputs that do not fit, and about schemas that no outputs fit."""

import pytest

from dagrun.domain.jsonvalue import encode
from dagrun.domain.output_schema import OutputSchema, outputs_findings
from dagrun.testing.programs import call


def problem(schema, outputs):
    return OutputSchema(schema).problem(encode(outputs))


def test_outputs_that_fit_have_no_problem():
    schema = {"required": ["n"], "properties": {"n": {"type": "integer", "maximum": 3}}}
    assert problem(schema, {"n": 3}) is None
    assert problem(schema, {"n": 4}) == "outputs.n: 4 is greater than the maximum of 3"
    assert problem(schema, {}) == "outputs: 'n' is a required property"


def test_the_first_places_are_named_and_that_there_are_more():
    schema = {"properties": {"rows": {"items": {"properties": {"id": {"type": "string"}}}}}}
    rows = [{"id": "a"}, *({"id": n} for n in range(3))]
    said = problem(schema, {"rows": rows})
    assert said == (
        "outputs.rows[1].id: 0 is not of type 'string'; "
        "outputs.rows[2].id: 1 is not of type 'string'; "
        "outputs.rows[3].id: 2 is not of type 'string'"
    )
    assert problem(schema, {"rows": [*rows, {"id": 4}]}) == said + "; and more"


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"type": "integer"}, ["x" * 100_000]),
        ({"enum": ["y" * 10_000]}, "x"),
        ({"type": "object", "additionalProperties": False}, {"k" * 10_000: 1}),
    ],
)
def test_what_is_said_is_bounded_and_keeps_its_point(rule, value):
    said = problem({"properties": {"a": rule}}, {"a": value})
    assert len(said) < 700
    assert said.startswith("outputs.a: ")
    assert next(reversed(rule)) in said


def test_a_place_with_a_long_name_is_cut():
    said = problem({"additionalProperties": {"type": "integer"}}, {"k" * 10_000: "x"})
    assert len(said) < 500
    assert said.endswith("…: 'x' is not of type 'integer'")


def test_a_schema_that_cannot_be_applied_is_told_and_fetches_nothing(monkeypatch):
    asked = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *request, **_: asked.append(request))
    for reference in ("http://127.0.0.1:1/x", "#/nowhere"):
        schema = {"properties": {"a": {"$ref": reference}}}
        assert "the schema cannot be applied" in problem(schema, {"a": 1})
    assert "the schema cannot be applied" in problem({"$ref": "#"}, {"a": 1})
    assert asked == []


def test_a_validator_is_made_once(monkeypatch):
    from dagrun.domain import output_schema

    made = []
    original = output_schema.Checker
    monkeypatch.setattr(output_schema, "Checker", lambda s: made.append(s) or original(s))
    schema = OutputSchema({"type": "object"})
    assert made == []
    for _ in range(3):
        assert schema.problem(encode({})) is None
    assert len(made) == 1


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({}, False),
        ({"type": "object"}, False),
        ({"type": ["object", "null"]}, False),
        ({"type": "array"}, True),
        ({"type": ["string", "null"]}, True),
    ],
)
def test_a_type_that_no_outputs_have_is_an_error(schema, wrong):
    assert (list(outputs_findings(schema)) != []) is wrong


def test_a_plan_without_such_schemas_does_not_load_the_library(tmp_path):
    code = (
        "import sys; from dagrun.testing.drive import Driver, make_node, make_plan; "
        "plan = make_plan(make_node('a'), make_node('b', outputs={'type': 'object'})); "
        "Driver(plan).begin().succeed('a').succeed('b'); "
        "print('jsonschema' in sys.modules, plan.steps[1].output_schema.problem(b'{}'), "
        "'jsonschema' in sys.modules)"
    )
    done = call("-c", code, folder=tmp_path)
    assert done.stdout == "False None True\n"
