"""The executor ``sqlite`` and the balancer ``pinned``."""

from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry
from dagrun_example.pinned import Pinned
from dagrun_example.sqlite import SqliteExecutor


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put both on their shelves."""
    registry.executors.add("sqlite", SqliteExecutor)
    registry.balancers.add("pinned", Pinned)
