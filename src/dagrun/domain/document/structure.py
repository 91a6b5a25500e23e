"""Strict structuring: values keep their types, unknown keys are refused, all errors are told."""

import json
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from itertools import islice
from types import GenericAlias
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from dagrun.domain.document.composer import plain
from dagrun.domain.document.likely import likely_key
from dagrun.domain.document.lists import collecting, element_of, is_list, places_of
from dagrun.domain.document.places import MAX_FINDINGS, Finding, Path, nearest

T = TypeVar("T")


def strict_converter() -> cattrs.Converter:
    """Make a converter that never turns one type into another."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(bool, lambda value, _: _exactly(value, bool, "true or false"))
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(Enum, _member)
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_func(_is_mapping, _mapping)
    converter.register_structure_hook_factory(
        attrs.has, lambda cls: of_mapping(converter.gen_structure_attrs_fromdict(cls))
    )
    converter.register_structure_hook_factory(is_list, lambda kind: _of_list(converter, kind))
    return converter


def take_numbers_as_arguments(converter: cattrs.Converter) -> None:
    """Let lists of texts take numbers and booleans, and hold them as JSON writes them.

    For values that were filled in. In a document such a value may need its quotes, as 1.10 does.
    """

    def hook(kind: Any) -> Callable[[Any, Any], Any]:
        strict = _of_list(converter, kind)
        return lambda value, _: strict(_arguments(value), kind)

    converter.register_structure_hook_factory(
        lambda kind: is_list(kind) and element_of(kind) is str and places_of(kind) is None, hook
    )


def _arguments(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return [json.dumps(part) if isinstance(part, bool | int | float) else part for part in value]


def of_mapping(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Refuse what is no mapping before a function that needs one."""

    def structure(value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"a mapping is needed, not {shown(value)}")  # noqa: TRY004 — a finding
        return function(value, kind)

    return structure


def _of_list(converter: cattrs.Converter, kind: Any) -> Callable[[Any, Any], Any]:
    """Structure what is written as a list; text is none."""
    collect, places = collecting(kind), places_of(kind)
    members: Any = GenericAlias(list, (element_of(kind),))
    hook = list_structure_factory(members, converter)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"a list is needed, not {shown(value)}")  # noqa: TRY004 — a finding
        if places is None:
            return collect(hook(value, members))
        if len(value) != len(places):
            raise ValueError(f"a list of {len(places)} is needed, not of {len(value)}")
        return tuple(map(converter.structure, value, places))

    return structure


def _exactly(value: Any, kind: type[T], name: str) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{name} is needed, not {shown(value)}")  # noqa: TRY004 — one kind for all
    return value


def _whole(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is needed, not {shown(value)}")  # noqa: TRY004 — as above
    return value


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a number is needed, not {shown(value)}")  # noqa: TRY004 — as above
    try:
        return float(value)
    except OverflowError:
        raise ValueError("the number is too large") from None


def _is_literal(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is Literal


def _text(value: Any, kind: Any) -> Any:
    """Structure text; cattrs asks here for the enums of words, too, which are texts as well."""
    if kind is not str:
        return _member(value, kind)
    return text_of(value)


def text_of(value: Any) -> str:
    """Take a text, and nothing else."""
    if not isinstance(value, str):
        hint = "" if value is None or isinstance(value, list | Mapping) else "; use quotes"
        raise ValueError(f"text is needed, not {shown(value)}{hint}")  # noqa: TRY004 — a finding
    return value


class UnknownWord(ValueError):
    """A word that is none of those allowed."""

    def __init__(self, value: object, allowed: list[str]) -> None:
        super().__init__(f"{shown(value)} is none of {', '.join(allowed)}")
        self.suggestion = nearest(value, allowed)


def _member(value: Any, kind: Any) -> Any:
    words = [str(member.value) for member in kind]
    if not isinstance(value, str) or value not in words:
        raise UnknownWord(value, words)
    return kind(value)


def _literal(value: Any, kind: Any) -> Any:
    if value not in get_args(kind) or isinstance(value, bool):
        raise UnknownWord(value, [str(word) for word in get_args(kind)])
    return value


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _mapping(value: Any, kind: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"a mapping is needed, not {shown(value)}")  # noqa: TRY004 — as above
    member = (get_args(kind) or (str, Any))[1]
    if member is str:
        wrong = [_not_text(key, part) for key, part in value.items() if not isinstance(part, str)]
        if wrong:
            raise Several(wrong)
    if member is float:
        wrong = [*_not_numbers(value)]
        if wrong:
            raise Several(wrong)
        return {key: float(part) for key, part in value.items()}
    return {key: plain(part) for key, part in value.items()}


class Several(ValueError):
    """Several things are wrong inside one value."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("several")
        self.findings = findings


def _not_text(key: str, value: Any) -> Finding:
    return Finding(path=(key,), message=f"text is needed, not {shown(value)}; use quotes")


def _not_numbers(value: Mapping[str, Any]) -> Iterator[Finding]:
    for key, part in value.items():
        try:
            _number(part, float)
        except ValueError as error:
            yield Finding(path=(key,), message=str(error))


def shown(value: object) -> str:
    """Write a value for a message, not too long of it."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value == "":
        return "an empty text"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def findings_of(error: BaseException, path: Path) -> list[Finding]:
    """Turn what cattrs raised into findings, up to ``MAX_FINDINGS``."""
    return list(islice(_walk(error, path), MAX_FINDINGS))


def _walk(error: BaseException, path: Path) -> Iterator[Finding]:
    if isinstance(error, Several):
        for finding in error.findings:
            yield attrs.evolve(finding, path=(*path, *finding.path))
    elif isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _walk(inner, (*path, *_step(inner, error)))
    elif isinstance(error, ForbiddenExtraKeysError):
        yield from _extra_keys(error, path)
    elif isinstance(error, KeyError):
        message = f"the key {error.args[0]!r} is missing"
        yield Finding(path=path[:-1], message=message, missing=True)
    else:
        message = str(error) if isinstance(error, ValueError) else f"it does not fit: {error}"
        yield Finding(path=path, message=message, suggestion=getattr(error, "suggestion", None))


def _step(inner: BaseException, outer: BaseException) -> Path:
    """Give the key or index that an error's note names."""
    for note in getattr(inner, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (note.name,)
        if isinstance(note, IterableValidationNote) and isinstance(outer, IterableValidationError):
            return (note.index,)
    return ()


def _extra_keys(error: ForbiddenExtraKeysError, path: Path) -> Iterator[Finding]:
    known = [field.name for field in attrs.fields(error.cl)]
    for key in sorted(error.extra_fields):
        yield Finding(
            path=(*path, key),
            message=f"the key {key!r} is not known here",
            suggestion=likely_key(key, known),
            on_key=True,
        )
