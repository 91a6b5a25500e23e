"""The registered workflows, for those who manage them."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
import trio

from dagrun.domain.children import versions_called
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.document.composer import compose
from dagrun.domain.ids import is_id
from dagrun.domain.jsonvalue import NotJson, decode, encode
from dagrun.domain.serialize import from_json
from dagrun.domain.versions import current, resolve, sort_key
from dagrun.domain.workflow import Workflow
from dagrun.errors import DefinitionError, NotFound, Problem, StillNeeded
from dagrun.plugin.registry import Registry
from dagrun.ports.management import Page, Registered, WorkflowView
from dagrun.ports.store import Registration, Store
from dagrun.roles.documents import catalogue, load_sent
from dagrun.roles.management.arguments import check_cursor, check_limit, wrong
from dagrun.roles.registrations import Registrations, not_registered, usual_range
from dagrun.roles.workflows import Workflows
from dagrun.services.plans import Plans

Files = Mapping[str, str] | None
Metadata = Mapping[str, Any] | None
Announce = Callable[[str, str, Mapping[str, Any]], Awaitable[None]]
"""Tells of a type of event, a workflow, and more about it."""


class ManagedWorkflows:
    """Implements :class:`~dagrun.ports.management.WorkflowManagement`.

    Args:
        store: where they are kept.
        workflows: registers them.
        known: what documents may name.
        announce: tells those who want to hear of it.
    """

    def __init__(
        self,
        store: Store,
        workflows: Workflows,
        known: Catalogue,
        announce: Announce,
    ) -> None:
        self._store, self._workflows, self._known = store, workflows, known
        self._announce = announce
        self._changing = trio.Lock()
        self._reading = trio.CapacityLimiter(1)
        self._large = (
            trio.Lock()
        )  # large ones take long: between two of them others have their turn

    async def register(
        self, document: bytes, *, files: Files = None, metadata: Metadata = None
    ) -> Registered:
        """Keep a version of a workflow; see the port."""
        return await self._keep(await self._load(document, files), metadata)

    async def update(
        self, workflow_id: str, document: bytes, *, files: Files = None, metadata: Metadata = None
    ) -> Registered:
        """Register a version of a workflow that is there; see the port."""
        await self._versions_of(workflow_id)
        workflow = await self._load(document, files)
        if workflow.id != workflow_id:
            raise wrong(
                f"the document is of {workflow.id!r}, not of {workflow_id!r}", "metadata.id"
            )
        return await self._keep(workflow, metadata)

    async def validate(self, document: bytes, *, files: Files = None) -> Sequence[Problem]:
        """Say all that is wrong with a document; see the port."""
        try:
            await self._workflows.refuse_circle(await self._load(document, files))
        except DefinitionError as error:
            return error.problems
        return ()

    async def _load(self, document: bytes, files: Files) -> Workflow:
        """Read a document beside the loop: a long one takes seconds, in which engines want answers.

        Raises:
            DefinitionError: it is wrong.
        """
        composed = await trio.to_thread.run_sync(compose, document, limiter=self._reading)
        return load_sent(composed, files or {}, self._known)

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[WorkflowView]:
        """Give the current version of each workflow; see the port."""
        check_limit(limit)
        check_cursor(cursor)
        by_id: dict[str, list[Registration]] = defaultdict(list)
        for one in await self._store.registrations():
            by_id[one.workflow_id].append(one)
        ids = [workflow_id for workflow_id in sorted(by_id) if workflow_id > (cursor or "")]
        shown = [by_id[workflow_id] for workflow_id in ids[:limit]]
        return Page(
            items=[await self._view(_leader(versions), versions) for versions in shown],
            next=ids[limit - 1] if len(ids) > limit else None,
        )

    async def versions(self, workflow_id: str) -> Sequence[WorkflowView]:
        """Give the versions of a workflow, the highest first; see the port."""
        versions = await self._versions_of(workflow_id)
        ordered = sorted(versions, key=lambda one: sort_key(one.version), reverse=True)
        return [await self._view(one, versions) for one in ordered]

    async def get(
        self, workflow_id: str, version: str | None = None
    ) -> tuple[WorkflowView, Workflow]:
        """Give a version, and its content; see the port."""
        versions = await self._versions_of(workflow_id)
        known = {one.version: one for one in versions}
        wanted = current(known) if version is None else version
        if wanted is None or wanted not in known:
            raise NotFound(not_registered(workflow_id, version, list(known)))
        registration = known[wanted]
        async with self._large:
            definition = await self._store.definition(registration.definition_hash)
            return await self._view(registration, versions), from_json(definition.body)

    async def delete(
        self, workflow_id: str, version: str | None = None, *, force: bool = False
    ) -> Sequence[str]:
        """Delete a version, or all; see the port."""
        async with self._changing:
            known = [one.version for one in await self._versions_of(workflow_id)]
            if version is not None and version not in known:
                raise NotFound(not_registered(workflow_id, version, known))
            gone = known if version is None else [version]
            if not force and (dependents := await self._dependents(workflow_id, gone)):
                what = workflow_id if version is None else f"{workflow_id} {version}"
                raise StillNeeded(what, dependents)
            deleted = await self._store.unregister(workflow_id, gone)
        ordered = sorted(deleted, key=sort_key, reverse=True)
        await self._announce("workflow.deleted", workflow_id, {"versions": ordered})
        return ordered

    async def _keep(self, workflow: Workflow, metadata: Metadata) -> Registered:
        _check_metadata(metadata)
        async with self._changing:
            registered = await self._workflows.keep(workflow, None, metadata)
        if registered.created:
            await self._announce(
                "workflow.registered", registered.workflow_id, {"version": registered.version}
            )
        return registered

    async def _versions_of(self, workflow_id: str) -> Sequence[Registration]:
        known = await self._store.registrations(workflow_id) if is_id(workflow_id) else ()
        if not known:
            raise NotFound(f"no workflow {workflow_id[:200]!r} is registered")
        return known

    async def _view(self, one: Registration, versions: Sequence[Registration]) -> WorkflowView:
        definition = await self._store.definition(one.definition_hash)
        head = msgspec.json.decode(definition.body, type=_Head)
        return WorkflowView(
            workflow_id=one.workflow_id,
            version=one.version,
            current=one.version == current(other.version for other in versions),
            name=head.name,
            description=head.description,
            labels=head.labels,
            metadata=None if one.metadata is None else decode(one.metadata),
            definition_hash=one.definition_hash,
            registered_at=one.registered_at,
        )

    async def _dependents(self, workflow_id: str, gone: Collection[str]) -> Sequence[str]:
        """Give the versions of other workflows with a node that would run one of some versions."""
        everything = await self._store.registrations()
        mine = [one for one in everything if one.workflow_id == workflow_id]
        return [
            f"{caller.workflow_id} {caller.version}"
            for caller in everything
            if caller.workflow_id != workflow_id and await self._needs(caller, mine, gone)
        ]

    async def _needs(
        self, caller: Registration, mine: Sequence[Registration], gone: Collection[str]
    ) -> bool:
        workflow = from_json((await self._store.definition(caller.definition_hash)).body)
        versions = [one.version for one in mine]
        for called, version in versions_called(workflow):
            if called == mine[0].workflow_id:
                wanted = version or usual_range(mine, caller.registered_at)
                if wanted is not None and resolve(wanted, versions) in gone:
                    return True
        return False


def manage_workflows(
    registry: Registry,
    store: Store,
    registrations: Registrations,
    plans: Plans,
    announce: Announce,
) -> ManagedWorkflows:
    """Put together what needs a store only."""
    known = catalogue(registry)
    workflows = Workflows(store, registrations, plans, known)
    return ManagedWorkflows(store, workflows, known, announce)


class _Head(msgspec.Struct):
    """What lists show of a stored workflow."""

    name: str = ""
    description: str = ""
    labels: dict[str, str] = {}


def _leader(versions: Sequence[Registration]) -> Registration:
    """Give the current version, or the highest one if all are pre-releases."""
    known = {one.version: one for one in versions}
    return known[current(known) or max(known, key=sort_key)]


def _check_metadata(metadata: Metadata) -> None:
    try:
        encode(None if metadata is None else dict(metadata))
    except NotJson as error:
        raise wrong(f"it is refused: {error}", "metadata") from error
