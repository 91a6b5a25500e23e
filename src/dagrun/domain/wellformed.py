"""Whether a JSON Schema is one, and can be applied to a value at all."""

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dagrun.domain import patterns
from dagrun.domain.document.places import nearest, show
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


def schema_problem(schema: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a JSON Schema itself; None when it is right."""
    try:
        encode(dict(schema), limit=MAX_SCHEMA)
    except NotJson as error:
        return str(error)
    named = schema.get("$schema", "")
    if not isinstance(named, str):
        return "$schema: text is needed"
    draft = draft_of(schema)
    if draft is None:
        return f"$schema: {named[:200]!r} cannot be understood; write {NEWEST}, or leave it out"
    from referencing.exceptions import Unresolvable  # noqa: PLC0415 — 20 ms for schemas only

    try:
        return _misfit(schema, draft) or _unknown_keyword(schema, draft) or _Walk(schema).problem()
    except patterns.BadPattern as error:
        return str(error)
    except CannotCheck as error:
        return f"it {error}"
    except Unresolvable as error:
        return f"it refers to {error.ref!r}, which is not in it; nothing is fetched from elsewhere"
    except RecursionError:
        return "it is nested too deeply"
    except Exception as error:  # noqa: BLE001 — the libraries trip over some wrong references
        return f"it cannot be understood ({type(error).__name__}: {error})"


def _misfit(schema: Mapping[str, Any], draft: Draft) -> str | None:
    """Find what the specification forbids. The steps are bounded by the schema's length."""
    for error in _described(draft).violations(schema, most=1, meter=Meter(math.inf)):
        place = show(list(error.absolute_path))
        return f"{place}: {error.message}" if place else str(error.message)
    return None


@functools.cache
def _described(draft: Draft) -> Checker:
    return Checker(draft.schema)


def _unknown_keyword(schema: Mapping[str, Any], draft: Draft) -> str | None:
    """Find a word at the top that is no keyword, and would have no effect."""
    known = {*draft.kind.VALIDATORS, *_ANNOTATIONS, *REFUSED}
    for key in schema:
        if key not in known and not key.startswith("x-"):
            near = nearest(key, known)
            hint = f"; did you mean {near!r}?" if near else "; names go under 'properties'"
            return f"{key!r} is no keyword of JSON Schema{hint}"
    return None


class _Walk:
    """Looks at every part of a schema, and at where its references lead."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        parts = Checker(schema).parts()
        self._parts = [part for part in parts if not isinstance(part[0], bool)]
        self._known = parts_of_specifications().union(id(part) for part, _ in self._parts)
        self._costs: dict[int, float] = {}
        self._room = patterns.MAX_PROGRAM

    def problem(self) -> str | None:
        """Say what is wrong.

        Raises:
            Unresolvable: a reference leads nowhere.
            BadPattern: a pattern cannot be used.
        """
        for number, (part, resolver) in enumerate(self._parts):
            problem = self._refused(part, at_top=number == 0)
            if problem is not None:
                return problem
            cost = self._cost(part, resolver)
            if cost == math.inf:
                return "it refers to itself without end"
            if cost > MAX_CHECKS:
                return (
                    f"one value would be checked against more than {MAX_CHECKS} parts of it; "
                    "checking takes too long"
                )
        return None

    def _refused(self, part: Mapping[str, Any], *, at_top: bool) -> str | None:
        """Find what is right in itself, but would make checks take long."""
        for key, instead in REFUSED.items():
            if key in part:
                return f"{key!r} is not supported; write {instead!r}"
        if "$schema" in part and not at_top:
            return "'$schema' may stand at its top only"
        if not isinstance(part.get("$ref", ""), str):  # of which draft-04 says nothing
            return "$ref: text is needed"
        names = (part.get(key) for key in ("$id", "id"))
        if any(isinstance(name, str) and len(name) > MAX_ID for name in names):
            return f"an '$id' may have {MAX_ID} characters"
        for pattern in _patterns(part):
            self._room -= patterns.size(pattern)
        return "its patterns are too large together" if self._room < 0 else None

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


def _patterns(part: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(part.get("pattern"), str):
        yield part["pattern"]
    yield from part.get("patternProperties", ())
