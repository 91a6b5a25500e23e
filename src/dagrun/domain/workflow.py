"""What a workflow is: the model that documents, Python programs and the store share.

Field names are the keys of a ``dagrun/v1`` document. Instances are values: nothing here changes
after it was made. The classes take what a document may say, such as ``"30s"``, words and mappings.
What they cannot turn into what a field needs they keep as it is, and complain of nothing:
:func:`dagrun.domain.document.built.check_workflow` tells all of it at once.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

from dagrun.domain.leniency import (
    duration,
    listed,
    made,
    mapping,
    named,
    number,
    optional_duration,
    word,
)

JSON = Any
"""A value that JSON can hold: None, bool, int, finite float, str, list or dict with str keys."""


class TriggerRule(StrEnum):
    """Which ends of a node's direct dependencies let it start."""

    ALL_SUCCEEDED = "all_succeeded"
    ALL_DONE = "all_done"
    ONE_FAILED = "one_failed"
    NONE_FAILED = "none_failed"


class Durability(StrEnum):
    """What must be on disk before a node starts; see promise 2 in the docs."""

    BATCHED = "batched"
    STRICT = "strict"


class OnEngineLoss(StrEnum):
    """What becomes of a node that was running when its engine was lost."""

    RETRY = "retry"
    FAIL = "fail"


class OnLimit(StrEnum):
    """What becomes of a run for which the concurrency limit has no room."""

    QUEUE = "queue"
    REJECT = "reject"
    CANCEL_OLDEST = "cancel_oldest"


class Scope(StrEnum):
    """Where a concurrency key counts."""

    WORKFLOW = "workflow"
    GLOBAL = "global"


class HandlerEvent(StrEnum):
    """When a handler runs."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    EXIT = "exit"


def _trigger_rule(value: Any) -> TriggerRule:
    return value if type(value) is TriggerRule else word(TriggerRule, value)


def _durability(value: Any) -> Durability | None:
    return None if value is None else word(Durability, value)


def _on_engine_loss(value: Any) -> OnEngineLoss:
    return value if type(value) is OnEngineLoss else word(OnEngineLoss, value)


def _on_limit(value: Any) -> OnLimit:
    return word(OnLimit, value)


def _scope(value: Any) -> Scope:
    return word(Scope, value)


def _retry(value: "RetryPolicy | Mapping[str, Any]") -> "RetryPolicy":
    return made(RetryPolicy, value)


def _requirements(value: "Requirements | Mapping[str, Any]") -> "Requirements":
    return made(Requirements, value)


def _concurrency(value: "Concurrency | Mapping[str, Any] | None") -> "Concurrency | None":
    return None if value is None else made(Concurrency, value)


def _placement(value: "Placement | Mapping[str, Any]") -> "Placement":
    return made(Placement, value)


def _handlers(
    value: "Mapping[Any, Handler | Mapping[str, Any]] | None",
) -> "dict[HandlerEvent, Handler]":
    handlers: Any = mapping(value)
    if not isinstance(handlers, dict):
        kept: dict[HandlerEvent, Handler] = handlers
        return kept
    return {word(HandlerEvent, event): made(Handler, one) for event, one in handlers.items()}


def _ids(value: Iterable[str]) -> tuple[str, ...]:
    ids: tuple[str, ...] = listed(value)
    return ids


def _items(value: str | Iterable[JSON] | None) -> str | tuple[JSON, ...] | None:
    items: str | tuple[JSON, ...] | None = None if value is None else listed(value)
    return items


def _nodes(value: "Iterable[Node | Mapping[str, Any]]") -> "tuple[Node, ...]":
    nodes: Any = listed(value)
    return tuple(made(Node, one) for one in nodes) if isinstance(nodes, tuple) else nodes


def _triggers(value: "Iterable[Trigger | Mapping[str, Any]]") -> "tuple[Trigger, ...]":
    triggers: Any = listed(value)
    return named([_trigger(one) for one in triggers]) if isinstance(triggers, tuple) else triggers


def _trigger(value: "Trigger | Mapping[str, Any]") -> "Trigger":
    """Take what a document says of a trigger, too."""
    said: Any = value
    kept: Trigger = said
    if not isinstance(said, Mapping) or "type" not in said or said.get("id") == "":
        return kept
    options = {key: part for key, part in said.items() if key not in ("id", "type")}
    name = said.get("id")
    return Trigger(id="" if name is None else name, type=said["type"], options=options)


@attrs.frozen(kw_only=True)
class ExecutorSpec:
    """What carries out a node, and with which options."""

    type: str
    """The executor's name on its plugin shelf, such as ``lua``."""

    options: Mapping[str, JSON] = attrs.field(factory=dict, converter=mapping)
    """Everything else that the document says under ``executor``."""


