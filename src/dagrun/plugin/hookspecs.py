"""The hooks that a plugin may implement."""

import pluggy

from dagrun.plugin.registry import Registry

PROJECT = "dagrun"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def dagrun_register(registry: Registry) -> None:
    """Put this plugin's factories on the registry's shelves.

    A factory takes the plugin's options as keyword arguments and returns an object of the
    kind's protocol. It opens nothing and awaits nothing: resources open in ``async with``.
    The hook runs once at start-up, before the event loop.
    """
