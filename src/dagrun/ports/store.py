"""Where journal and definitions live."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.status import NodeStatus, RunStatus

MAX_LIMIT: Final = 10_000
"""Most of anything that a store is asked for at once."""


@attrs.frozen(kw_only=True)
class Definition:
    """The stored content of one workflow version."""

    hash: str
    """Hexadecimal SHA-256 of ``body``."""

    body: bytes
    """The workflow as JSON, see :mod:`dagrun.domain.serialize`."""


@attrs.frozen(kw_only=True)
class NewRun:
    """A run to be accepted."""

    run_id: RunId
    workflow_id: str
    version: str
    definition_hash: str
    inputs: Raw
    owner: str
    """Who executes it: the name of a lock that the process holds."""

    priority: int = 0
    created_at: datetime
    slot: "Slot | None" = None
    """What it must have to be admitted; None without ``concurrency``."""

    request: "Request | None" = None
    """None for a submission without an idempotency key."""


@attrs.frozen(kw_only=True)
class Slot:
    """One of the places that runs with the same concurrency key share."""

    key: str
    """The evaluated key with its scope in front."""

    limit: int
    """Most runs with this key that are admitted and have not ended."""

    at_once: bool = False
    """Whether the run is refused unless it can be admitted in the transaction that stores it."""


@attrs.frozen(kw_only=True)
class Request:
    """What makes two submissions of a workflow one."""

    key: str
    hash: str
    """Stands for what is asked for; the same key with another one is a conflict."""


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


@attrs.frozen(kw_only=True)
class Logged:
    """An event, and where it stands in the order of all runs."""

    position: int
    """Grows with each event that is stored; never given twice."""

    workflow_id: str
    engine_id: str | None
    """The engine that executed the run then, see :func:`~dagrun.domain.monitoring.engine_at`."""

    event: Event


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


class Refusal(StrEnum):
    """Why the events of a run were not taken."""

    UNKNOWN_RUN = "unknown_run"
    STALE_EPOCH = "stale_epoch"
    GAP = "gap"


@attrs.frozen(kw_only=True)
class CommitResult:
    """What became of a batch that is now durable."""

    refused: Mapping[RunId, Refusal] = attrs.field(factory=dict)
    """Runs none of whose events in this batch were taken."""

    unsaved: Mapping[RunId, "RunId | Rejection"] = attrs.field(factory=dict)
    """New runs that were not stored, nor their events: the run that has the idempotency key
    already, or why.
    """

    taken: Sequence[Event] = attrs.field(default=(), eq=False)
    """The events that were stored, in their order."""

    position: int = attrs.field(default=0, eq=False)
    """Position of the first of them; the others follow without gaps."""


class Rejection(StrEnum):
    """Why a new run was not stored."""

    NO_SLOT = "no_slot"
    OTHER_REQUEST = "other_request"
    """Its idempotency key was used for something else."""


class Store(Protocol):
    """Keeps journals durably, with the projections of runs and nodes.

    Open it with ``async with``; leaving closes it. All methods may wait for the disk but never
    block the loop. One caller writes at a time; readers may run beside it, and so may other
    processes.

    A ``limit`` is a whole number from 1 to :data:`MAX_LIMIT`; any other is a ValueError.

    All methods raise :class:`~dagrun.errors.StoreBusy` when another process held the database
    for too long, and :class:`~dagrun.errors.StoreError` when it cannot be used.
    """

    @property
    def place(self) -> str:
        """What people know it by, such as the path of its file."""
        ...

    async def __aenter__(self) -> Self:
        """Open, create or migrate the database.

        Raises:
            StoreCorrupt: the file is damaged, or not dagrun's.
            StoreTooNew: a newer dagrun wrote it.
        """
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def commit(
        self,
        events: Sequence[Event],
        *,
        new_runs: Sequence[NewRun] = (),
        definitions: Sequence[Definition] = (),
    ) -> CommitResult:
        """Write definitions, runs and events in one transaction, and return when it is durable.

        For each run: events whose ``seq`` is already there under the same epoch are dropped;
        those of another epoch than the run's, or that leave a gap, make the store refuse all of
        the run's events in this batch. Other runs are not affected. A definition that is
        already there is left as it is.

        Raises:
            StoreFull: no room. Nothing of the batch was written.
        """
        ...

    async def claim(self, run_id: RunId, *, owner: str, expected_epoch: int) -> RunRecord:
        """Hand a run over to ``owner`` under the next epoch, if its epoch is the expected one.

        Raises:
            NotFound: there is no such run.
            ConflictError: the epoch is another one: somebody else was faster.
        """
        ...

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free or it has one already.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def holders(self, key: str) -> Sequence[RunRecord]:
        """Give the runs that hold slots of a key, the oldest first."""
        ...

    async def rivals(self, run_id: RunId, key: str) -> Sequence[RunRecord]:
        """Give the runs that hold slots of a key, or wait for one and are not newer than one.

        The oldest comes first. The run itself is among them unless it has ended.
        """
        ...

    async def register(self, registration: Registration, definition: Definition) -> bool:
        """Store a version of a workflow. Give False if the same content is there already.

        Raises:
            ConflictError: the version is there with another content.
        """
        ...

    async def registrations(self, workflow_id: str | None = None) -> Sequence[Registration]:
        """Give the versions of a workflow, or of all, by id; newest registration last."""
        ...

    async def log(self, *, after: int, limit: int, run_id: RunId | None = None) -> Sequence[Logged]:
        """Give the events of all runs, or of one, behind a position, in their order.

        It takes about as long for a large journal as for a small one, and for one run no longer
        than that run is.
        """
        ...

    async def last_position(self) -> int:
        """Give the position of the newest event; 0 when there was none."""
        ...

    async def prune(self, *, before: datetime, now: datetime, limit: int) -> Sequence[RunId]:
        """Delete at most ``limit`` runs that ended before a time, the oldest first.

        Their events, nodes, and definitions that nothing else uses go with them. A run stays for
        as long as its idempotency key stands for it, so that the key gives the same run.
        """
        ...

    async def backup(self, target: Path) -> None:
        """Write a whole copy of what is durable now to a file that does not exist.

        Raises:
            StoreError: it cannot be written, or this store cannot be copied.
        """
        ...

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
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunRecord], str | None]:
        """Give runs, newest first, and the cursor of the next page or None."""
        ...

    async def nodes(self, run_id: RunId) -> Sequence[NodeRecord]:
        """Give the nodes and items of a run for which anything was journaled."""
        ...

    async def events(self, run_id: RunId, *, after: int = 0) -> Sequence[Event]:
        """Give a run's journal from the event behind ``after``."""
        ...

    async def definition(self, hash: str) -> Definition:  # noqa: A002 — the column's name
        """Give a stored definition.

        Raises:
            NotFound: there is none of that hash.
        """
        ...
