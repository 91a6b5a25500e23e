"""Secrets that a run needs are looked for before it starts, where a provider knows at once."""

from collections.abc import Container
from typing import Final

import trio

from dagrun.domain.ids import RunId
from dagrun.domain.status import NODE_ENDED, RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import SecretError
from dagrun.plugin.providers import look_up, provider_of, references
from dagrun.plugin.registry import Registry
from dagrun.ports.store import Store
from dagrun.roles.local import factories
from dagrun.roles.owners import is_cut_off
from dagrun.roles.stored_runs import stored_workflow
from dagrun.services.executors import Opened
from dagrun.settings import Settings

STARTS_NODES: Final = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.PAUSED)


async def check_secrets(
    workflow: Workflow, registry: Registry, settings: Settings, *, ended: Container[str] = ()
) -> None:
    """See whether the secrets of a workflow can be had, as far as it is known at once.

    Args:
        workflow: the workflow.
        registry: the plugins.
        settings: what the operator chose.
        ended: nodes that need theirs no more.

    Raises:
        SecretError: names all that cannot be had, with the reasons, and no value.
    """
    found = references(workflow, without=ended)
    wanted = sorted(pair for pair in found if _is_early(pair[1], registry))
    if not wanted:
        return
    problems = []
    providers = Opened(factories(registry.secrets, settings))
    async with trio.open_nursery() as nursery:
        await nursery.start(providers.run)
        await providers.open(provider_of(source) for _, source in wanted)
        for name, source in wanted:
            try:
                await look_up(source, providers.opened)
            except SecretError as error:
                problems.append(f"{name} ({source}): {error}")
        nursery.cancel_scope.cancel()
    if problems:
        raise SecretError(f"{workflow.id} needs secrets that cannot be had: {'; '.join(problems)}")


async def check_secrets_left(
    store: Store, run_id: RunId, registry: Registry, settings: Settings
) -> None:
    """Do the same for a run that is to be gone on with, and for its nodes that have not ended.

    Raises:
        NotFound: there is no such run.
        SecretError: as above.
        StoreCorrupt: what is stored of it is damaged.
    """
    record = await store.run(run_id)
    if record.status not in STARTS_NODES or not is_cut_off(settings.data_dir, record):
        return  # it cannot be gone on with, or starts no more nodes: others say so
    nodes = [node for node in await store.nodes(run_id) if node.item is None]
    ended = {node.node_id for node in nodes if node.status in NODE_ENDED}
    workflow = await stored_workflow(store, record)
    await check_secrets(workflow, registry, settings, ended=ended)


def _is_early(source: str, registry: Registry) -> bool:
    provider = provider_of(source)
    return provider in registry.secrets and getattr(registry.secrets.get(provider), "early", False)
