"""The workflows that a Python program registers, and finds again by their ids."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.jsonvalue import encode
from dagrun.domain.serialize import from_json
from dagrun.domain.specs import program_file
from dagrun.domain.versions import current
from dagrun.domain.workflow import Workflow
from dagrun.errors import NotFound
from dagrun.ports.store import Registration, Store
from dagrun.roles.documents import complete, load_file, load_text
from dagrun.roles.submission import folder_name
from dagrun.services.plans import Plans

Source = Workflow | Callable[[], Workflow] | Path | str
"""A workflow, a function that builds one, the path of a document, or its text.

A text of one line is taken for a path.
"""


@attrs.frozen(kw_only=True)
class Registered:
    """What came of a registration."""

    workflow_id: str
    version: str
    created: bool
    """False when the same content was registered before."""


class Workflows:
    """Registered workflows, of this program and of others.

    Args:
        store: where they are kept.
        plans: compiles them.
        known: what documents may name.
    """

    def __init__(self, store: Store, plans: Plans, known: Catalogue) -> None:
        self._store, self._plans, self._known = store, plans, known
        self._workflows: dict[tuple[str, str], tuple[Workflow, Path | None]] = {}
        """Id and version → workflow, and the folder in which its functions and programs are."""

    async def register(self, source: Source, metadata: Mapping[str, Any] | None) -> Registered:
        """Keep a version of a workflow under its id; see the method of a program's class."""
        workflow, base = self._read(source)
        prepared = await self._plans.prepare(workflow)
        registration = Registration(
            workflow_id=workflow.id,
            version=workflow.version,
            definition_hash=prepared.definition.hash,
            metadata=None if metadata is None else encode(dict(metadata)),
            base=folder_name(base),
            registered_at=datetime.now(UTC),
        )
        created = await self._store.register(registration, prepared.definition)
        self._workflows[workflow.id, workflow.version] = workflow, base
        return Registered(workflow_id=workflow.id, version=workflow.version, created=created)

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
        found = self._workflows.get((workflow_id, wanted))
        if found is None:
            registration = known[wanted]
            definition = await self._store.definition(registration.definition_hash)
            base = Path(registration.base) if registration.base else None
            found = self._workflows[workflow_id, wanted] = from_json(definition.body), base
        return found

    def _read(self, source: Source) -> tuple[Workflow, Path | None]:
        if isinstance(source, str) and "\n" in source:
            return load_text(source, self._known), None
        if isinstance(source, Path | str):
            file = Path(source)
            return load_file(file, self._known), file.absolute().parent
        built = source() if callable(source) else source
        if not isinstance(built, Workflow):
            raise TypeError(_no_workflow(built))
        base = _program_folder()
        return complete(built, base or Path.cwd(), self._known), base


def _not_registered(workflow_id: str, version: str | None, known: Sequence[str]) -> str:
    if not known:
        return f"no workflow {workflow_id!r} is registered"
    if version is None:
        return f"{workflow_id} has pre-releases only ({', '.join(known)}); name one as the version"
    return f"{workflow_id} has no version {version!r}; registered: {', '.join(known)}"


def _no_workflow(value: object) -> str:
    what = f"a Workflow is needed, or a function that builds one, not {type(value).__name__}"
    if inspect.iscoroutine(value):
        value.close()
        return "the function that builds the workflow is async; it must not be"
    if isinstance(value, Mapping):
        return f"{what}; write Workflow(id, version, nodes=[…]), or give a document as its text"
    return f"{what}; register each workflow by itself" if isinstance(value, list | tuple) else what


def _program_folder() -> Path | None:
    """Give the folder of the program that runs: where its functions are found by workers."""
    file = program_file()
    return None if file is None else file.absolute().parent
