"""What a workflow is: the model that documents, Python programs and the store share.

Field names are the keys of a ``dagrun/v1`` document. Instances are values: nothing here changes
after it was made, and nothing is checked beyond types; :mod:`dagrun.domain.checks` does that.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

import attrs

from dagrun.domain.durations import parse_duration

T = TypeVar("T")

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


def _frozen_mapping(value: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(value or {})


def _trigger_rule(value: Any) -> TriggerRule:
    return value if type(value) is TriggerRule else TriggerRule(value)


def _durability(value: Any) -> Durability | None:
    return None if value is None else Durability(value)


def _on_engine_loss(value: Any) -> OnEngineLoss:
    return value if type(value) is OnEngineLoss else OnEngineLoss(value)


def _duration(value: Any) -> float:
    """Take what a document may say for a duration, too."""
    return parse_duration(value) if isinstance(value, str) else float(value)


def _seconds(value: Any) -> float | None:
    return None if value is None else _duration(value)


def _made(cls: type[T], value: Any) -> T:
    """Take an instance, or a mapping of what to make one of, as in a document."""
    return value if isinstance(value, cls) else cls(**value)


def _retry(value: "RetryPolicy | Mapping[str, Any]") -> "RetryPolicy":
    return _made(RetryPolicy, value)


def _requirements(value: "Requirements | Mapping[str, Any]") -> "Requirements":
    return _made(Requirements, value)


def _concurrency(value: "Concurrency | Mapping[str, Any] | None") -> "Concurrency | None":
    return None if value is None else _made(Concurrency, value)


def _placement(value: "Placement | Mapping[str, Any]") -> "Placement":
    return _made(Placement, value)


def _handlers(value: "Mapping[Any, Handler] | None") -> "dict[HandlerEvent, Handler]":
    handlers = (value or {}).items()
    return {HandlerEvent(event): _made(Handler, handler) for event, handler in handlers}


def _ids(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _nodes(value: "Iterable[Node]") -> "tuple[Node, ...]":
    return tuple(_made(Node, node) for node in value)


def _triggers(value: "Iterable[Trigger]") -> "tuple[Trigger, ...]":
    return tuple(value)


@attrs.frozen(kw_only=True)
class ExecutorSpec:
    """What carries out a node, and with which options."""

    type: str
    """The executor's name on its plugin shelf, such as ``lua``."""

    options: Mapping[str, JSON] = attrs.field(factory=dict, converter=_frozen_mapping)
    """Everything else that the document says under ``executor``."""


def _executor(value: "ExecutorSpec | Mapping[str, JSON]") -> ExecutorSpec:
    """Take what a document says under ``executor``, too."""
    if isinstance(value, ExecutorSpec):
        return value
    return ExecutorSpec(type=value["type"], options={k: v for k, v in value.items() if k != "type"})


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed attempt is followed by another one."""

    max_attempts: int = 1
    """Attempts in all, the first one included; at least 1."""

    first_delay: float = attrs.field(default=1.0, converter=_duration)
    """Seconds between the first failure and the second attempt."""

    backoff: float = attrs.field(default=2.0, converter=float)
    """Factor by which each further delay grows; at least 1."""

    max_delay: float = attrs.field(default=60.0, converter=_duration)
    """Seconds that no delay passes, jitter included."""

    jitter: float = attrs.field(default=0.1, converter=float)
    """Share of the delay, from 0 to 1, that is added or taken away at random."""

    when: str | None = None
    """Lua expression; a failure for which it is false is not retried.

    It sees ``error`` (``{type, message}``), ``attempt``, and the run's ``inputs``, ``run`` and
    ``env``.
    """


@attrs.frozen(kw_only=True)
class Requirements:
    """What an engine must have to be given a node."""

    labels: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    resources: Mapping[str, float] = attrs.field(factory=dict, converter=_frozen_mapping)


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
    timeout: float | None = attrs.field(default=None, converter=_seconds)
    """Seconds that one attempt may take, from its real start."""

    kill_after: float = attrs.field(default=1.0, converter=_duration)
    """Seconds between SIGTERM and SIGKILL."""

    for_each: str | tuple[JSON, ...] | None = None
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
    secrets: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    """Name as the node sees it → ``provider:reference``."""

    env: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    outputs: Mapping[str, JSON] | None = None
    """JSON Schema of what the node, or each item of it, returns."""

    metadata: Mapping[str, JSON] = attrs.field(factory=dict, converter=_frozen_mapping)
    """Free: kept, shown, and without effect."""


@attrs.frozen(kw_only=True)
class Concurrency:
    """How many runs with one key may be admitted at once."""

    key: str
    limit: int = 1
    on_limit: OnLimit = attrs.field(default=OnLimit.QUEUE, converter=OnLimit)
    scope: Scope = attrs.field(default=Scope.WORKFLOW, converter=Scope)


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
    env: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)
    timeout: float | None = attrs.field(default=None, converter=_seconds)
    """Seconds; None takes :data:`dagrun.domain.handlers.TIMEOUT`."""


@attrs.frozen(kw_only=True)
class Trigger:
    """What starts runs of a workflow."""

    id: str
    type: str
    options: Mapping[str, JSON] = attrs.field(factory=dict, converter=_frozen_mapping)


@attrs.frozen
class Workflow:
    """A named graph of nodes, immutable per version."""

    id: str
    version: str
    """A semantic version, such as ``1.0.0``."""

    nodes: tuple[Node, ...] = attrs.field(kw_only=True, default=(), converter=_nodes)
    name: str = attrs.field(kw_only=True, default="")
    description: str = attrs.field(kw_only=True, default="")
    labels: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, converter=_frozen_mapping)
    annotations: Mapping[str, str] = attrs.field(
        kw_only=True, factory=dict, converter=_frozen_mapping
    )
    inputs: Mapping[str, JSON] | None = attrs.field(kw_only=True, default=None)
    """JSON Schema of the inputs; None accepts any object."""

    outputs: Mapping[str, JSON] = attrs.field(kw_only=True, factory=dict, converter=_frozen_mapping)
    """Name → template over the nodes' outputs."""

    env: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, converter=_frozen_mapping)
    secrets: Mapping[str, str] = attrs.field(kw_only=True, factory=dict, converter=_frozen_mapping)
    """Name as every node sees it → ``provider:reference``."""

    timeout: float | None = attrs.field(kw_only=True, default=None, converter=_seconds)
    """Seconds from the run's first start, paused time not counted."""

    start_timeout: float | None = attrs.field(kw_only=True, default=None, converter=_seconds)
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
    kubernetes: Mapping[str, JSON] = attrs.field(
        kw_only=True, factory=dict, converter=_frozen_mapping
    )
    """What a ``workflows/v1`` document asks of Kubernetes."""
