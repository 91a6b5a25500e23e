"""The workflows that a Python program registers."""

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dagrun.domain.children import circle
from dagrun.domain.document.catalogue import Catalogue
from dagrun.domain.jsonvalue import encode
from dagrun.domain.specs import program_file
from dagrun.domain.workflow import Workflow
from dagrun.errors import DefinitionError, Problem
from dagrun.ports.management import Registered
from dagrun.ports.store import Registration, Store
from dagrun.roles.documents import complete, load_file, load_text
from dagrun.roles.registrations import Registrations
from dagrun.roles.submission import folder_name
from dagrun.services.plans import Plans

Source = Workflow | Callable[[], Workflow] | Path | str
"""A workflow, a function that builds one, the path of a document, or its text.

A text of one line is taken for a path.
"""


class Workflows:
    """Registers workflows.

    Args:
        store: where they are kept.
        registrations: finds them again.
        plans: compiles them.
        known: what documents may name.
    """

    def __init__(
        self, store: Store, registrations: Registrations, plans: Plans, known: Catalogue
    ) -> None:
        self._store, self._registrations = store, registrations
        self._plans, self._known = plans, known

    async def register(self, source: Source, metadata: Mapping[str, Any] | None) -> Registered:
        """Keep a version of a workflow under its id; see the method of a program's class."""
        workflow, base = self._read(source)
        return await self.keep(workflow, base, metadata)

    async def keep(
        self, workflow: Workflow, base: Path | None, metadata: Mapping[str, Any] | None
    ) -> Registered:
        """Keep a version of a workflow that was read.

        Args:
            workflow: it.
            base: the folder of its document; None if it lies nowhere.
            metadata: what is kept beside it.

        Raises:
            DefinitionError: it would come to call itself.
            ConflictError: the version is there with another content.
        """
        await self.refuse_circle(workflow)
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
        self._registrations.keep(workflow, base, prepared.definition.hash)
        return Registered(workflow_id=workflow.id, version=workflow.version, created=created)

    async def refuse_circle(self, workflow: Workflow) -> None:
        """Refuse a workflow that would come to call itself.

        Raises:
            DefinitionError: it would.
        """
        start = f"{workflow.id} {workflow.version}"
        way = circle(await self._registrations.calls_of(workflow), start)
        if way is not None:
            message = f"runs of it would start each other for ever: {' → '.join(way)}"
            raise DefinitionError([Problem(message=message)])

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
