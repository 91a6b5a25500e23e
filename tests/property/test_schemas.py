"""Schemas are applied as jsonschema alone applies them, and wrong ones are told as by it."""

import functools

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrun.domain.evaluation import Checker, draft_of
from dagrun.domain.jsonvalue import encode
from dagrun.domain.output_schema import OutputSchema
from dagrun.domain.schema import check_inputs, inputs_findings
from dagrun.domain.wellformed import schema_findings
from dagrun.errors import InputError

DRAFTS = {
    "https://json-schema.org/draft/2020-12/schema": jsonschema.Draft202012Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema.Draft201909Validator,
    "http://json-schema.org/draft-07/schema": jsonschema.Draft7Validator,
    "http://json-schema.org/draft-06/schema": jsonschema.Draft6Validator,
    "http://json-schema.org/draft-04/schema": jsonschema.Draft4Validator,
}
NAMES = st.sampled_from(["a", "b", "ab"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.just(1.0), NAMES)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
PATTERNS = st.sampled_from(["^a", "b$", "a+b", "."])


def keywords(inner):
    """Make a schema of those keywords that every draft knows, and that are not the library's."""
    some = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES,
            "enum": st.lists(VALUES, min_size=1, max_size=3, unique_by=repr),
            "minimum": st.integers(-1, 1),
            "pattern": PATTERNS,
            "uniqueItems": st.booleans(),
            "required": st.lists(NAMES, min_size=1, max_size=2, unique=True),
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "items": inner,
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "$ref": st.just("#/definitions/r"),
        },
    )


SCHEMAS = st.recursive(st.just({}), keywords, max_leaves=6)


def found(errors):
    return sorted(str((list(error.absolute_path), error.validator)) for error in errors)


@pytest.mark.parametrize("uri", DRAFTS, ids=lambda uri: uri.split("/")[-2])
@settings(max_examples=150, deadline=None)
@given(schema=SCHEMAS, part=SCHEMAS.filter(lambda part: "$ref" not in str(part)), value=VALUES)
def test_a_value_fits_a_schema_or_does_not_as_the_library_says(uri, schema, part, value):
    whole = {**schema, "$schema": uri, "definitions": {"r": part}}
    expected = DRAFTS[uri](whole).iter_errors(value)
    ours = Checker(whole).violations(value, most=10**6)
    assert found(ours) == found(expected)


WRONG = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(NAMES, SCALARS))
WORDS = (
    *("type", "enum", "const", "multipleOf", "maximum", "exclusiveMinimum", "maxLength", "pattern"),
    *("items", "prefixItems", "additionalItems", "uniqueItems", "contains", "minContains"),
    *("required", "properties", "patternProperties", "additionalProperties", "propertyNames"),
    *("dependencies", "dependentRequired", "dependentSchemas", "allOf", "anyOf", "not", "if"),
    *("$id", "$ref", "$anchor", "$defs", "definitions", "title", "description", "readOnly"),
    *("examples", "format", "contentEncoding", "contentSchema", "$comment", "$vocabulary"),
    *("$recursiveAnchor", "$dynamicAnchor", "unevaluatedItems"),
)
PARTS = st.recursive(
    st.dictionaries(st.sampled_from(WORDS), WRONG, max_size=2),
    lambda inner: st.dictionaries(
        st.sampled_from(WORDS),
        st.one_of(inner, st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
        max_size=2,
    ),
    max_leaves=4,
)


@functools.cache
def library(uri):
    return DRAFTS[uri](DRAFTS[uri].META_SCHEMA)


@pytest.mark.parametrize("uri", DRAFTS, ids=lambda uri: uri.split("/")[-2])
@settings(max_examples=150, deadline=None)
@given(schema=PARTS)
def test_a_schema_is_right_or_wrong_as_the_specification_says(uri, schema):
    described = draft_of({"$schema": uri}).schema
    ours = Checker({**described, "$schema": uri}).violations(schema, most=10**6)
    theirs = library(uri).iter_errors(schema)
    assert set(found(ours)) == set(found(theirs))


@pytest.mark.parametrize("uri", DRAFTS, ids=lambda uri: uri.split("/")[-2])
@settings(max_examples=300, deadline=None)
@given(schema=PARTS, part=PARTS, default=VALUES, inputs=st.dictionaries(NAMES, VALUES, max_size=2))
def test_whatever_a_schema_is_it_is_refused_or_can_be_applied(uri, schema, part, default, inputs):
    properties = {"a": {**part, "default": default}, "b": {"$ref": "#/properties/a"}}
    whole = {**schema, "$schema": uri, "properties": properties}
    if schema_findings(whole) or [*inputs_findings(whole)]:
        return
    said = OutputSchema(whole).problem(encode(inputs)) or ""
    try:
        check_inputs(whole, inputs)
    except InputError as error:
        said += str(error)
    assert "cannot be" not in said
    assert "refers to" not in said
