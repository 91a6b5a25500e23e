"""Which providers of secrets a workflow needs."""

from collections.abc import Mapping

from dagrun.domain.workflow import Workflow
from dagrun.errors import ConfigError
from dagrun.plugin.registry import Registry


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
