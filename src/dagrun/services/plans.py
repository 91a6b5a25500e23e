"""Workflows made ready for execution, once for all their runs in this process."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import attrs

from dagrun.domain.document.catalogue import structure_options
from dagrun.domain.plan import Handling, Plan, compile_plan
from dagrun.domain.serialize import content_hash, from_json, to_json
from dagrun.domain.workflow import Durability, ExecutorSpec, Workflow
from dagrun.plugin.providers import check_providers, sources
from dagrun.plugin.registry import Registry
from dagrun.ports.executor import Traits
from dagrun.ports.store import Definition

KEPT: Final = 100
"""Workflows of which the compiled form is kept."""


@attrs.frozen(kw_only=True)
class Prepared:
    """What is made of a workflow once."""

    workflow: Workflow
    """Keeps the object alive, so that its identity stays its own."""

    plan: Plan
    definition: Definition


class Opens(Protocol):
    """Opens plugins of one kind before nodes need them."""

    async def open(self, names: Iterable[str]) -> None:
        """Make sure that some are open.

        Raises:
            UnknownPlugin: nothing of that name is installed.
        """
        ...


class NothingToOpen:
    """Opens no plugin, for those who carry out no node themselves. Implements :class:`Opens`."""

    async def open(self, names: Iterable[str]) -> None:
        """Do nothing."""


class Plans:
    """Compiles workflows, and keeps what was compiled last.

    Args:
        registry: the plugins.
        executors: opens the executors that a workflow names.
        providers: opens the providers of the secrets that it names.
    """

    def __init__(self, registry: Registry, executors: Opens, providers: Opens) -> None:
        self._registry = registry
        self._handling = handling(registry)
        self._executors = executors
        self._providers = providers
        self._by_identity: OrderedDict[int, Prepared] = OrderedDict()
        self._by_hash: OrderedDict[str, Prepared] = OrderedDict()

    async def prepare(self, workflow: Workflow) -> Prepared:
        """Compile a workflow, or give what was made of the same one before.

        Raises:
            ConfigError: an executor, or a provider of secrets, is not installed.
        """
        prepared = self._by_identity.get(id(workflow))
        if prepared is None:
            prepared = await self._compiled(workflow, to_json(workflow))
            self._by_identity[id(workflow)] = prepared
            _trim(self._by_identity)
        return prepared

    def known(self, hash_: str) -> Prepared | None:
        """Give what was made of a definition, if that was not long ago."""
        prepared = self._by_hash.get(hash_)
        if prepared is not None:
            self._keep_as_stored(prepared)
        return prepared

    async def restore(self, definition: Definition) -> Prepared:
        """Compile a stored workflow, or give what was made of the same one before.

        Raises:
            ConfigError: an executor, or a provider of secrets, is not installed.
            Exception: the definition is damaged.
        """
        prepared = self._by_hash.get(definition.hash)
        if prepared is None:
            prepared = await self._compiled(from_json(definition.body), definition.body)
        self._keep_as_stored(prepared)
        return prepared

    def _keep_as_stored(self, prepared: Prepared) -> None:
        """Run again, it is what is stored, whatever this version would write for it."""
        self._by_identity[id(prepared.workflow)] = prepared
        _trim(self._by_identity)

    async def _compiled(self, workflow: Workflow, body: bytes) -> Prepared:
        await self._executors.open(_executors(workflow))
        check_providers(workflow, self._registry)
        await self._providers.open(sources(workflow))
        prepared = Prepared(
            workflow=workflow,
            plan=compile_plan(workflow, self._handling),
            definition=Definition(hash=content_hash(body), body=body),
        )
        self._by_hash[prepared.definition.hash] = prepared
        _trim(self._by_hash)
        return prepared


def _trim(kept: OrderedDict[Any, Prepared]) -> None:
    if len(kept) > KEPT:
        kept.popitem(last=False)


def _executors(workflow: Workflow) -> Iterator[str]:
    """Give the names of the executors of nodes and handlers."""
    yield from (node.executor.type for node in workflow.nodes)
    yield from (handler.executor.type for handler in workflow.handlers.values())


def always_uses_processes(workflow: Workflow, registry: Registry) -> bool:
    """Whether an executor is named whose every node occupies a process, whatever its options."""
    known = {entry.name: Traits.of(entry.factory) for entry in registry.executors}
    return any(known[name].uses_process is True for name in _executors(workflow) if name in known)


def handling(registry: Registry) -> Callable[[ExecutorSpec], Handling]:
    """Give what says how the nodes of an executor are to be handled."""
    known = {entry.name: Traits.of(entry.factory) for entry in registry.executors}

    def handle(spec: ExecutorSpec) -> Handling:
        # A run is shown although its executor is gone, whatever the options could hold.
        traits = known.get(spec.type) or Traits(secret_options=frozenset(spec.options))
        return Handling(
            strict=traits.durability is Durability.STRICT,
            limited=_occupies_process(traits, spec.options),
            literal_options=traits.literal_options,
            secret_options=traits.secret_options,
        )

    return handle


def structuring(registry: Registry) -> Callable[[str, Mapping[str, Any]], Any]:
    """Give what turns filled-in options of an executor into what it expects."""
    known = {entry.name: Traits.of(entry.factory).options for entry in registry.executors}
    return lambda name, options: structure_options(known.get(name), options)


def _occupies_process(traits: Traits, options: Mapping[str, Any]) -> bool:
    """Ask the executor; while an option may still become anything, take it for a process."""
    uses = traits.uses_process
    if isinstance(uses, bool):
        return uses
    try:
        return uses(structure_options(traits.options, options))
    except ValueError:
        return True
