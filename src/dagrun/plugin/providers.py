"""Which providers of secrets a workflow needs, and what they give."""

from collections.abc import Container, Mapping

from dagrun.domain.masking import value_problem
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConfigError, SecretError, sole
from dagrun.plugin.registry import Registry
from dagrun.ports.secrets import SecretProvider


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
    for name, source in references(workflow):
        found.setdefault(provider_of(source), set()).add(name)
    return found


def references(workflow: Workflow, *, without: Container[str] = ()) -> set[tuple[str, str]]:
    """Give the secrets of a workflow, but not those of some nodes, as (name, source)."""
    of_nodes = (node.secrets for node in workflow.nodes if node.id not in without)
    return {pair for secrets in (workflow.secrets, *of_nodes) for pair in secrets.items()}


def provider_of(source: str) -> str:
    """Give the name of the provider in ``provider:reference``."""
    return source.partition(":")[0]


async def look_up(source: str, providers: Mapping[str, SecretProvider]) -> str:
    """Give the value of a secret, which can be masked.

    Raises:
        SecretError: it cannot be had. Neither the message nor what caused it holds the value.
    """
    provider, _, reference = source.partition(":")
    try:
        value = await providers[provider].get(reference)
        problem = value_problem(value)
    except Exception as error:  # noqa: BLE001 — whatever a provider raises, there is no value
        problem = _reason(sole(error))
    if problem is not None:
        raise SecretError(problem)
    return value


def _reason(error: BaseException) -> str:
    """Say why a secret cannot be had. Only a SecretError is known not to quote it."""
    if isinstance(error, SecretError):
        return str(error)
    return f"the provider failed with {type(error).__name__}"
