"""Registered workflows, found by their ids and versions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dagrun.domain.children import calls
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
        self._workflows: dict[tuple[str, str], tuple[Workflow, Path | None]] = {}
        """Id and version → workflow, and the folder in which its functions and programs are."""

    def keep(self, workflow: Workflow, base: Path | None) -> None:
        """Have a workflow at hand as this program registered it."""
        self._workflows[workflow.id, workflow.version] = workflow, base

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
            raise NotFound(_not_registered(workflow_id, version, list(known)))
        return await self._load(known[wanted])

    async def find_for(
        self, caller: RunRecord | None, workflow_id: str, version: str | None
    ) -> tuple[Workflow, Path | None]:
        """Give the highest version of a range that is registered.

        Args:
            caller: the run that wants to run it; None for a program.
            workflow_id: the workflow.
            version: a range, or a version. None means ``^`` of the version that was current when
                the caller's workflow was registered; for a caller that is not registered, and a
                workflow that is younger, the one that is current now.

        Raises:
            NotFound: there is no such workflow or version.
        """
        known = {r.version: r for r in await self._store.registrations(workflow_id)}
        wanted = version or await self._usual(caller, known.values())
        fitting = None if wanted is None else resolve(wanted, known)
        if fitting is None:
            raise NotFound(_not_registered(workflow_id, wanted, list(known)))
        return await self._load(known[fitting])

    async def _usual(self, caller: RunRecord | None, known: Iterable[Registration]) -> str | None:
        """Give the range that a node means which names none."""
        versions = list(known)
        before = versions
        if caller is not None:
            own = await self._store.registrations(caller.workflow_id)
            since = [r.registered_at for r in own if r.version == caller.version]
            before = [r for r in versions if not since or r.registered_at <= since[0]]
        newest = current(r.version for r in before) or current(r.version for r in versions)
        return None if newest is None else f"^{newest.partition('+')[0]}"

    async def calls_of(self, workflow: Workflow) -> Mapping[str, frozenset[str]]:
        """Give what a workflow calls, and what the current versions of these call, and so on."""
        found = {workflow.id: calls(workflow)}
        left = set(found[workflow.id])
        while left:
            called = left.pop()
            if called not in found:
                known = {r.version: r for r in await self._store.registrations(called)}
                newest = current(known)
                callee = None if newest is None else (await self._load(known[newest]))[0]
                found[called] = frozenset() if callee is None else calls(callee)
                left |= found[called]
        return found

    async def _load(self, registration: Registration) -> tuple[Workflow, Path | None]:
        name = registration.workflow_id, registration.version
        found = self._workflows.get(name)
        if found is None:
            definition = await self._store.definition(registration.definition_hash)
            base = Path(registration.base) if registration.base else None
            found = self._workflows[name] = from_json(definition.body), base
        return found


def _not_registered(workflow_id: str, version: str | None, known: Sequence[str]) -> str:
    if not known:
        return f"no workflow {workflow_id!r} is registered"
    if version is None:
        return f"{workflow_id} has pre-releases only ({', '.join(known)}); name one as the version"
    what = "version" if is_version(version) else "version in the range"
    return f"{workflow_id} has no {what} {version!r}; registered: {', '.join(known)}"
