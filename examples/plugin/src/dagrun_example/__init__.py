"""The executors ``sqlite`` and ``awk``, and the balancer ``pinned``."""

from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry
from dagrun_example.awk import AwkExecutor
from dagrun_example.pinned import Pinned
from dagrun_example.sqlite import SqliteExecutor


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put them on their shelves."""
    registry.executors.add("sqlite", SqliteExecutor)
    registry.executors.add("awk", AwkExecutor)
    registry.balancers.add("pinned", Pinned)
