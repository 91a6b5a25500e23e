"""What a plugin's factory is given of the settings."""

from collections.abc import Mapping
from typing import Any


def options(factory: object, settings: object) -> Mapping[str, Any]:
    """Give the arguments that a factory asks for with its attribute ``settings``.

    That is a list of settings, or a mapping of arguments to settings. A setting that the process
    does not have is left out, and the factory takes its default.
    """
    wanted = getattr(factory, "settings", ())
    named = wanted if isinstance(wanted, Mapping) else {name: name for name in wanted}
    return {
        argument: getattr(settings, name)
        for argument, name in named.items()
        if hasattr(settings, name)
    }
