"""What the loader must know of the installed plugins, as a value."""

import functools
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs

from dagrun.domain.document.blank import BLANK, missing, sure_complaint
from dagrun.domain.document.likely import likely_key
from dagrun.domain.document.lists import is_list
from dagrun.domain.document.places import MAX_FINDINGS, Finding, Path
from dagrun.domain.document.structure import (
    Several,
    findings_of,
    of_mapping,
    shown,
    strict_converter,
    take_numbers_as_arguments,
)
from dagrun.domain.evaluation import CannotCheck, Checker
from dagrun.domain.templates import has_mark
from dagrun.domain.workflow import JSON

OptionsKind = type[Any] | Mapping[str, JSON] | None
"""An attrs class, a JSON Schema, or None for any options."""


@attrs.frozen(kw_only=True)
class ExecutorKind:
    """An executor that is installed."""

    options: OptionsKind = None
    literal_options: frozenset[str] = frozenset()
    """Options in which ``${…}`` means nothing."""

    secret_options: frozenset[str] = frozenset()
    """Options in which ``$secret{…}`` may stand."""

    files: Mapping[str, str] = attrs.field(factory=dict)
    """Option that names a file beside the document → option that its text becomes."""

    unfilled: Callable[[str], Iterable[str]] | None = None
    """Finds the ``${…}`` in a literal option's text that its language makes nothing of."""


@attrs.frozen(kw_only=True)
class TriggerInfo:
    """A kind of trigger that is known."""

    options: OptionsKind = None
    check: Callable[[Mapping[str, JSON]], Mapping[str, str]] | None = None
    """Finds what the options' types cannot say is wrong: option → message."""


@attrs.frozen(kw_only=True)
class Catalogue:
    """Executors, triggers and balancers by name."""

    executors: Mapping[str, ExecutorKind]
    triggers: Mapping[str, TriggerInfo]
    balancers: Mapping[str, bool] | None = None
    """Name → whether the balancer looks at the key.

    None when any name may be one, because an orchestrator elsewhere knows its own.
    """


def structure_options(kind: OptionsKind, options: Mapping[str, JSON]) -> Any:
    """Turn an executor's filled-in options into what it expects.

    In a list of texts, numbers and booleans become text.

    Raises:
        ValueError: they do not fit; the message names each option that is wrong.
    """
    if isinstance(kind, type):
        try:
            return _converter(filled_in=True).structure(options, kind)
        except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
            findings = findings_of(error, ())
    else:
        findings = check_options(kind, options)
    if findings:
        raise ValueError("; ".join(_line(finding) for finding in findings))
    return options


def check_options(
    kind: OptionsKind,
    options: Mapping[str, JSON],
    path: Path = (),
    *,
    unfinished: Collection[str] = (),
) -> list[Finding]:
    """Find what is wrong with options.

    Args:
        kind: what they must fit.
        options: as the document has them.
        path: where they stand.
        unfinished: names of options in which a text with ``${`` may still become anything.
    """
    if kind is None:
        return []
    if not isinstance(kind, type):
        return _check_schema(kind, options, path, unfinished)
    if not unfinished:
        return _misfits(options, kind, path)
    return _check_parts(kind, options, path, unfinished) or _check_whole(
        kind, options, path, unfinished
    )


def _misfits(value: Any, kind: Any, path: Path) -> list[Finding]:
    try:
        _converter().structure(value, kind)
    except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
        return findings_of(error, path)
    return []


_hints: Callable[[Any], dict[str, Any]] = functools.cache(get_type_hints)


def _check_parts(
    kind: type[Any], options: Mapping[str, JSON], path: Path, unfinished: Collection[str]
) -> list[Finding]:
    """Check one by one the options, and members of options, that are not to be filled in."""
    hints = _hints(kind)
    known = {field.name for field in attrs.fields(kind) if field.init}
    findings = [
        Finding(path=path, message=f"the key {name!r} is missing", missing=True)
        for name in missing(kind, options)
    ]
    for key, value in options.items():
        if key not in known:
            findings.append(unknown_key(path, key, known))
        elif key not in unfinished:
            findings += _misfits(value, hints[key], (*path, key))
        elif isinstance(value, Mapping):
            finished = {name: part for name, part in value.items() if not has_mark(part)}
            findings += _misfits(finished, hints[key], (*path, key))
    return findings


def _check_whole(
    kind: type[Any], options: Mapping[str, JSON], path: Path, unfinished: Collection[str]
) -> list[Finding]:
    """Find what is wrong with the options together, whatever is filled in."""
    hints = _hints(kind)
    values = {
        name: _blanked(value, hints[name])
        if name in unfinished
        else _converter().structure(value, hints[name])
        for name, value in options.items()
    }
    error = sure_complaint(kind, values)
    return [] if error is None else findings_of(error, path)


