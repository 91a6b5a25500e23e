"""What can be asked of runs and workflows, wherever the answer comes from.

The orchestrator's process implements it, a client in another process for a server that answers in
the same way, and who looks into a data directory beside the processes that use it. All methods raise
:class:`~dagrun.errors.StoreError` when the database cannot be used; those of a client in another
process also :class:`~dagrun.errors.Unreachable`, when the server does not answer, and
:class:`~dagrun.errors.AccessError`, when it does not let the caller in. What needs a running
orchestrator is a :class:`~dagrun.errors.ConfigError` of a data directory.

There is a module for each kind of thing: ``workflows``, ``runs`` (with ``run_views``), ``events`` and
``engines``. ``lists`` has what their lists share, and :class:`Management` has them all.
"""

from dagrun.ports.management.engines import EngineManagement
from dagrun.ports.management.events import EventManagement, EventPage, Wanted
from dagrun.ports.management.lists import MOST, Page
from dagrun.ports.management.management import Management
from dagrun.ports.management.run_views import (
    Change,
    ChildRun,
    Explanation,
    LogPiece,
    RunSummary,
    RunView,
)
from dagrun.ports.management.runs import RunManagement
from dagrun.ports.management.workflows import Registered, WorkflowManagement, WorkflowView

__all__ = [
    "MOST",
    "Change",
    "ChildRun",
    "EngineManagement",
    "EventManagement",
    "EventPage",
    "Explanation",
    "LogPiece",
    "Management",
    "Page",
    "Registered",
    "RunManagement",
    "RunSummary",
    "RunView",
    "Wanted",
    "WorkflowManagement",
    "WorkflowView",
]
