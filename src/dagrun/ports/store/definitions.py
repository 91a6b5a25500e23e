"""Workflows: the versions that are registered, and the content that runs have."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from dagrun.domain.jsonvalue import Raw


@attrs.frozen(kw_only=True)
class Definition:
    """The stored content of one workflow version."""

    hash: str
    """Hexadecimal SHA-256 of ``body``."""

    body: bytes
    """The workflow as JSON, see :mod:`dagrun.domain.serialize`."""


@attrs.frozen(kw_only=True)
class Registration:
    """A version of a workflow under its id."""

    workflow_id: str
    version: str
    definition_hash: str
    metadata: Raw | None = None
    """What the caller said beside the workflow, a JSON object."""

    base: str | None = None
    """The folder of the workflow's document, if it came from a file."""

    registered_at: datetime


class Definitions(Protocol):
    """Keeps workflows."""

    async def register(self, registration: Registration, definition: Definition) -> bool:
        """Store a version of a workflow. Give False if the same content is there already.

        Raises:
            ConflictError: the version is there with another content.
        """
        ...

    async def registrations(self, workflow_id: str | None = None) -> Sequence[Registration]:
        """Give the versions of a workflow, or of all, by id; newest registration last."""
        ...

    async def unregister(self, workflow_id: str, versions: Collection[str]) -> Sequence[str]:
        """Delete versions of a workflow; give those that were there. Runs keep what they run."""
        ...

    async def definition(self, definition_hash: str) -> Definition:
        """Give a stored definition.

        Raises:
            NotFound: there is none of that hash.
        """
        ...
