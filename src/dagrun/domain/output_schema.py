"""Whether what a node returned fits the JSON Schema of its outputs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dagrun.domain.document.places import Finding, show
from dagrun.domain.evaluation import CannotCheck, Checker
from dagrun.domain.jsonvalue import Raw, decode

TYPE: Final = "output_schema"
"""Type of the error of an attempt whose outputs do not fit."""

_MOST: Final = 3  # places that one error names
_LONG: Final = 200  # characters that one place, or the reason for it, may have


class OutputSchema:
    """A schema that is right by itself. What checks values is made of it once, at first use."""

    __slots__ = ("_checker", "_schema")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._checker: Checker | None = None

    def problem(self, outputs: Raw) -> str | None:
        """Say where the outputs do not fit, and why; None when they do.

        It may take seconds for a large value, and imports a library the first time.
        """
        try:
            if self._checker is None:
                self._checker = Checker(self._schema)
            found = self._checker.violations(decode(outputs), most=_MOST + 1)
        except CannotCheck as error:
            return _cut(f"the schema cannot be applied: it {error}")
        if not found:
            return None
        more = ["and more"] if len(found) > _MOST else []
        return "; ".join([*map(_said, found[:_MOST]), *more])


def outputs_findings(schema: Mapping[str, Any]) -> Iterator[Finding]:
    """Say why no outputs could ever fit a schema that is right by itself."""
    kind = schema.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        message = f"a node or an item returns an object, which the type {kind!r} never fits"
        yield Finding(path=("type",), message=message)


def _said(error: Any) -> str:
    place = _cut(show(["outputs", *error.absolute_path]))
    if len(error.message) <= _LONG:
        return f"{place}: {error.message}"
    # The message begins with the whole value, and its point would be cut off.
    rule = _cut(json.dumps({error.validator: error.validator_value}, ensure_ascii=False))
    return f"{place}: the value does not fit {rule}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
