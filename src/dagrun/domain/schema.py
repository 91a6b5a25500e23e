"""A run's inputs: their schema, their defaults, and how they are written on a command line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from dagrun.domain.defaults import default_findings, fill_defaults
from dagrun.domain.document.places import MAX_FINDINGS, Finding, Spelling, show
from dagrun.domain.evaluation import CannotCheck, Checker
from dagrun.domain.jsonvalue import NotJson, decode, encode
from dagrun.domain.keywords import unknown_names
from dagrun.errors import InputError, Problem

_LONG: Final = 500  # characters of a key path that are told

MISSING: Final = "it is needed, and not given"
"""What is said of an input that is missing."""

RESERVED: Final = "_"
"""Inputs whose names begin so are dagrun's own."""


def check_inputs(schema: Mapping[str, Any] | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in defaults and check.

    Args:
        schema: JSON Schema of the inputs; None accepts any object.
        inputs: what the caller gives.

    Raises:
        InputError: with everything that does not fit.
    """
    filled = _copied(inputs)
    problems = [
        Problem(path=f"inputs.{key}", message="names that begin with _ are reserved")
        for key in filled
        if key.startswith(RESERVED)
    ]
    if schema is not None:
        try:
            fill_defaults(schema, filled)
            problems += _violations(schema, filled)
        except CannotCheck as error:
            problems.append(Problem(message=f"the schema of the inputs {error}"))
    if problems:
        raise InputError(problems)
    return filled


def _copied(inputs: Mapping[str, Any]) -> dict[str, Any]:
    try:
        copied: dict[str, Any] = decode(encode(dict(inputs)))
    except NotJson as error:
        problems = [*_not_json(inputs)] or [Problem(message=f"the inputs are refused: {error}")]
        raise InputError(problems) from error
    return copied


def _not_json(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Tell which inputs JSON cannot hold, each by itself."""
    for key, value in inputs.items():
        try:
            encode({key: value})
        except NotJson as error:
            name = str(key).encode(errors="replace").decode()
            yield Problem(path=f"inputs.{name}", message=str(error))


def _violations(schema: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Problem]:
    errors = Checker(schema).violations(inputs, most=MAX_FINDINGS)
    errors.sort(key=lambda error: list(map(str, error.path)))
    problems = (problem for error in errors for problem in _problems(error))
    return list(islice(problems, MAX_FINDINGS))


def _problems(error: Any) -> Iterator[Problem]:
    """Say what a validator found; of keys too many, each by itself with the nearest known one."""
    path = ["inputs", *error.absolute_path]
    if error.validator == "additionalProperties" and error.validator_value is False:
        spelling = Spelling(error.schema.get("properties", {}))
        for key in unknown_names(error.instance, error.schema):
            near = spelling.nearest(key)
            message = "the workflow has no such input"
            yield Problem(path=_place([*path, key]), message=message, suggestion=near)
    elif error.validator == "required":
        # There is one error for each, and only its words say which.
        names = (n for n in error.validator_value if error.message.startswith(repr(n)))
        yield Problem(path=_place([*path, *names][: len(path) + 1]), message=MISSING)
    else:
        yield Problem(path=_place(path), message=error.message)


def _place(path: Sequence[str | int]) -> str:
    text = show(path)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def inputs_findings(schema: Mapping[str, Any]) -> Iterator[Finding]:
    """Say why no inputs could fit a schema that is right by itself, and which defaults do not."""
    kind = schema.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        message = f"the inputs are an object, which the type {kind!r} never fits"
        yield Finding(path=("type",), message=message)
    for number, name in enumerate(schema.get("required", ())):
        if name.startswith(RESERVED):
            message = f"{name!r} is required, but names that begin with _ are reserved"
            yield Finding(path=("required", number), message=message)
    yield from default_findings(schema)


def parse_inputs(schema: Mapping[str, Any] | None, pairs: Sequence[str]) -> dict[str, Any]:
    """Read what a command line says of inputs, each ``key=value``.

    Raises:
        InputError: one cannot be read, or is there twice.
    """
    given: dict[str, Any] = {}
    for pair in pairs:
        key, value = parse_input(schema, pair)
        if key in given:
            raise InputError([Problem(path=f"inputs.{key}", message="it is given twice")])
        given[key] = value
    return given


def parse_input(schema: Mapping[str, Any] | None, pair: str) -> tuple[str, Any]:
    """Read ``key=value`` from a command line, typed as the schema says.

    What is to be a text is one, whatever it looks like. Else a value that is JSON is taken as such,
    unless the schema takes it as a text only; and what is no JSON is a text.

    Raises:
        InputError: there is no ``=``, or the value is not of the type.
    """
    key, equals, text = pair.partition("=")
    if not equals or not key:
        raise InputError([Problem(path=pair, message="write key=value")])
    part = _part_of(schema, key)
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "string":
        return key, text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if not isinstance(kind, str):
            return key, text
        hint = "; write it as JSON" if kind in ("array", "object") else ""
        message = f"{text!r} is no {kind}{hint}"
        raise InputError([Problem(path=f"inputs.{key}", message=message)]) from None
    if schema is None or not part or isinstance(kind, str):
        return key, value
    return key, _fitting(schema, key, value, text)


def _part_of(schema: Mapping[str, Any] | None, key: str) -> Any:
    properties = schema.get("properties") if schema is not None else None
    return properties.get(key) if isinstance(properties, Mapping) else None


def _fitting(schema: Mapping[str, Any], key: str, value: Any, text: str) -> Any:
    """Choose between JSON and the text that it is written in, by what the schema takes."""
    checker = Checker(schema)
    part = checker.schema["properties"][key]
    for one in (text, value) if isinstance(value, str) else (value, text):
        try:
            if not checker.violations(one, part=part, most=1):
                return one
        except CannotCheck:
            break  # which is told when all inputs are checked
    return value
