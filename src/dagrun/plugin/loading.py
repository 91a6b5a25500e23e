"""Find the installed plugins and let them register."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import attrs
import pluggy

from dagrun.errors import PluginConflict
from dagrun.plugin import hookspecs
from dagrun.plugin.registry import Registry

GROUP: Final = "dagrun"
"""The group of entry points in which plugins are looked for."""

HOOK: Final = hookspecs.dagrun_register.__name__


@attrs.frozen(kw_only=True)
class Plugin:
    """An entry point that was found."""

    name: str
    distribution: str
    version: str
    error: str | None = None
    """Why it could not be loaded, in one line; None when it was."""


@attrs.frozen(kw_only=True)
class Installation:
    """The plugins of this Python environment, and what they offer."""

    registry: Registry
    plugins: tuple[Plugin, ...]

    def broken(self) -> tuple[Plugin, ...]:
        """Give the plugins that could not be loaded: an import failed, or their hook."""
        return tuple(plugin for plugin in self.plugins if plugin.error)


def load_plugins(found: Iterable[EntryPoint] | None = None) -> Installation:
    """Import every plugin and let it fill a fresh registry.

    Args:
        found: the entry points to load; None looks through the environment.

    Raises:
        PluginConflict: a name is taken, or what is marked with ``@hookimpl`` matches no hook.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    registry = Registry()
    points = entry_points(group=GROUP) if found is None else found
    plugins = tuple(_load(point, manager, registry) for point in _unique(points))
    return Installation(registry=registry, plugins=plugins)


def _unique(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Drop what an editable and a normal installation of one package both list."""
    return sorted({(point.name, point.value): point for point in points}.values())


def _load(point: EntryPoint, manager: pluggy.PluginManager, registry: Registry) -> Plugin:
    plugin = Plugin(
        name=point.name,
        distribution=point.dist.name if point.dist else "",
        version=point.dist.version if point.dist else "",
    )
    try:
        _register(point.name, point.load(), manager, registry)
    except PluginConflict:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 — it must not take the others along
        return attrs.evolve(plugin, error=f"{type(error).__name__}: {error}")
    return plugin


def _register(name: str, module: Any, manager: pluggy.PluginManager, registry: Registry) -> None:
    try:
        manager.register(module, name=name)
    except (ValueError, pluggy.PluginValidationError) as error:
        raise PluginConflict(f"plugin {name!r}: {error}") from error
    callers = manager.get_hookcallers(module)
    if not callers:
        raise LookupError(f"it implements no hook; mark {HOOK} with @hookimpl")
    for caller in callers:
        if not caller.has_spec():
            raise PluginConflict(
                f"plugin {name!r} implements {caller.name!r}, which is no hook; hooks: {HOOK}"
            )
    # One plugin at a time, so that what it adds and how it fails is known to be its own.
    others = manager.get_plugins() - {module}
    with registry.filled_by(name):
        manager.subset_hook_caller(HOOK, others)(registry=registry)
