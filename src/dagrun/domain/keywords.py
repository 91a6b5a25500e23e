"""Keywords of JSON Schema as functions for jsonschema, such that their work can be counted.

The library's own search with patterns that may never end, compare each element of a list with each
other one, or keep what is wrong with every alternative.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from dagrun.domain import patterns
from dagrun.domain.steps import breadth, bulk, take

Keyword = Callable[[Any, Any, Any, Any], Iterable[Any] | None]
"""Takes validator, the keyword's value, what is checked, and the schema; gives errors."""

SHOWN: Final = 5
"""Names that one message lists."""

_SHARE: Final = 7  # a search takes about 6 ns for each character and instruction: 2**7 a step
_WHOLE: Final = frozenset({"const", "dependencies", "dependentRequired", "enum"})
"""Keywords that may look at all of their value for each value that they check."""


def counted(name: str, function: Keyword) -> Keyword:
    """Count what a keyword does before it does it."""
    size = bulk if name in _WHOLE else breadth

    def keyword(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[Any] | None:
        take(1 + size(value) + breadth(instance))
        return function(validator, value, instance, schema)

    return keyword


def _error(message: str) -> Any:
    from jsonschema import ValidationError  # noqa: PLC0415 — it is loaded when there is a schema

    return ValidationError(message)


def _found(pattern: str, text: str) -> bool:
    take(1 + (patterns.size(pattern) * len(text) >> _SHARE))
    return patterns.found(pattern, text)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _found(pattern, instance):
        yield _error(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, parts: Any, instance: Any, _: Any) -> Iterator[Any]:
    for pattern, part in parts.items() if isinstance(instance, dict) else ():
        for name, value in instance.items():
            if _found(pattern, name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def unknown_names(instance: Any, schema: Mapping[str, Any]) -> list[str]:
    """Give the names of an object that its schema says nothing about by themselves."""
    known, expressions = schema.get("properties", ()), schema.get("patternProperties", ())
    return [
        name
        for name in instance
        if name not in known and not any(_found(pattern, name) for pattern in expressions)
    ]


def _additional_properties(validator: Any, rest: Any, instance: Any, schema: Any) -> Iterator[Any]:
    extra = unknown_names(instance, schema) if isinstance(instance, dict) else []
    if rest is False and extra:
        names = ", ".join(map(repr, extra[:SHOWN])) + (", …" if len(extra) > SHOWN else "")
        verb = "was" if len(extra) == 1 else "were"
        yield _error(f"Additional properties are not allowed ({names} {verb} unexpected)")
    elif rest is not False:
        for name in extra:
            yield from validator.descend(instance[name], rest, path=name)


def _unique_items(_: Any, wanted: Any, instance: Any, __: Any) -> Iterator[Any]:
    if wanted and isinstance(instance, list):
        take(bulk(instance))
        if len(set(map(_canonical, instance))) < len(instance):
            yield _error(f"{instance!r} has non-unique elements")


def _canonical(value: Any) -> str:
    """Write a value so that equal ones, such as 1 and 1.0, are written equally."""
    if isinstance(value, dict):
        members = sorted(f"{json.dumps(key)}:{_canonical(part)}" for key, part in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def _any_of(validator: Any, parts: Any, instance: Any, _: Any) -> Iterator[Any]:
    for part in parts:
        if next(validator.descend(instance, part), None) is None:
            return
    yield _error(f"{instance!r} is not valid under any of the given schemas")


def _one_of(validator: Any, parts: Any, instance: Any, _: Any) -> Iterator[Any]:
    fitting = [part for part in parts if next(validator.descend(instance, part), None) is None]
    if not fitting:
        yield _error(f"{instance!r} is not valid under any of the given schemas")
    elif len(fitting) > 1:
        shown = ", ".join(map(repr, fitting[:SHOWN]))
        yield _error(f"{instance!r} is valid under each of {shown}")


REPLACED: Final[Mapping[str, Keyword]] = {
    "additionalProperties": _additional_properties,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}
"""Used in place of the library's functions."""