def _executor(value: "ExecutorSpec | Mapping[str, JSON]") -> ExecutorSpec:
    """Take what a document says under ``executor``, too."""
    said: Any = value
    kept: ExecutorSpec = said
    if not isinstance(said, Mapping) or "type" not in said:
        return kept
    return ExecutorSpec(type=said["type"], options={k: v for k, v in said.items() if k != "type"})


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed attempt is followed by another one."""

    max_attempts: int = 1
    """Attempts in all, the first one included; at least 1."""

    first_delay: float = attrs.field(default=1.0, converter=duration)
    """Seconds between the first failure and the second attempt."""

    backoff: float = attrs.field(default=2.0, converter=number)
    """Factor by which each further delay grows; at least 1."""

    max_delay: float = attrs.field(default=60.0, converter=duration)
    """Seconds that no delay passes, jitter included."""

    jitter: float = attrs.field(default=0.1, converter=number)
    """Share of the delay, from 0 to 1, that is added or taken away at random."""

    when: str | None = None
    """Lua expression; a failure for which it is false is not retried.

    It sees ``error`` (``{type, message}``), ``attempt``, and the run's ``inputs``, ``run`` and
    ``env``.
    """


@attrs.frozen(kw_only=True)
class Requirements:
    """What an engine must have to be given a node."""

    labels: Mapping[str, str] = attrs.field(factory=dict, converter=mapping)
    resources: Mapping[str, float] = attrs.field(factory=dict, converter=mapping)


NO_RETRY: Final = RetryPolicy()
_NO_REQUIREMENTS: Final = Requirements()


@attrs.frozen(kw_only=True)
class Node:
    """One step of a workflow."""

    id: str = attrs.field(kw_only=False)
    executor: ExecutorSpec = attrs.field(converter=_executor)
    """Also a mapping with ``type`` and the executor's options, as in a document."""

    dependencies: tuple[str, ...] = attrs.field(default=(), converter=_ids)
    """Ids of the nodes that must have ended before this one is considered."""

    inputs: Mapping[str, JSON] | None = None
    """What the node's code sees as ``inputs``; None hands over the run's inputs."""

    when: str | None = None
    """Lua expression; when it is false the node is skipped."""

    trigger_rule: TriggerRule = attrs.field(
        default=TriggerRule.ALL_SUCCEEDED, converter=_trigger_rule
    )
    allow_failure: bool = False
    """Whether a failure counts as success with null outputs."""

    retry: RetryPolicy = attrs.field(default=NO_RETRY, converter=_retry)
    timeout: float | None = attrs.field(default=None, converter=optional_duration)
    """Seconds that one attempt may take, from its real start."""

    kill_after: float = attrs.field(default=1.0, converter=duration)
    """Seconds between SIGTERM and SIGKILL."""

    for_each: str | tuple[JSON, ...] | None = attrs.field(default=None, converter=_items)
    """The items: a list, or one ``${…}`` that gives a list."""

    max_parallel: int | None = None
    """Most items at once; None for no limit but the engine's."""

    tolerate: int = 0
    """How many items may fail without failing the node."""

    on_engine_loss: OnEngineLoss = attrs.field(
        default=OnEngineLoss.RETRY, converter=_on_engine_loss
    )
    durability: Durability | None = attrs.field(default=None, converter=_durability)
    """None takes the executor's default."""

    requires: Requirements = attrs.field(default=_NO_REQUIREMENTS, converter=_requirements)
    secrets: Mapping[str, str] = attrs.field(factory=dict, converter=mapping)
    """Name as the node sees it → ``provider:reference``."""

    env: Mapping[str, str] = attrs.field(factory=dict, converter=mapping)
    outputs: Mapping[str, JSON] | None = None
    """JSON Schema of what the node, or each item of it, returns."""

    metadata: Mapping[str, JSON] = attrs.field(factory=dict, converter=mapping)
    """Free: kept, shown, and without effect."""


