"""Runs and their nodes, as their journals leave them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import attrs

from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.ports.store.submissions import Parent


@attrs.frozen(kw_only=True)
class RunRecord:
    """The projection of a run."""

    run_id: RunId
    workflow_id: str
    version: str
    definition_hash: str
    status: RunStatus
    inputs: Raw
    outputs: Raw | None
    error: Mapping[str, str] | None
    """``{type, message}``."""

    owner: str
    epoch: int
    last_seq: int
    priority: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    slot_key: str | None = None
    """The key of the slot that it has or waits for."""

    admitted: bool = False
    """Whether it has the slot. It keeps it until it ends."""

    engine_id: str | None = None
    """The engine to which it is assigned; None when it is with no engine, or with one of the
    process that owns it."""

    instance: str | None = None
    """Which life of that engine."""

    parent: Parent | None = None
    rerun_of: RunId | None = None
    """The run of which it is run again; that one may have been pruned."""


@attrs.frozen(kw_only=True)
class NodeRecord:
    """The projection of a node, or of one item of it."""

    run_id: RunId
    node_id: str
    item: int | None
    status: NodeStatus
    attempts: int
    started_at: datetime | None
    """Start of the first attempt."""

    finished_at: datetime | None
    outputs: Raw | None
    """None unless it succeeded, and for a ``for_each`` node as a whole."""

    error: Mapping[str, str] | None


class Runs(Protocol):
    """Keeps how runs stand, and who executes them."""

    async def run(self, run_id: RunId) -> RunRecord:
        """Give one run.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def runs(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        top_level: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunRecord], str | None]:
        """Give runs, newest first, and the cursor of the next page or None.

        Args:
            workflow_id: only those of this workflow.
            status: only those in this state.
            top_level: only those without a parent.
            limit: most that are given, up to ``MAX_LIMIT``.
            cursor: what the page before this one gave.
        """
        ...

    async def nodes(self, run_id: RunId) -> Sequence[NodeRecord]:
        """Give the nodes and items of a run for which anything was journaled."""
        ...

    async def children(self, run_id: RunId) -> Sequence[RunRecord]:
        """Give the runs that a run started, the oldest first."""
        ...

    async def child(
        self, run_id: RunId, node_id: str, item: int | None, attempt: int
    ) -> RunRecord | None:
        """Give the run that an attempt of a run started. Takes no longer with many children."""
        ...

    async def unfinished(self, owner: str) -> Sequence[RunRecord]:
        """Give all runs of an owner that have not ended, the oldest first."""
        ...

    async def claim(self, run_id: RunId, *, owner: str, expected_epoch: int) -> RunRecord:
        """Hand a run over to ``owner`` under the next epoch, if its epoch is the expected one.

        It is assigned to no engine then.

        Raises:
            NotFound: there is no such run.
            RunHasEnded: there is nothing more to execute.
            ConflictError: the epoch is another one: somebody else was faster.
        """
        ...
