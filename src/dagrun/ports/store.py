"""Where journal and definitions live."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.ports.tokens import Tokens

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

    parent: "Parent | None" = None
    """For whom it runs; None for a run that no other one started."""

    rerun_of: RunId | None = None
    """The run of which it is run again."""


@attrs.frozen(kw_only=True)
class Parent:
    """What started a child run. There is one child for each run, node, item and attempt."""

    run_id: RunId
    epoch: int
    """The parent's, when it asked. The child is not stored under another one, nor when the parent
    has ended or is being cancelled, or has a message that cancels it."""

    node_id: str
    item: int | None
    attempt: int
    depth: int
    """How many runs are above the child; 1 for a child of a run that has no parent."""

    wait: bool = True
    """Whether the parent is told when the child ends."""


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

    engine_id: str | None = None
    """The engine to which it is assigned; None when it is with no engine, or with one of the
    process that owns it."""

    instance: str | None = None
    """Which life of that engine."""

    parent: Parent | None = None
    rerun_of: RunId | None = None
    """The run of which it is run again; that one may have been pruned."""


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


class MessageKind(StrEnum):
    """What is posted to a run."""

    CANCEL = "cancel"
    """``data``: ``reason``."""

    PAUSE = "pause"
    RESUME = "resume"
    CHILD_ENDED = "child_ended"
    """``data``: ``node_id``, ``item``, ``attempt``, ``run_id`` of the child, ``status``, and
    ``outputs`` (Raw) or ``error`` of its end."""


@attrs.frozen(kw_only=True)
class Message:
    """Something that was posted to a run, and waits until whoever executes the run takes it up."""

    number: int
    """Grows by one with each message of a run, from 1."""

    kind: MessageKind
    data: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Posted:
    """A message, and to whom it was posted."""

    run_id: RunId
    message: Message


@attrs.frozen(kw_only=True)
class Taken:
    """A message that whoever executes a run has taken up. It is deleted with the commit."""

    run_id: RunId
    epoch: int
    number: int


@attrs.frozen(kw_only=True)
class Assignment:
    """Which engine executes a run from now on, or that none does."""

    run_id: RunId
    epoch: int
    """The run's; another one is refused."""

    engine_id: str | None
    instance: str | None
    seen: int | None = None
    """Refuse this if there is a newer message than this one; None accepts any."""


class Refusal(StrEnum):
    """Why the events of a run, or its assignment, were not taken."""

    UNKNOWN_RUN = "unknown_run"
    STALE_EPOCH = "stale_epoch"
    GAP = "gap"
    UNSEEN = "unseen"
    """There is a message that must be taken up first: a request to cancel before the end of the
    run, or any before it is given back."""

    ENDED = "ended"
    """An assignment of a run that has ended."""


@attrs.frozen(kw_only=True)
class CommitResult:
    """What became of a batch that is now durable."""

    refused: Mapping[RunId, Refusal] = attrs.field(factory=dict)
    """Runs none of whose events in this batch were taken; but those before a refused end were, see
    :attr:`Refusal.UNSEEN`."""

    unsaved: Mapping[RunId, "RunId | Rejection"] = attrs.field(factory=dict)
    """New runs that were not stored, nor their events: the run that has the idempotency key
    already, or why.
    """

    taken: Sequence[Event] = attrs.field(default=(), eq=False)
    """The events that were stored, in their order."""

    position: int = attrs.field(default=0, eq=False)
    """Position of the first of them; the others follow without gaps."""

    unassigned: Mapping[RunId, Refusal] = attrs.field(factory=dict)
    """Assignments that were refused. The run's events in this batch are not affected."""

    posted: Sequence[Posted] = attrs.field(default=(), eq=False)
    """Messages that this commit posted: a child's end to its parent, and a request to cancel to
    the children of a run that is being cancelled."""


class Rejection(StrEnum):
    """Why a new run was not stored."""

    NO_SLOT = "no_slot"
    OTHER_REQUEST = "other_request"
    """Its idempotency key was used for something else."""

    ORPHAN = "orphan"
    """Its parent has ended, is being cancelled, or goes on under another epoch."""


class Store(Tokens, Protocol):
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
        taken: Sequence[Taken] = (),
        assignments: Sequence[Assignment] = (),
    ) -> CommitResult:
        """Write all of it in one transaction, and return when it is durable.

        For each run: events whose ``seq`` is already there under the same epoch are dropped;
        those of another epoch than the run's, or that leave a gap, make the store refuse all of
        the run's events in this batch. Other runs are not affected. A definition that is
        already there is left as it is.

        Messages that were taken up are deleted if their epoch is the run's; that is done before
        the run's events are looked at. They stay if these are refused: what they brought about is
        not stored. Events that decide on a run's end or end it, other than ``run.cancelled``, are
        refused (``UNSEEN``), with all that follow them, while a request to cancel the run is there
        that was not taken up, unless it is being cancelled anyway; those before them are taken, and
        the messages stay. The assignments come last. The end of a run deletes its messages, and its
        assignment.

        A child's end is posted to its parent, if that waits for it and has not ended. A
        ``run.cancelling`` is posted to all children of the run that have not ended, and to theirs.
        A new run with a parent is the earlier one if there is one for the same run, node, item and
        attempt.

        Raises:
            StoreFull: no room. Nothing of the batch was written.
        """
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

    async def post(
        self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any] | None = None
    ) -> Sequence[Posted]:
        """Post something to a run; it is durable then. Give nothing if the run has ended.

        A request to cancel is posted to all its descendants that have not ended, too. One that is
        posted already is not posted again: it gives nothing, as for a run that is being cancelled,
        or ends already while its handlers run.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def messages(self, run_id: RunId) -> Sequence[Message]:
        """Give what was posted to a run and not taken up yet, in order."""
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

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free or it has one already.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def standing(self, run: NewRun) -> "RunId | Rejection | None":
        """Give the run that the idempotency key of a new run stands for, and store nothing.

        None says that it stands for none, and :attr:`Rejection.OTHER_REQUEST` that it was used for
        something else.
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

    async def unregister(self, workflow_id: str, versions: Collection[str]) -> Sequence[str]:
        """Delete versions of a workflow; give those that were there. Runs keep what they run."""
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
