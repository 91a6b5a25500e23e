"""The shape of a ``dagrun/v1`` document, and how it becomes a workflow."""

import functools
from collections.abc import Mapping
from typing import Any, Final, Literal, NewType, get_args

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from dagrun.domain.document.composer import plain
from dagrun.domain.document.places import Finding
from dagrun.domain.document.structure import (
    Several,
    UnknownWord,
    findings_of,
    of_mapping,
    shown,
    strict_converter,
    text_of,
)
from dagrun.domain.durations import parse_duration
from dagrun.domain.versions import completed
from dagrun.domain.workflow import (
    JSON,
    Concurrency,
    ExecutorSpec,
    Handler,
    HandlerEvent,
    Node,
    Placement,
    RetryPolicy,
    Trigger,
    Workflow,
)

CURRENT: Final = "dagrun/v1"
"""The ``apiVersion`` of such a document."""

Version = NewType("Version", str)


@attrs.frozen(kw_only=True)
class Metadata:
    """The key ``metadata``, and its defaults."""

    id: str
    version: Version
    name: str = ""
    description: str = ""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    annotations: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Spec:
    """The key ``spec``, and its defaults."""

    nodes: tuple[Node, ...]
    inputs: Mapping[str, JSON] | None = None
    outputs: Mapping[str, JSON] = attrs.field(factory=dict)
    env: Mapping[str, str] = attrs.field(factory=dict)
    secrets: Mapping[str, str] = attrs.field(factory=dict)
    timeout: float | None = None
    start_timeout: float | None = None
    priority: int = 0
    concurrency: Concurrency | None = None
    placement: Placement = attrs.field(factory=Placement)
    handlers: Mapping[HandlerEvent, Handler] = attrs.field(factory=dict)
    triggers: tuple[Trigger, ...] = ()


@attrs.frozen(kw_only=True)
class Document:
    """A whole document."""

    apiVersion: Literal["dagrun/v1"]  # noqa: N815 — the document's key
    kind: Literal["Workflow"]
    metadata: Metadata
    spec: Spec


_DURATIONS: Final[Mapping[type, tuple[str, ...]]] = {
    RetryPolicy: ("first_delay", "max_delay"),
    Handler: ("timeout",),
    Node: ("timeout", "kill_after"),
    Spec: ("timeout", "start_timeout"),
}
"""Fields that are written as durations. A class stands behind those that it is made of."""


def to_workflow(document: Document, **more: Any) -> Workflow:
    """Put a document's parts together."""
    head, spec = document.metadata, document.spec
    return Workflow(
        head.id,
        head.version,
        name=head.name,
        description=head.description,
        labels=head.labels,
        annotations=head.annotations,
        **{field.name: getattr(spec, field.name) for field in attrs.fields(Spec)},
        **more,
    )


@functools.cache
def document_converter() -> cattrs.Converter:
    """Make the converter for documents."""
    converter = strict_converter()
    converter.register_structure_hook(ExecutorSpec, _executor)
    converter.register_structure_hook(Trigger, _trigger)
    converter.register_structure_hook(Version, _version)
    converter.register_structure_hook_factory(_is_optional, lambda kind: _optional(converter, kind))
    converter.register_structure_hook_func(
        lambda kind: kind == Mapping[HandlerEvent, Handler],
        lambda value, _: _handlers(converter, value),
    )
    for cls, names in _DURATIONS.items():
        hooks: dict[str, Any] = {
            name: override(struct_hook=_optional_duration(attrs.fields_dict(cls)[name]))
            for name in names
        }
        if cls is Node:
            hooks["for_each"] = override(struct_hook=_for_each)
            hooks["dependencies"] = override(struct_hook=_dependencies(converter))
            hooks["retry"] = override(struct_hook=_retry(converter))
        function: Any = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_forbid_extra_keys=True,
            _cattrs_detailed_validation=True,
            **hooks,
        )
        converter.register_structure_hook(cls, of_mapping(function))
    return converter


