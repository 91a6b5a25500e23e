"""What can be asked of the registered workflows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from dagrun.domain.workflow import Workflow
from dagrun.errors import Problem
from dagrun.ports.management.lists import Page


@attrs.frozen(kw_only=True)
class Registered:
    """What came of a registration."""

    workflow_id: str
    version: str
    created: bool
    """False when the same content was registered before."""


@attrs.frozen(kw_only=True)
class WorkflowView:
    """A registered version of a workflow."""

    workflow_id: str
    version: str
    current: bool
    """Whether runs that name no version have this one."""

    name: str
    description: str
    labels: Mapping[str, str]
    metadata: Any
    """What was said beside the workflow at its registration; None for nothing."""

    definition_hash: str
    """Hexadecimal SHA-256 of the workflow as it is stored."""

    registered_at: datetime


class WorkflowManagement(Protocol):
    """The registered workflows."""

    async def register(
        self,
        document: bytes,
        *,
        files: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Registered:
        """Keep a version of a workflow. The same content again is no error.

        Args:
            document: YAML or JSON. It lies nowhere: it may not name relative programs or folders.
            files: name, as the document writes it → text of the files whose contents belong to it.
            metadata: anything that JSON can hold, to be kept with it.

        Raises:
            DefinitionError: it is wrong; ``problems`` says all that is.
            ConflictError: the version is registered with another content, or the workflow would
                come to call itself.
        """
        ...

    async def update(
        self,
        workflow_id: str,
        document: bytes,
        *,
        files: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Registered:
        """Register a version of a workflow that is there already; raises as :meth:`register`.

        Raises:
            NotFound: no version of it is registered.
            InputError: the document is of another workflow.
        """
        ...

    async def validate(
        self, document: bytes, *, files: Mapping[str, str] | None = None
    ) -> Sequence[Problem]:
        """Say all that is wrong with a document; nothing if it could be registered."""
        ...

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[WorkflowView]:
        """Give the current version of each workflow, by id; the newest one if all are pre-releases."""
        ...

    async def versions(self, workflow_id: str) -> Sequence[WorkflowView]:
        """Give the versions of a workflow, the highest first.

        Raises:
            NotFound: there is none.
        """
        ...

    async def get(
        self, workflow_id: str, version: str | None = None
    ) -> tuple[WorkflowView, Workflow]:
        """Give a version, and its content. None takes the current one.

        Raises:
            NotFound: there is no such workflow or version.
        """
        ...

    async def delete(
        self, workflow_id: str, version: str | None = None, *, force: bool = False
    ) -> Sequence[str]:
        """Delete a version, or all of them for None. Give what was deleted, the highest first.

        Runs go on, and stay.

        Raises:
            NotFound: there is no such workflow or version.
            StillNeeded: a registered workflow has a ``workflow`` node that would run it. With
                ``force`` it is deleted all the same.
        """
        ...
