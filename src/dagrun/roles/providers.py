"""How the providers of secrets are made."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dagrun.plugin.registry import Registry
from dagrun.ports.secrets import SecretProvider
from dagrun.settings import Settings


def provider_factories(
    registry: Registry, settings: Settings
) -> Callable[[str], Callable[[], SecretProvider]]:
    """Give what gives the factory of a provider, with the options that settings have for it.

    It raises UnknownPlugin when nothing of that name is installed.
    """
    options: Mapping[str, Mapping[str, Any]] = {"file": {"directory": settings.secrets_dir}}
    return lambda name: partial(registry.secrets.get(name), **options.get(name, {}))
