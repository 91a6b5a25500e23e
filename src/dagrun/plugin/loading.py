"""Find the installed plugins and let them register."""

import sys
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

_HOOK_PREFIX: Final = "dagrun_"


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
        PluginConflict: a name is taken, or an implementation matches no hook.
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
    _refuse_unknown_hooks(name, module)
    try:
        manager.register(module, name=name)
        manager.check_pending()
    except (ValueError, pluggy.PluginValidationError) as error:
        raise PluginConflict(f"plugin {name!r}: {error}") from error
    implementation = getattr(module, "dagrun_register", None)
    if implementation is not None:
        with registry.filled_by(name):
            implementation(registry=registry)


def _refuse_unknown_hooks(name: str, module: Any) -> None:
    known = {hook for hook in vars(hookspecs) if hook.startswith(_HOOK_PREFIX)}
    for attribute in dir(module):
        if attribute.startswith(_HOOK_PREFIX) and attribute not in known:
            value = getattr(module, attribute)
            if callable(value) and getattr(value, "__module__", "") not in sys.builtin_module_names:
                raise PluginConflict(
                    f"plugin {name!r} implements {attribute!r}, which is no hook; "
                    f"hooks: {', '.join(sorted(known))}"
                )
