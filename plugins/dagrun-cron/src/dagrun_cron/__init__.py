"""The trigger ``cron``: its options, and the check of its schedule."""

from dagrun.plugin.hookspecs import hookimpl
from dagrun.plugin.registry import Registry
from dagrun_cron.trigger import CronKind


@hookimpl
def dagrun_register(registry: Registry) -> None:
    """Put the trigger on its shelf."""
    registry.triggers.add("cron", CronKind)
