"""A run's inputs: their schema, their defaults, and how they are written on a command line."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dagrun.domain.document.places import nearest, show
from dagrun.domain.jsonvalue import NotJson, decode, encode
from dagrun.errors import InputError, Problem

_VALUES: Final = ("default", "const", "enum", "examples")
"""Keywords of JSON Schema whose values are no schemas."""

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
    problems = [
        Problem(path=f"inputs.{key}", message="names that begin with _ are reserved")
        for key in inputs
        if key.startswith(RESERVED)
    ]
    try:
        filled: dict[str, Any] = decode(encode(dict(inputs)))
    except NotJson as error:
        raise InputError([Problem(message=f"the inputs are refused: {error}")]) from error
    if schema is not None:
        fill_defaults(schema, filled)
        problems += _violations(schema, filled)
    if problems:
        raise InputError(problems)
    return filled


def fill_defaults(schema: Any, value: Any) -> None:
    """Put in the defaults of ``properties`` that are missing, at every level."""
    if not isinstance(schema, Mapping) or not isinstance(value, dict):
        return
    properties = schema.get("properties")
    for name, part in properties.items() if isinstance(properties, Mapping) else ():
        if isinstance(part, Mapping) and name not in value and "default" in part:
            value[name] = copy.deepcopy(part["default"])
        if name in value:
            fill_defaults(part, value[name])


def _violations(schema: Mapping[str, Any], inputs: Mapping[str, Any]) -> list[Problem]:
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 — 130 ms for schemas only

    try:
        errors = list(_validator(schema).iter_errors(inputs))
    except Unresolvable as error:
        return [Problem(message=f"the schema of the inputs refers to {error.ref!r}, not found")]
    except RecursionError:
        return [Problem(message="the schema of the inputs refers to itself without end")]
    errors.sort(key=lambda error: list(map(str, error.path)))
    return [problem for error in errors for problem in _problems(error)]


def _problems(error: Any) -> Iterator[Problem]:
    """Say what a validator found; of keys too many, each by itself with the nearest known one."""
    path = ["inputs", *error.absolute_path]
    extra: list[str] = []
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = error.schema.get("properties", {})
        patterns = list(error.schema.get("patternProperties", {}))
        extra = [
            key
            for key in error.instance
            if key not in known and not any(re.search(pattern, key) for pattern in patterns)
        ]
    for key in extra:
        message = "the workflow has no such input"
        yield Problem(path=show([*path, key]), message=message, suggestion=nearest(key, known))
    if not extra:
        yield Problem(path=show(path), message=error.message)


def _validator(schema: Mapping[str, Any]) -> Any:
    """Give a validator that knows the schema and the specifications, and fetches nothing."""
    import jsonschema  # noqa: PLC0415 — 130 ms that only a schema costs

    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return kind(schema, registry=_specifications())


def _specifications() -> Any:
    """Give the registry of the specifications' own schemas."""
    import jsonschema_specifications  # type: ignore[import-untyped]  # noqa: PLC0415 — it has none

    return jsonschema_specifications.REGISTRY


def schema_problem(schema: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a JSON Schema itself; None when it is right."""
    import jsonschema  # noqa: PLC0415 — as above
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 — as above

    validator = _validator(schema)
    try:
        validator.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        place = show(list(error.absolute_path))
        return f"{place}: {error.message}" if place else error.message
    except RecursionError:
        return "it is nested too deeply"
    try:
        _look_up_all(schema)
        validator.is_valid({})
    except Unresolvable as error:
        return f"it refers to {error.ref!r}, which is not in it; nothing is fetched from elsewhere"
    except RecursionError:
        return "it refers to itself without end"
    return None


def _look_up_all(schema: Mapping[str, Any]) -> None:
    """Look up every reference that is not relative to an ``$id`` inside the schema.

    Raises:
        referencing.exceptions.Unresolvable: one leads nowhere.
    """
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415 — as above

    resolver = _specifications().resolver_with_root(DRAFT202012.create_resource(schema))
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            if part is not schema and "$id" in part:
                continue
            if isinstance(part.get("$ref"), str):
                resolver.lookup(part["$ref"])
            waiting.extend(value for key, value in part.items() if key not in _VALUES)
        elif isinstance(part, list | tuple):
            waiting.extend(part)


def parse_input(schema: Mapping[str, Any] | None, pair: str) -> tuple[str, Any]:
    """Read ``key=value`` from a command line, typed as the schema says.

    Without a schema for the key a value that is JSON is taken as such, and any other as text.

    Raises:
        InputError: there is no ``=``, or the value is not of the type.
    """
    key, equals, text = pair.partition("=")
    if not equals or not key:
        raise InputError([Problem(path=pair, message="write key=value")])
    kind = _type_of(schema, key)
    if kind == "string":
        return key, text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if kind is None:
            return key, text
        hint = "; write it as JSON" if kind in ("array", "object") else ""
        message = f"{text!r} is no {kind}{hint}"
        raise InputError([Problem(path=f"inputs.{key}", message=message)]) from None
    return key, value


def _type_of(schema: Mapping[str, Any] | None, key: str) -> str | None:
    properties = schema.get("properties") if schema is not None else None
    part = properties.get(key) if isinstance(properties, Mapping) else None
    kind = part.get("type") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else None
