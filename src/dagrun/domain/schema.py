"""A run's inputs: their schema, their defaults, and how they are written on a command line."""

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dagrun.domain.document.places import nearest, show
from dagrun.domain.jsonvalue import NotJson, decode, encode
from dagrun.errors import InputError, Problem

MAX_SCHEMA: Final = 256 * 1024
"""Bytes of JSON that a schema may have."""

MAX_CHECKS: Final = 1000
"""Schemas that one value may be checked against."""

_ANNOTATIONS: Final = frozenset(
    [
        "$schema",
        "$id",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "$vocabulary",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "id",
        "then",
        "else",
        "if",
        "format",
        "minContains",
        "maxContains",
    ]
)
"""Keywords of JSON Schema that no validator has a function for."""

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
        errors = list(validator_of(schema).iter_errors(inputs))
    except Unresolvable as error:
        return [Problem(message=f"the schema of the inputs refers to {error.ref!r}, not found")]
    except RecursionError:
        return [Problem(message="the schema of the inputs refers to itself without end")]
    except Exception as error:  # noqa: BLE001 — the library trips over some wrong references
        return [Problem(message=f"the schema of the inputs cannot be understood: {error}")]
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


def validator_of(schema: Mapping[str, Any]) -> Any:
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
    try:
        encode(dict(schema), limit=MAX_SCHEMA)
    except NotJson as error:
        return str(error)
    if not isinstance(schema.get("$schema", ""), str):
        return "$schema: text is needed"
    import jsonschema  # noqa: PLC0415 — as above
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 — as above

    try:
        validator_of(schema).check_schema(dict(schema))
        return _unknown_keyword(schema) or _Walk(schema).problem()
    except jsonschema.SchemaError as error:
        place = show(list(error.absolute_path))
        return f"{place}: {error.message}" if place else error.message
    except Unresolvable as error:
        return f"it refers to {error.ref!r}, which is not in it; nothing is fetched from elsewhere"
    except RecursionError:
        return "it is nested too deeply"
    except Exception as error:  # noqa: BLE001 — the libraries trip over some wrong references
        return f"it cannot be understood ({type(error).__name__}: {error})"


def _unknown_keyword(schema: Mapping[str, Any]) -> str | None:
    """Find a word at the top that is no keyword, and would have no effect."""
    known = {*validator_of(schema).VALIDATORS, *_ANNOTATIONS}
    for key in schema:
        if key not in known and not key.startswith("x-"):
            near = nearest(key, known)
            hint = f"; did you mean {near!r}?" if near else "; names go under 'properties'"
            return f"{key!r} is no keyword of JSON Schema{hint}"
    return None


class _Walk:
    """Looks up every reference of a schema, and how much work a check against it may be."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from referencing.jsonschema import DRAFT202012, specification_with  # noqa: PLC0415 — above

        try:
            draft = specification_with(schema.get("$schema", ""), default=DRAFT202012)
        except Exception:  # noqa: BLE001 — an unknown one is no error elsewhere, either
            draft = DRAFT202012
        self._resource = draft.create_resource(schema)
        self._resolver = _specifications().resolver_with_root(self._resource)
        self._costs: dict[int, float] = {}

    def problem(self) -> str | None:
        """Say what is wrong.

        Raises:
            Unresolvable: a reference leads nowhere.
        """
        waiting = [(self._resource, self._resolver)]
        while waiting:
            resource, resolver = waiting.pop()
            cost = self._cost(resource.contents, resolver)
            if cost == math.inf:
                return "it refers to itself without end"
            if cost > MAX_CHECKS:
                return "its parts refer to each other so often that checking takes too long"
            parts = resource.subresources()
            waiting.extend((part, resolver.in_subresource(part)) for part in parts)
        return None

    def _cost(self, schema: Any, resolver: Any) -> float:
        """Count the schemas that one value is checked against; infinity for a circle."""
        if not isinstance(schema, Mapping):
            if not isinstance(schema, bool):
                raise TypeError("a reference leads to something that is no schema")
            return 1
        known = self._costs.get(id(schema))
        if known is None:
            self._costs[id(schema)] = math.inf  # until it is known: whoever asks now is a circle
            known = self._costs[id(schema)] = 1 + sum(
                self._cost(part, where) for part, where in _beside(schema, resolver)
            )
        return known


def _beside(schema: Mapping[str, Any], resolver: Any) -> Iterator[tuple[Any, Any]]:
    """Give the schemas that the same value must fit, too, and where their references start."""
    if isinstance(schema.get("$ref"), str):
        found = resolver.lookup(schema["$ref"])
        yield found.contents, found.resolver
    for key in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(key, ()):
            yield part, resolver
    for key in ("not", "if", "then", "else"):
        if key in schema:
            yield schema[key], resolver
    dependent = schema.get("dependentSchemas")
    for part in dependent.values() if isinstance(dependent, Mapping) else ():
        yield part, resolver


def inputs_problem(schema: Mapping[str, Any]) -> str | None:
    """Say why no inputs could ever fit a schema that is right by itself."""
    kind = schema.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        return f"the inputs are an object, which the type {kind!r} never fits"
    for name in schema.get("required", ()):
        if name.startswith(RESERVED):
            return f"{name!r} is required, but names that begin with _ are reserved"
    properties = schema.get("properties", {})
    for name, part in properties.items():
        if isinstance(part, Mapping) and "default" in part:
            value = copy.deepcopy(part["default"])
            fill_defaults(part, value)
            validator = validator_of(schema)
            for error in validator.evolve(schema=part).iter_errors(value):
                return f"the default of {name!r} does not fit: {error.message}"
    return None


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