def _optional_duration(field: Any) -> Any:
    nullable = type(None) in get_args(field.type)

    def structure(value: Any, _: Any) -> float | None:
        return None if value is None and nullable else parse_duration(value)

    return structure


def _is_optional(kind: Any) -> bool:
    return len(get_args(kind)) == 2 and type(None) in get_args(kind)


def _optional(converter: cattrs.Converter, kind: Any) -> Any:
    inner = next(member for member in get_args(kind) if member is not type(None))
    hook = converter.get_structure_hook(inner)
    return lambda value, _: None if value is None else hook(value, inner)


def _executor(value: Any, _: Any) -> ExecutorSpec:
    kind, options = _typed(value)
    return ExecutorSpec(type=kind, options=options)


def _trigger(value: Any, _: Any) -> Trigger:
    kind, options = _typed(value)
    name = options.pop("id", None)
    if name is not None and not (isinstance(name, str) and name):
        raise Several([Finding(path=("id",), message=f"text is needed, not {shown(name)}")])
    return Trigger(id=name or "", type=kind, options=options)


def _typed(value: Any) -> tuple[str, dict[str, Any]]:
    """Split what has a ``type`` and options beside it."""
    if not isinstance(value, Mapping):
        raise ValueError(f"a mapping is needed, not {shown(value)}")  # noqa: TRY004 — a finding
    if "type" not in value:
        raise Several([Finding(path=(), message="the key 'type' is missing", missing=True)])
    kind = value["type"]
    if not isinstance(kind, str):
        raise Several([Finding(path=("type",), message=f"text is needed, not {shown(kind)}")])
    return kind, {key: plain(part) for key, part in value.items() if key != "type"}


def _version(value: Any, _: Any) -> str:
    """Take a version; tell one that YAML takes for a number how it is written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise NoVersion(value)
    return text_of(value)


class NoVersion(ValueError):
    """A number stands where a version is needed."""

    def __init__(self, value: float) -> None:
        super().__init__(f"a semantic version such as 1.0.0 is needed, not {shown(value)}")
        self.suggestion = completed(str(value))


def _dependencies(converter: cattrs.Converter) -> Any:
    hook = converter.get_structure_hook(tuple[str, ...])

    def structure(value: Any, _: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            raise ValueError(f"a list is needed, not {shown(value)}; write [{value[:60]}]")  # noqa: TRY004 — a finding
        made: tuple[str, ...] = hook(value, tuple[str, ...])
        return made

    return structure


def _retry(converter: cattrs.Converter) -> Any:
    def structure(value: Any, _: Any) -> RetryPolicy:
        if isinstance(value, int) and not isinstance(value, bool):
            message = f"a mapping is needed, not {value}; write {{max_attempts: {value}}}"
            raise ValueError(message)  # noqa: TRY004 — a finding
        return converter.structure(value, RetryPolicy)

    return structure


def _for_each(value: Any, _: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list):
        return tuple(plain(value))
    raise ValueError(f"a list is needed, or one ${{…}} that gives a list, not {shown(value)}")


def _handlers(converter: cattrs.Converter, value: Any) -> dict[HandlerEvent, Handler]:
    if not isinstance(value, Mapping):
        raise ValueError(f"a mapping is needed, not {shown(value)}")  # noqa: TRY004 — a finding
    made: dict[HandlerEvent, Handler] = {}
    wrong: list[Finding] = []
    for key, handler in value.items():
        try:
            event = converter.structure(key, HandlerEvent)
        except UnknownWord as error:
            word = Finding(
                path=(key,), message=str(error), suggestion=error.suggestion, on_key=True
            )
            wrong.append(word)
            continue
        try:
            made[event] = converter.structure(handler, Handler)
        except Exception as error:  # noqa: BLE001 — cattrs collects whatever a hook raises
            wrong += findings_of(error, (key,))
    if wrong:
        raise Several(wrong)
    return made
