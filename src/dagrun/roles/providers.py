"""Which providers of secrets a workflow needs, and how they are made."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dagrun.domain.workflow import Workflow
from dagrun.errors import ConfigError
from dagrun.plugin.registry import Registry
from dagrun.ports.secrets import SecretProvider
from dagrun.settings import Settings


def check_providers(workflow: Workflow, registry: Registry) -> None:
    """See whether the secrets of a workflow can be looked up.

    Raises:
        ConfigError: a provider that it names is not installed.
    """
    for provider, names in sorted(sources(workflow).items()):
        if provider not in registry.secrets:
            installed = ", ".join(sorted(entry.name for entry in registry.secrets))
            raise ConfigError(
                f"{workflow.id} takes secrets ({', '.join(sorted(names))}) from {provider!r}, and no "
                f"such provider is installed; installed: {installed or 'none'}"
            )


def sources(workflow: Workflow) -> Mapping[str, set[str]]:
    """Give provider → names of the secrets that are taken from it."""
    found: dict[str, set[str]] = {}
    for secrets in (workflow.secrets, *(node.secrets for node in workflow.nodes)):
        for name, source in secrets.items():
            found.setdefault(source.partition(":")[0], set()).add(name)
    return found


def provider_factories(
    registry: Registry, settings: Settings
) -> Callable[[str], Callable[[], SecretProvider]]:
    """Give what gives the factory of a provider, with the options that settings have for it.

    It raises UnknownPlugin when nothing of that name is installed.
    """
    options: Mapping[str, Mapping[str, Any]] = {"file": {"directory": settings.secrets_dir}}
    return lambda name: partial(registry.secrets.get(name), **options.get(name, {}))
