"""dagrun: durable workflows of Lua, shell, Python and HTTP nodes, in one small program.

The names below are what programs use. Each is imported when it is first asked for, so that the
command line starts fast. Nothing is imported before: worker processes load this file, too, and
:mod:`typing` alone takes 5 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for true, as the one of typing
if TYPE_CHECKING:
    from typing import Any, Final

    from dagrun.domain.monitoring import MonitorEvent, Severity
    from dagrun.domain.result import ItemResult, NodeResult, RunResult
    from dagrun.domain.specs import http, lua, python, shell, sub_workflow
    from dagrun.domain.status import NodeStatus, RunStatus
    from dagrun.domain.workflow import (
        Concurrency,
        Durability,
        ExecutorSpec,
        Handler,
        Node,
        OnEngineLoss,
        OnLimit,
        Placement,
        RetryPolicy,
        Scope,
        Trigger,
        TriggerRule,
        Workflow,
    )
    from dagrun.errors import (
        ConfigError,
        ConflictError,
        DagrunError,
        DefinitionError,
        InputError,
        LimitReached,
        NodeError,
        NotFound,
        RunFailed,
        RunOwned,
        StoreError,
    )
    from dagrun.ports.management import Registered, RunSummary
    from dagrun.roles.embedded import open_orchestrator
    from dagrun.roles.program import Orchestrator, Run
    from dagrun.roles.synchronous import SyncOrchestrator, SyncRun, open_sync_orchestrator

_PLACES: Final = {
    "dagrun.domain.monitoring": ("MonitorEvent", "Severity"),
    "dagrun.domain.result": ("ItemResult", "NodeResult", "RunResult"),
    "dagrun.domain.specs": ("http", "lua", "python", "shell", "sub_workflow"),
    "dagrun.domain.status": ("NodeStatus", "RunStatus"),
    "dagrun.domain.workflow": (
        "Concurrency",
        "Durability",
        "ExecutorSpec",
        "Handler",
        "Node",
        "OnEngineLoss",
        "OnLimit",
        "Placement",
        "RetryPolicy",
        "Scope",
        "Trigger",
        "TriggerRule",
        "Workflow",
    ),
    "dagrun.errors": (
        "ConfigError",
        "ConflictError",
        "DagrunError",
        "DefinitionError",
        "InputError",
        "LimitReached",
        "NodeError",
        "NotFound",
        "RunFailed",
        "RunOwned",
        "StoreError",
    ),
    "dagrun.ports.management": ("Registered", "RunSummary"),
    "dagrun.roles.embedded": ("open_orchestrator",),
    "dagrun.roles.program": ("Orchestrator", "Run"),
    "dagrun.roles.synchronous": ("SyncOrchestrator", "SyncRun", "open_sync_orchestrator"),
}
_PLACE_OF: Final = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "Concurrency",
    "ConfigError",
    "ConflictError",
    "DagrunError",
    "DefinitionError",
    "Durability",
    "ExecutorSpec",
    "Handler",
    "InputError",
    "ItemResult",
    "LimitReached",
    "MonitorEvent",
    "Node",
    "NodeError",
    "NodeResult",
    "NodeStatus",
    "NotFound",
    "OnEngineLoss",
    "OnLimit",
    "Orchestrator",
    "Placement",
    "Registered",
    "RetryPolicy",
    "Run",
    "RunFailed",
    "RunOwned",
    "RunResult",
    "RunStatus",
    "RunSummary",
    "Scope",
    "Severity",
    "StoreError",
    "SyncOrchestrator",
    "SyncRun",
    "Trigger",
    "TriggerRule",
    "Workflow",
    "http",
    "lua",
    "open_orchestrator",
    "open_sync_orchestrator",
    "python",
    "shell",
    "sub_workflow",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for (PEP 562)."""
    from importlib import import_module  # noqa: PLC0415 — as above

    place = _PLACE_OF.get(name)
    if place is None:
        raise AttributeError(f"module 'dagrun' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(place), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
