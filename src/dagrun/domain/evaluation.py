"""Whether a value fits a JSON Schema, found out in a bounded number of steps.

jsonschema does the work. What it does is counted: each part of the schema that is applied to a part
of the value, and each member that a keyword looks at. So a schema whose parts multiply, or a value
made for it, is given up instead of taking for ever. Keywords that do more than can be counted are
replaced by those of :mod:`dagrun.domain.keywords`; :data:`REFUSED` are not there at all.

The newer drafts describe schemas by several schemas that refer to each other in a roundabout way.
Here they are joined into one, which is five times as fast and needs none of the refused keywords.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import urljoin

import attrs

from dagrun.domain import keywords
from dagrun.domain.brief import brief
from dagrun.domain.steps import APPLY, Meter, TooManySteps, breadth, counted_by, take

NEWEST: Final = "https://json-schema.org/draft/2020-12/schema"
_DRAFTS: Final = {
    NEWEST: "Draft202012Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
    "http://json-schema.org/draft-04/schema": "Draft4Validator",
}
REFUSED: Final = {
    "$dynamicRef": "$ref",
    "$recursiveRef": "$ref",
    "unevaluatedItems": "items",
    "unevaluatedProperties": "additionalProperties",
}
"""Keywords that cost too much to follow → what to write instead."""

MAX_STEPS: Final = 10_000_000
"""Steps that the check of one value may take: about ten seconds of processor time at most."""

_ROUNDABOUT: Final = re.compile(
    r'"(?:\$dynamicRef": "#meta|\$recursiveRef": "#|\$ref": "meta/\w+#)'
)
"""How the schemas of a specification refer to each other."""

Part = tuple[Any, Any]
"""A schema, and what resolves its references."""


class CannotCheck(ValueError):
    """A value cannot be checked. The message goes on after "the schema …"."""


@attrs.frozen(eq=False)
class Draft:
    """One version of JSON Schema."""

    kind: Any
    """The class of its validators, which count."""

    specification: Any
    """What referencing knows of it."""

    schema: Mapping[str, Any]
    """What a schema must fit."""


def draft_of(schema: Mapping[str, Any]) -> Draft | None:
    """Give the version that a schema names, the newest one if it names none; None if unknown."""
    uri = schema.get("$schema", NEWEST).rstrip("#")
    return _draft(uri) if uri in _DRAFTS else None


class Checker:
    """A schema made ready to check values.

    Args:
        schema: a JSON Schema. What is wrong with it is found when it is applied, if not before.

    Raises:
        CannotCheck: what its parts are called cannot be found out.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema: Mapping[str, Any] = brief(schema)
        draft = draft_of(schema) or _draft(NEWEST)
        self._resource = draft.specification.create_resource(self.schema)
        try:
            name = self._resource.id() or ""
            registry = _registry().with_resource(name, self._resource).crawl()
            self._resolver = registry.resolver(name)
            self._validator = draft.kind(self.schema, registry=registry)
        except Exception as error:
            raise CannotCheck(_not_understood(error)) from error

    def violations(
        self,
        value: Any,
        *,
        most: int,
        part: Any = None,
        meter: Meter | None = None,
    ) -> list[Any]:
        """Give what does not fit: the library's errors, in which values are written short.

        Args:
            value: what to check.
            most: errors that are looked for.
            part: a part of ``schema`` that the value must fit instead.
            meter: counts the steps, when there is more to count than this.

        Raises:
            CannotCheck: it takes too many steps, is nested too deeply, or the schema is wrong.
        """
        meter = meter or Meter(MAX_STEPS)
        try:
            with counted_by(meter):
                return list(islice(self._errors(brief(value), part), most))
        except TooManySteps:
            raise CannotCheck(f"takes more than {meter.steps} steps to check") from None
        except RecursionError:
            reason = "refers to itself without end, or what it is for is nested too deeply"
            raise CannotCheck(reason) from None
        except Exception as error:  # the libraries trip over wrong schemas in many ways
            reference = getattr(error, "ref", None)
            if reference is not None:
                raise CannotCheck(f"refers to {reference!r}, which is not in it") from error
            raise CannotCheck(_not_understood(error)) from error

    def _errors(self, value: Any, part: Any) -> Iterator[Any]:
        if part is None:
            return iter(self._validator.iter_errors(value))
        return iter(self._validator.descend(value, part))

    def parts(self) -> Iterator[Part]:
        """Give the schema and all schemas in it."""
        return _below(self._resource, self._resolver)


def _not_understood(error: Exception) -> str:
    reason = f"{type(error).__name__}: {error}"
    return f"cannot be understood ({reason[:500]})"


def _below(resource: Any, resolver: Any) -> Iterator[Part]:
    waiting = [(resource, resolver)]
    while waiting:
        resource, resolver = waiting.pop()
        yield resource.contents, resolver
        parts = resource.subresources()
        waiting.extend((part, resolver.in_subresource(part)) for part in parts)


@functools.cache
def _draft(uri: str) -> Draft:
    import jsonschema  # noqa: PLC0415 — 130 ms that only a schema costs
    from referencing.jsonschema import specification_with  # noqa: PLC0415 — as above

    known = getattr(jsonschema, _DRAFTS[uri])
    counted = {
        name: keywords.counted(name, keywords.REPLACED.get(name, function))
        for name, function in known.VALIDATORS.items()
    }
    validators: Any = jsonschema.validators  # its functions have no types
    kind = validators.extend(known, counted)
    kind.evolve = _evolve
    return Draft(kind, specification_with(uri), _joined(known.META_SCHEMA))


def _evolve(validator: Any, **changes: Any) -> Any:
    """Make the validator of a part of the schema.

    The library's own would go back to uncounted classes where a part names its ``$schema``.
    """
    take(APPLY + breadth(changes.get("schema")))
    return attrs.evolve(validator, **changes)


def _joined(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Join the vocabularies of a specification; an older one is in one piece already."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # noqa: PLC0415 — it has none; as above

    if "allOf" not in schema:
        return {key: value for key, value in schema.items() if key != "$schema"}
    inner = (urljoin(schema["$id"], part["$ref"]) for part in schema["allOf"])
    parts = [schema, *map(REGISTRY.contents, inner)]
    members = ("properties", "$defs")
    joined = {
        key: {k: v for part in parts for k, v in part.get(key, {}).items()} for key in members
    }
    text = json.dumps({"type": schema["type"], **joined})
    text = _ROUNDABOUT.sub('"$ref": "#', text)
    result: Mapping[str, Any] = json.loads(text)
    return result


@functools.cache
def _registry() -> Any:
    """Give the registry of the specifications. Nothing else is known, and nothing is fetched."""
    from referencing import Registry  # noqa: PLC0415 — as above

    drafts = {uri: _draft(uri) for uri in _DRAFTS}
    resources = {
        uri: draft.specification.create_resource(draft.schema) for uri, draft in drafts.items()
    }
    return Registry().with_resources(resources.items()).crawl()


@functools.cache
def parts_of_specifications() -> frozenset[int]:
    """Give the identities of all schemas in those of the specifications."""
    registry = _registry()
    return frozenset(
        id(part)
        for uri in _DRAFTS
        for part, _ in _below(registry[uri], registry.resolver(uri))
        if not isinstance(part, bool)
    )
