"""Registered workflows, found by their ids and versions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dagrun.domain.children import versions_called
from dagrun.domain.serialize import from_json
from dagrun.domain.versions import current, is_version, resolve
from dagrun.domain.workflow import Workflow
from dagrun.errors import NotFound
from dagrun.ports.store import Registration, RunRecord, Store


class Registrations:
    """Registered workflows, of this program and of others.

    Args:
        store: where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workflows: dict[tuple[str, str, str], tuple[Workflow, Path | None]] = {}
        """Id, version and hash → workflow, and the folder of its functions and programs. A version
        that was deleted may come back with another content."""

    def keep(self, workflow: Workflow, base: Path | None, definition_hash: str) -> None:
        """Have a workflow at hand as this program registered it."""
        self._workflows[workflow.id, workflow.version, definition_hash] = workflow, base

    async def find(self, workflow_id: str, version: str | None) -> tuple[Workflow, Path | None]:
        """Give a registered workflow, and the folder of its document or program.

        That is this program's, if it has registered the workflow, and else the first one's.

        Args:
            workflow_id: the workflow.
            version: None takes the current one.

        Raises:
            NotFound: there is no such workflow or version.
        """
        known = {r.version: r for r in await self._store.registrations(workflow_id)}
        wanted = current(known) if version is None else version
        if wanted is None or wanted not in known:
            raise NotFound(not_registered(workflow_id, version, list(known)))
        return await self._load(known[wanted])

    async def find_for(
        self, caller: RunRecord | None, workflow_id: str, version: str | None
    ) -> tuple[Workflow, Path | None]:
        """Give the highest version of a range that is registered.

        Args:
            caller: the run that wants to run it; None for a program.
            workflow_id: the workflow.
            version: a range, or a version. None means ``^`` of the version that was current when
                the caller's workflow was registered, or of the first one of a workflow that is
                younger; for a caller that is not registered, of the one that is current now.

        Raises:
            NotFound: there is no such workflow or version.
        """
        known = {r.version: r for r in await self._store.registrations(workflow_id)}
        wanted = version or await self._usual(caller, known.values())
        fitting = None if wanted is None else resolve(wanted, known)
        if fitting is None:
            raise NotFound(not_registered(workflow_id, wanted, list(known)))
        return await self._load(known[fitting])

    async def _usual(self, caller: RunRecord | None, known: Iterable[Registration]) -> str | None:
        """Give the range that a node means which names none."""
        since: datetime | None = None
        if caller is not None:
            own = await self._store.registrations(caller.workflow_id)
            times = [r.registered_at for r in own if r.version == caller.version]
            since = times[0] if times else None
        return usual_range(known, since)

    async def calls_of(self, workflow: Workflow) -> Mapping[str, frozenset[str]]:
        """Give what a version calls, and what the versions call that these calls mean now, and so on.

        Versions are named ``id version``.

        Args:
            workflow: one that is registered, or is to be.
        """
        own = await self._registration_of(workflow)
        found: dict[str, frozenset[str]] = {}
        left = [own]
        while left:
            caller = left.pop()
            if (name := _name(caller)) not in found:
                content = workflow if caller is own else (await self._load(caller))[0]
                called = await self._called(content, caller, own)
                found[name] = frozenset(map(_name, called))
                left += called
        return found

    async def _registration_of(self, workflow: Workflow) -> Registration:
        """Give what is known of a version, or would be if it were registered now."""
        for known in await self._store.registrations(workflow.id):
            if known.version == workflow.version:
                return known
        return Registration(
            workflow_id=workflow.id,
            version=workflow.version,
            definition_hash="",
            registered_at=datetime.now(UTC),
        )

    async def _called(
        self, workflow: Workflow, caller: Registration, own: Registration
    ) -> Sequence[Registration]:
        """Give the versions that the nodes of one would run, if ``own`` is registered, too."""
        found = []
        for workflow_id, version in versions_called(workflow):
            known = {r.version: r for r in await self._store.registrations(workflow_id)}
            if workflow_id == own.workflow_id:
                known.setdefault(own.version, own)
            wanted = version or usual_range(known.values(), caller.registered_at)
            fitting = None if wanted is None else resolve(wanted, known)
            if fitting is not None:
                found.append(known[fitting])
        return found

    async def _load(self, registration: Registration) -> tuple[Workflow, Path | None]:
        hash_ = registration.definition_hash
        name = registration.workflow_id, registration.version, hash_
        found = self._workflows.get(name)
        if found is None:
            definition = await self._store.definition(hash_)
            base = Path(registration.base) if registration.base else None
            found = self._workflows[name] = from_json(definition.body), base
        return found


def _name(registration: Registration) -> str:
    return f"{registration.workflow_id} {registration.version}"


def usual_range(known: Iterable[Registration], since: datetime | None) -> str | None:
    """Give the range that a node means which names none; None if there is no version.

    It is ``^`` of the version that was current then, or else of the first one behind that.

    Args:
        known: the versions of the workflow that it runs.
        since: when the node's own workflow was registered; None if it is not.
    """
    versions = sorted(known, key=lambda one: one.registered_at)
    before = [one.version for one in versions if since is None or one.registered_at <= since]
    later = (current([one.version]) for one in versions)
    meant = current(before) or next(filter(None, later), None)
    return None if meant is None else f"^{meant.partition('+')[0]}"


def not_registered(workflow_id: str, version: str | None, known: Sequence[str]) -> str:
    """Say what is registered of a workflow, when something else was wanted."""
    if not known:
        return f"no workflow {workflow_id!r} is registered"
    if version is None:
        return f"{workflow_id} has pre-releases only ({', '.join(known)}); name one as the version"
    what = "version" if is_version(version) else "version in the range"
    return f"{workflow_id} has no {what} {version!r}; registered: {', '.join(known)}"
