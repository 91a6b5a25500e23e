"""Whether a JSON Schema is one, and can be applied to a value at all."""

import functools
import math
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

import attrs

from dagrun.domain import patterns
from dagrun.domain.document.places import MAX_FINDINGS, Finding, Path, Spelling, nearest
from dagrun.domain.document.structure import shown
from dagrun.domain.evaluation import (
    NEWEST,
    REFUSED,
    CannotCheck,
    Checker,
    Draft,
    draft_of,
    parts_of_specifications,
)
from dagrun.domain.jsonvalue import NotJson, encode
from dagrun.domain.steps import Meter

MAX_SCHEMA: Final = 256 * 1024
"""Bytes of JSON that a schema may have."""

MAX_CHECKS: Final = 100_000
"""Parts of a schema that one value may be checked against."""

MAX_ID: Final = 256
"""Characters of an ``$id``; each reference below it goes through them."""

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


_TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")
_ELSEWHERE: Final = {
    "bool": "boolean",
    "dict": "object",
    "double": "number",
    "float": "number",
    "int": "integer",
    "list": "array",
    "map": "object",
    "mapping": "object",
    "none": "null",
    "str": "string",
    "text": "string",
}
"""What other languages call a type → its name in JSON Schema."""


def schema_findings(schema: Mapping[str, Any]) -> list[Finding]:
    """Give what is wrong with a JSON Schema itself, with paths inside it; none when it is right."""
    try:
        encode(dict(schema), limit=MAX_SCHEMA)
    except NotJson as error:
        return [_finding(str(error))]
    named = schema.get("$schema", "")
    if not isinstance(named, str):
        return [_finding("text is needed", "$schema")]
    draft = draft_of(schema)
    if draft is None:
        message = f"{named[:200]!r} cannot be understood; write {NEWEST}, or leave it out"
        return [_finding(message, "$schema")]
    try:
        found = chain(_misfits(schema, draft), _unknown_keywords(schema, draft))
        return list(islice(found, MAX_FINDINGS)) or _Walk(schema).findings()
    except CannotCheck as error:
        return [_finding(f"it {error}")]
    except RecursionError:
        return [_finding("it is nested too deeply")]
    except Exception as error:  # noqa: BLE001 — the libraries trip over some wrong references
        return [_finding(f"it cannot be understood ({type(error).__name__}: {error})")]


def _finding(message: str, *path: str | int, on_key: bool = False) -> Finding:
    return Finding(path=path, message=message, on_key=on_key)


def _misfits(schema: Mapping[str, Any], draft: Draft) -> Iterator[Finding]:
    """Find what the specification forbids. The steps are bounded by the schema's length."""
    errors = _described(draft).violations(schema, most=MAX_FINDINGS, meter=Meter(math.inf))
    for error in errors:
        path = tuple(error.absolute_path)
        if error.validator != "anyOf":
            yield Finding(path=path, message=error.message)
        elif "simpleTypes" in str(error.validator_value):
            yield from _wrong_types(error, path)
        else:
            yield from _inside(error, path, draft)


def _inside(error: Any, path: Path, draft: Draft) -> Iterator[Finding]:
    """Look into what older versions take a schema, schemas or something else for."""
    value = error.instance
    listed = isinstance(value, list)
    parts = [((n,), part) for n, part in enumerate(value)] if listed else [((), value)]
    inner = [
        attrs.evolve(finding, path=(*path, *step, *finding.path))
        for step, part in parts
        if isinstance(part, dict)
        for finding in _misfits(part, draft)
    ]
    yield from inner or [Finding(path=path, message=error.message)]


def _wrong_types(error: Any, path: Path) -> Iterator[Finding]:
    words = error.instance
    if not isinstance(words, list):
        yield _wrong_type(words, path)
        return
    wrong = [(number, word) for number, word in enumerate(words) if word not in _TYPES]
    yield from (_wrong_type(word, (*path, number)) for number, word in wrong)
    if not wrong:
        yield Finding(path=path, message=error.message)


def _wrong_type(word: object, path: Path) -> Finding:
    near = _ELSEWHERE.get(word.lower()) if isinstance(word, str) else None
    message = f"{shown(word)} is no type, which are {', '.join(_TYPES)}"
    return Finding(path=path, message=message, suggestion=near or nearest(word, _TYPES))


@functools.cache
def _described(draft: Draft) -> Checker:
    return Checker(draft.schema)


