"""A workflow as JSON: what the store keeps, and what is hashed."""

import functools
import hashlib
import math
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

import attrs
import cattrs
import msgspec

from dagrun.domain.workflow import ExecutorSpec, Node, Trigger, Workflow

_PLAIN: Final = frozenset({str, bool, int, type(None)})
"""Types of what JSON holds as it is; most values are of these."""


def to_json(workflow: Workflow) -> bytes:
    """Write a workflow. Equal workflows give equal bytes; what has its default is left out.

    Raises:
        ValueError: a free value in it is nothing that JSON can hold.
    """
    return msgspec.json.encode(_value(workflow), order="sorted")


def from_json(body: bytes) -> Workflow:
    """Read what :func:`to_json` wrote."""
    return _converter().structure(msgspec.json.decode(body), Workflow)


def content_hash(body: bytes) -> str:
    """Give the hexadecimal SHA-256."""
    return hashlib.sha256(body).hexdigest()


def _value(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, ExecutorSpec):
        return {"type": value.type, "options": _value(value.options)}
    if attrs.has(type(value)):
        return _object(value)
    if isinstance(value, dict):
        return {_key(key): _value(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_value(element) for element in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that JSON can hold")
    return value.value if isinstance(value, Enum) else value


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{key!r} stands as a key, and is no text")  # noqa: TRY004 — a wrong value
    return str(key)


def _object(value: Any) -> dict[str, Any]:
    return {name: _value(member) for name, member in said(value)}


def said(value: Any) -> Iterator[tuple[str, Any]]:
    """Give the fields of a part of a workflow, and what they hold, but for what is their default."""
    for name, default in _defaults(type(value)).items():
        member = getattr(value, name)
        if member != default:
            yield name, member


_known_defaults: dict[type[Any], dict[str, Any]] = {}


def _defaults(cls: type[Any]) -> dict[str, Any]:
    if cls not in _known_defaults:
        _known_defaults[cls] = _read_defaults(cls)
    return _known_defaults[cls]


def _read_defaults(cls: type[Any]) -> dict[str, Any]:
    return {field.name: _default(field) for field in attrs.fields(cls)}


def _default(field: Any) -> Any:
    default = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # attrs.Factory is a class
        return default.factory()
    return default


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(
        ExecutorSpec, lambda value, _: ExecutorSpec(type=value["type"], options=value["options"])
    )
    converter.register_structure_hook(
        Trigger,
        lambda value, _: Trigger(
            id=value.get("id", ""), type=value["type"], options=value.get("options", {})
        ),
    )
    converter.register_structure_hook(
        Node,
        cattrs.gen.make_dict_structure_fn(
            Node,
            converter,
            for_each=cattrs.gen.override(
                struct_hook=lambda value, _: tuple(value) if isinstance(value, list) else value
            ),
        ),
    )
    return converter
