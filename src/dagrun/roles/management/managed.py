"""All that can be asked of an orchestrator, put together."""

from functools import partial
from pathlib import Path

import attrs

from dagrun.plugin.registry import Registry
from dagrun.ports.store import Store
from dagrun.roles.beside import announce
from dagrun.roles.management.engines import ManagedEngines
from dagrun.roles.management.events import ManagedEvents
from dagrun.roles.management.looks import Looks
from dagrun.roles.management.runs import ManagedRuns, Submit
from dagrun.roles.management.workflows import ManagedWorkflows, manage_workflows
from dagrun.roles.places import LOGS
from dagrun.roles.registrations import Registrations
from dagrun.roles.run_logs import RunLogs
from dagrun.roles.stored_runs import StoredRuns
from dagrun.services.dispatcher import Dispatcher
from dagrun.services.fleet import Fleet
from dagrun.services.monitor import Monitor
from dagrun.services.node_logs import NodeLogs
from dagrun.services.plans import Plans


@attrs.frozen(kw_only=True)
class Managed:
    """Implements :class:`~dagrun.ports.management.Management`."""

    workflows: ManagedWorkflows
    runs: ManagedRuns
    events: ManagedEvents
    engines: ManagedEngines


def manage(
    registry: Registry,
    *,
    data_dir: Path,
    store: Store,
    plans: Plans,
    stored: StoredRuns,
    dispatcher: Dispatcher,
    fleet: Fleet,
    monitor: Monitor,
    registrations: Registrations,
    submit: Submit,
) -> Managed:
    """Put together what clients can ask for, from the parts of an orchestrator."""
    return Managed(
        workflows=manage_workflows(
            registry, store, registrations, plans, partial(announce, monitor)
        ),
        runs=ManagedRuns(
            data_dir=data_dir,
            store=store,
            registrations=registrations,
            stored=stored,
            dispatcher=dispatcher,
            restored=stored.restored,
            looks=Looks(store, data_dir, monitor),
            run_logs=RunLogs(NodeLogs(data_dir / LOGS)),
            submit=submit,
            engines=fleet.engines,
        ),
        events=ManagedEvents(store, monitor),
        engines=ManagedEngines(fleet),
    )