def _unknown_keywords(schema: Mapping[str, Any], draft: Draft) -> Iterator[Finding]:
    """Find words at the top that are no keywords, and would have no effect."""
    known = {*draft.kind.VALIDATORS, *_ANNOTATIONS, *REFUSED}
    spelling = Spelling(known)
    for key in schema:
        if key not in known and not key.startswith("x-"):
            near = spelling.nearest(key)
            hint = "" if near else "; names go under 'properties'"
            message = f"{key!r} is no keyword of JSON Schema{hint}"
            yield Finding(path=(key,), message=message, suggestion=near, on_key=True)


class _Walk:
    """Looks at every part of a schema, and at where its references lead."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        checker = Checker(schema)
        parts = [part for part in checker.parts() if not isinstance(part[0], bool)]
        places = dict(_places(checker.schema, ()))
        self._parts = [(*part, places.get(id(part[0]), ())) for part in parts]
        self._known = parts_of_specifications().union(id(part) for part, _ in parts)
        self._costs: dict[int, float] = {}
        self._room = patterns.MAX_PROGRAM

    def findings(self) -> list[Finding]:
        """Tell all that is refused, or else the first part that cannot be applied."""
        refused = chain.from_iterable(self._refused(part, path) for part, _, path in self._parts)
        found = [*islice(refused, MAX_FINDINGS)]
        if not found and self._room < 0:
            found = [_finding("its patterns are too large together")]
        return found or self._too_costly()

    def _too_costly(self) -> list[Finding]:
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 — 20 ms for schemas only

        for part, resolver, path in self._parts:
            try:
                cost = self._cost(part, resolver)
            except Unresolvable as error:
                nowhere = "which is not in it; nothing is fetched from elsewhere"
                return [_finding(f"it refers to {error.ref!r}, {nowhere}", *path)]
            if cost == math.inf:
                return [_finding("it refers to itself without end", *path)]
            if cost > MAX_CHECKS:
                message = f"one value would be checked against more than {MAX_CHECKS} parts of it"
                return [_finding(f"{message}; checking takes too long", *path)]
        return []

    def _refused(self, part: Mapping[str, Any], path: Path) -> Iterator[Finding]:
        """Find what is right in itself, but would make checks take long."""
        for key, instead in REFUSED.items():
            if key in part:
                message = f"{key!r} is not supported; write {instead!r}"
                yield _finding(message, *path, key, on_key=True)
        if "$schema" in part and path:
            yield _finding("'$schema' may stand at its top only", *path, "$schema", on_key=True)
        if not isinstance(part.get("$ref", ""), str):  # of which draft-04 says nothing
            yield _finding("text is needed", *path, "$ref")
        for key in ("$id", "id"):
            if isinstance(part.get(key), str) and len(part[key]) > MAX_ID:
                yield _finding(f"an '$id' may have {MAX_ID} characters", *path, key)
        for pattern, place in _patterns(part):
            try:
                self._room -= patterns.size(pattern)
            except patterns.BadPattern as error:
                yield _finding(str(error), *path, *place)

    def _cost(self, schema: Any, resolver: Any) -> float:
        """Count the schemas that one value is checked against; infinity for a circle."""
        if isinstance(schema, bool):
            return 1
        known = self._costs.get(id(schema))
        if known is None:
            self._costs[id(schema)] = math.inf  # until it is known: whoever asks now is a circle
            known = self._costs[id(schema)] = 1 + sum(
                self._cost(part, where) for part, where in self._beside(schema, resolver)
            )
        return known

    def _beside(self, schema: Mapping[str, Any], resolver: Any) -> Iterator[tuple[Any, Any]]:
        """Give the schemas that the same value must fit, too, and where their references start."""
        if isinstance(schema.get("$ref"), str):
            found = resolver.lookup(schema["$ref"])
            if not isinstance(found.contents, bool) and id(found.contents) not in self._known:
                raise CannotCheck(f"refers to {schema['$ref']!r}, which is no schema in it")
            yield found.contents, found.resolver
        for key in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(key, ()):
                yield part, resolver
        for key in ("not", "if", "then", "else"):
            if key in schema:
                yield schema[key], resolver
        for key in ("dependentSchemas", "dependencies"):
            for part in schema.get(key, {}).values():
                if not isinstance(part, list):
                    yield part, resolver


def _patterns(part: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    if isinstance(part.get("pattern"), str):
        yield part["pattern"], ("pattern",)
    for pattern in part.get("patternProperties", ()):
        yield pattern, ("patternProperties", pattern)


def _places(value: Any, path: Path) -> Iterator[tuple[int, Path]]:
    """Tell where each part of a schema stands, by its identity."""
    if isinstance(value, dict | list):
        yield id(value), path
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, member in members:
            yield from _places(member, (*path, key))
