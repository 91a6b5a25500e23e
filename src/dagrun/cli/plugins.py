"""``dagrun plugins``."""

from contextlib import redirect_stdout
from typing import Any

import attrs

from dagrun.cli import output
from dagrun.plugin.loading import Installation, Plugin, load_plugins


def list_plugins(*, as_json: bool) -> int:
    """List plugins with what they put on the shelves. Give the exit code."""
    installation = _load()
    if as_json:
        items = [_as_json(plugin, installation) for plugin in installation.plugins]
        output.say_json({"items": items, "next": None})
    else:
        for plugin in installation.plugins:
            output.say(_line(plugin, installation))
    return output.DONE


def load_with_warnings() -> Installation:
    """Load all plugins. A broken one gets a warning, and does not stop the others."""
    installation = _load()
    for plugin in installation.broken():
        output.note(f"dagrun: warning: plugin {plugin.name} cannot be loaded: {plugin.error}")
    return installation


def _load() -> Installation:
    # What a module prints when it is imported must not get between results and who reads them.
    with redirect_stdout(output.Notes()):
        return load_plugins()


def offers(plugin: Plugin, installation: Installation) -> dict[str, list[str]]:
    """Give kind → names that a plugin put on the shelves."""
    found = {
        shelf.kind: sorted(entry.name for entry in shelf if entry.plugin == plugin.name)
        for shelf in installation.registry.shelves()
    }
    return {kind: names for kind, names in found.items() if names}


def _as_json(plugin: Plugin, installation: Installation) -> dict[str, Any]:
    return {**attrs.asdict(plugin), "offers": offers(plugin, installation)}


def _line(plugin: Plugin, installation: Installation) -> str:
    head = f"{plugin.name} ({plugin.distribution} {plugin.version})"
    if plugin.error:
        return f"{head}: cannot be loaded: {plugin.error}"
    kinds = offers(plugin, installation).items()
    return f"{head}: " + "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds)