def _blanked(value: Any, hint: Any) -> Any:
    """Give a value with blanks where it is to be filled in, all blank if it becomes an object."""
    if any(map(attrs.has, (hint, *get_args(hint)))) or (isinstance(value, str) and has_mark(value)):
        return BLANK
    if isinstance(value, Mapping):
        return {name: _blanked(part, Any) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_blanked(part, Any) for part in value]
    return value


_OF_NAMES: Final = frozenset({"additionalProperties", "dependentRequired", "required"})
"""Keywords of JSON Schema that look at the names of options, not at their values."""

_CONDITIONS: Final = frozenset({"anyOf", "dependentSchemas", "else", "not", "oneOf", "then"})


def _check_schema(
    schema: Mapping[str, JSON], options: Mapping[str, JSON], path: Path, unfinished: Collection[str]
) -> list[Finding]:
    try:
        errors = Checker(schema).violations(options, most=MAX_FINDINGS)
    except CannotCheck as error:
        return [Finding(path=path, message=f"the schema of the options {error}")]
    return [
        Finding(path=(*path, *error.absolute_path), message=error.message)
        for error in errors
        if _is_sure(error, unfinished)
    ]


def _is_sure(error: Any, unfinished: Collection[str]) -> bool:
    """Whether something is wrong whatever is filled in."""
    way = [*error.absolute_path]
    if not unfinished or (way and way[0] not in unfinished) or not has_mark(error.instance):
        return True
    return error.validator in _OF_NAMES and _CONDITIONS.isdisjoint(error.absolute_schema_path)


def unknown_key(path: Path, key: str, known: Any) -> Finding:
    """Say that nothing is called so."""
    return Finding(
        path=(*path, key),
        message=f"the key {key!r} is not known here",
        suggestion=likely_key(key, known),
        on_key=True,
    )


def _line(finding: Finding) -> str:
    name = ".".join(map(str, finding.path))
    return f"{name}: {finding.message}" if name else finding.message


@functools.cache
def _converter(*, filled_in: bool = False) -> cattrs.Converter:
    """Make the converter for options: unions are told apart by the value's type."""
    converter = strict_converter()
    if filled_in:
        take_numbers_as_arguments(converter)

    def union_hook(kind: Any) -> Callable[[Any, Any], Any]:
        members = get_args(kind)
        hooks = [
            (_test(member), member, converter.get_structure_hook(member))
            for member in members
            if member is not type(None)
        ]
        nullable = len(hooks) < len(members)

        def structure(value: Any, _: Any) -> Any:
            if value is None and nullable:
                return None
            for may_be, member, hook in hooks:
                if may_be(value):
                    return hook(value, member)
            raise ValueError(f"{_names(members)} is needed, not {shown(value)}")

        return structure

    converter.register_structure_hook_factory(_is_plain_union, union_hook)
    converter.register_structure_hook_factory(
        _has_checked_members, lambda kind: _of_members(converter, kind)
    )
    return converter


def _has_checked_members(kind: Any) -> bool:
    """Whether it is a mapping of something else than texts, numbers and any JSON."""
    origin, arguments = get_origin(kind), get_args(kind)
    if not (isinstance(origin, type) and issubclass(origin, Mapping)):
        return False
    return len(arguments) == 2 and arguments[1] not in (str, float, Any)


def _of_members(converter: cattrs.Converter, kind: Any) -> Callable[[Any, Any], Any]:
    member = get_args(kind)[1]

    def structure(value: Any, _: Any) -> dict[str, Any]:
        made, wrong = {}, []
        for key, part in value.items():
            try:
                made[key] = converter.structure(part, member)
            except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
                wrong += findings_of(error, (key,))
        if wrong:
            raise Several(wrong)
        return made

    return of_mapping(structure)


def _is_plain_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _test(kind: Any) -> Callable[[Any], bool]:
    """Give what says whether a value may be of a kind."""
    origin = get_origin(kind) or kind
    if origin is Literal:
        return lambda value: value in get_args(kind)
    if origin is Any:
        return lambda _: True
    if origin in (int, float):
        types: Any = (int, float) if origin is float else int
        return lambda value: isinstance(value, types) and not isinstance(value, bool)
    if isinstance(origin, type) and (issubclass(origin, Mapping) or attrs.has(origin)):
        return lambda value: isinstance(value, Mapping)
    if is_list(kind):
        return lambda value: isinstance(value, list | tuple)
    return lambda value: isinstance(origin, type) and isinstance(value, origin)


def _names(members: Any) -> str:
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return " or ".join(
        words.get(member, "a list" if is_list(member) else "an object")
        for member in members
        if member is not type(None)
    )