@attrs.frozen(kw_only=True)
class Concurrency:
    """How many runs with one key may be admitted at once."""

    key: str
    limit: int = 1
    on_limit: OnLimit = attrs.field(default=OnLimit.QUEUE, converter=_on_limit)
    scope: Scope = attrs.field(default=Scope.WORKFLOW, converter=_scope)


@attrs.frozen(kw_only=True)
class Placement:
    """Which engine gets a run."""

    balancer: str | None = None
    key: str | None = None


@attrs.frozen(kw_only=True)
class Handler:
    """What runs after the graph. It does not change the run's result.

    See :mod:`dagrun.domain.handlers` for when it runs, and what it sees.
    """

    executor: ExecutorSpec = attrs.field(converter=_executor)
    inputs: Mapping[str, JSON] | None = None
    env: Mapping[str, str] = attrs.field(factory=dict, converter=mapping)
    timeout: float | None = attrs.field(default=None, converter=optional_duration)
    """Seconds; None takes :data:`dagrun.domain.handlers.TIMEOUT`."""


@attrs.frozen(kw_only=True)
class Trigger:
    """What starts runs of a workflow."""

    id: str = ""
    """Unique in its workflow, which names one without an id after its type."""

    type: str
    options: Mapping[str, JSON] = attrs.field(factory=dict, converter=mapping)


@attrs.frozen
class Workflow:
    """A named graph of nodes, immutable per version."""

    id: str
    version: str
    """A semantic version, such as ``1.0.0``."""

    nodes: tuple[Node, ...] = attrs.field(kw_only=True, default=(), converter=_nodes)
    name: str = attrs.field(kw_only=True, default="")
    description: str = attrs.field(kw_only=True, default="")
    labels: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, converter=mapping)
    annotations: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, converter=mapping)
    inputs: Mapping[str, JSON] | None = attrs.field(kw_only=True, default=None)
    """JSON Schema of the inputs; None accepts any object."""

    outputs: Mapping[str, JSON] = attrs.field(kw_only=True, factory=dict, converter=mapping)
    """Name → template over the nodes' outputs."""

    env: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, converter=mapping)
    secrets: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, converter=mapping)
    """Name as every node sees it → ``provider:reference``."""

    timeout: float | None = attrs.field(kw_only=True, default=None, converter=optional_duration)
    """Seconds from the run's first start, paused time not counted."""

    start_timeout: float | None = attrs.field(
        kw_only=True, default=None, converter=optional_duration
    )
    """Most seconds in the queue."""

    priority: int = attrs.field(kw_only=True, default=0)
    """Higher goes first."""

    concurrency: Concurrency | None = attrs.field(
        kw_only=True, default=None, converter=_concurrency
    )
    placement: Placement = attrs.field(kw_only=True, factory=Placement, converter=_placement)
    handlers: Mapping[HandlerEvent, Handler] = attrs.field(
        kw_only=True, factory=dict, converter=_handlers
    )
    triggers: tuple[Trigger, ...] = attrs.field(kw_only=True, default=(), converter=_triggers)
    kubernetes: Mapping[str, JSON] = attrs.field(kw_only=True, factory=dict, converter=mapping)
    """What a ``workflows/v1`` document asks of Kubernetes."""
