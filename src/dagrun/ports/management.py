"""What can be asked of runs and workflows, wherever the answer comes from.

The orchestrator's process implements it, a client in another process for a server that answers in
the same way, and who looks into a data directory beside the processes that use it. All methods raise
:class:`~dagrun.errors.StoreError` when the database cannot be used; those of a client in another
process also :class:`~dagrun.errors.Unreachable`, when the server does not answer, and
:class:`~dagrun.errors.AccessError`, when it does not let the caller in. What needs a running
orchestrator is a :class:`~dagrun.errors.ConfigError` of a data directory.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from dagrun.domain.events import Event
from dagrun.domain.monitoring import MonitorEvent, Severity
from dagrun.domain.result import RunResult
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import Problem
from dagrun.ports.engine import EngineView

T = TypeVar("T")

MOST: Final = 1000
"""Most things that a list gives at once. A limit is a number from 1 to this; any other is an
:class:`~dagrun.errors.InputError`."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """A part of a list."""

    items: Sequence[T]
    next: str | None = None
    """What to give as the cursor for the next part; None at the end."""


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


@attrs.frozen(kw_only=True)
class RunSummary:
    """A run in a list, with the names of ``runs list --json``."""

    run_id: str
    workflow_id: str
    version: str
    status: RunStatus
    resumable: bool
    """Whether it was cut off: it has not ended, and its process has."""

    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: Mapping[str, str] | None
    """``{type, message}``."""

    rerun_of: str | None = None
    """The run of which it is run again; that one may have been pruned."""


@attrs.frozen(kw_only=True)
class RunView:
    """How a run stands, or how it went."""

    result: RunResult
    inputs: Mapping[str, Any]
    resumable: bool
    """Whether it was cut off: it has not ended, and its process has."""


@attrs.frozen(kw_only=True)
class ChildRun:
    """A run that another one started, or that was started for another one."""

    run: RunSummary
    parent_run_id: str
    node_id: str | None
    """The parent's node that started it; None if a client did."""

    item: int | None
    """Index of the ``for_each`` item that it is for."""

    attempt: int | None
    """Number of the node's attempt, from 1; None without a node."""

    depth: int
    """How many runs are above it, from 1."""


@attrs.frozen(kw_only=True)
class Change:
    """What came of a request to change a run."""

    run_id: str
    changed: bool
    """False if it stood so before, or has ended."""

    status: RunStatus
    """How the run stands now. What was asked for may only come: an engine does it."""


@attrs.frozen(kw_only=True)
class Explanation:
    """Why a run stands where it stands."""

    run_id: str
    status: RunStatus
    reasons: Sequence[str]
    """Sentences for people, from the run to its nodes."""


@attrs.frozen(kw_only=True)
class LogPiece:
    """A piece of what an attempt wrote."""

    node_id: str
    item: int | None
    attempt: int
    text: str


@attrs.frozen(kw_only=True)
class EventPage:
    """Some events, oldest first."""

    items: Sequence[MonitorEvent]
    position: str
    """Behind what events come that are newer than all that was looked at: an ``after``."""


@attrs.frozen(kw_only=True)
class Wanted:
    """Which events somebody wants; empty and None want all."""

    min_severity: Severity = Severity.INFO
    types: Collection[str] = ()
    """Whole types, such as ``run.failed``, or what stands before the dot."""

    run_id: str | None = None
    workflow_id: str | None = None


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


class RunManagement(Protocol):
    """The runs."""

    async def start(
        self,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunSummary:
        """Accept a run of a registered workflow. It is durable when this returns.

        Args:
            workflow_id: the workflow.
            inputs: for the run; checked against the workflow's schema.
            version: None takes the current one.
            priority: None takes the workflow's; higher goes first.
            idempotency_key: calls with the same key, within 24 hours, are one run.

        Raises:
            NotFound: there is no such workflow or version.
            InputError: the inputs do not fit.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
            ConflictError: the idempotency key was used with other inputs.
        """
        ...

    async def retry(
        self, run_id: str, *, priority: int | None = None, idempotency_key: str | None = None
    ) -> RunSummary:
        """Accept a run that does once more what another one, which has ended, did not bring off.

        It is of the same content of the workflow and has the same inputs, and keeps the nodes that
        succeeded, unless they depend on one that did not. It is durable when this returns.

        Args:
            run_id: the other run, which stays as it is.
            priority: None takes that of the other run; higher goes first.
            idempotency_key: as for :meth:`start`.

        Raises:
            NotFound: there is no such run.
            ConflictError: it has succeeded, or has not ended; or the idempotency key was used for
                something else.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
        """
        ...

    async def rerun(
        self,
        run_id: str,
        *,
        from_node: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
    ) -> RunSummary:
        """Accept a run that does what another one did, which has ended, once more.

        Args:
            run_id: the other run, which stays as it is.
            from_node: the node with which to begin: it and all that depends on it runs once more,
                and what failed elsewhere; the rest is kept. None runs all.
            priority: None takes that of the other run; higher goes first.
            idempotency_key: as for :meth:`start`.

        Raises:
            NotFound: there is no such run, or it has no such node.
            ConflictError: it has not ended; or the idempotency key was used for something else.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
        """
        ...

    async def get(self, run_id: str) -> RunView:
        """Tell how a run stands, or how it went, as far as that is durable.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def wait(self, run_id: str) -> RunResult:
        """Wait for the end of a run, and tell how it went; raises as :meth:`get`."""
        ...

    async def list(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        cut_off: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Give runs, newest first.

        Args:
            workflow_id: only those of this workflow.
            status: only those in this state.
            cut_off: only those that have not ended, and whose processes have.
            limit: most that are given.
            cursor: what the page before this one gave as ``next``.
        """
        ...

    async def cancel(self, run_id: str) -> Change:
        """Cancel a run; its children, too. Returns when the request is durable.

        Raises:
            NotFound: there is no such run.
            RemoteError: it is a run of another process, which does not answer.
        """
        ...

    async def pause(self, run_id: str) -> Change:
        """Start nothing more of a run; raises as :meth:`cancel`.

        Raises:
            ConflictError: it is a run of another process, which has ended.
        """
        ...

    async def resume(self, run_id: str) -> Change:
        """Go on with a paused run; raises as :meth:`pause`."""
        ...

    async def explain(self, run_id: str) -> Explanation:
        """Say why a run stands where it stands.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def start_child(
        self,
        parent_run_id: str,
        workflow_id: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
        priority: int | None = None,
    ) -> RunSummary:
        """Accept a run for another one. It is cancelled with that, unless that has ended.

        Args:
            parent_run_id: the other run.
            workflow_id: the workflow.
            inputs: for the run.
            version: a version, or a range such as ``^1.0``; None takes ``^`` of the current one.
            priority: None takes the parent's.

        Raises:
            NotFound: there is no such run, workflow or version.
            InputError: the inputs do not fit.
            ConflictError: the parent is being cancelled, or too many runs are above it.
        """
        ...

    async def children(self, run_id: str) -> Sequence[ChildRun]:
        """Give the runs that a run started, or that were started for it, the oldest first.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def child(self, run_id: str) -> ChildRun:
        """Tell how a child run stands.

        Raises:
            NotFound: there is no such run, or no other run started it.
        """
        ...

    def journal(
        self, run_id: str, *, after: int = 0, follow: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[Event]]]:
        """Read the journal of a run, in an ``async with`` block.

        Args:
            run_id: the run.
            after: begin behind this event; those of before are not sent.
            follow: go on until the run or its process has ended; else stop at what there is.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def workflow_of(self, run_id: str) -> Workflow:
        """Give the workflow of a run as it was when the run was accepted.

        Raises:
            NotFound: there is no such run.
        """
        ...

    def logs(
        self,
        run_id: str,
        *,
        node_id: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        follow: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[LogPiece]]:
        """Read what the nodes of a run wrote, in an ``async with`` block.

        Args:
            run_id: the run.
            node_id: only the logs of this node; None for all.
            item: only those of this item.
            attempt: only those of this attempt.
            follow: go on until the run or its process has ended.

        Raises:
            NotFound: there is no such run or node; or, if not followed at once and else at the end,
                no such item or attempt.
        """
        ...


class EventManagement(Protocol):
    """What happens in all runs, and to the orchestrator."""

    async def list(
        self, wanted: Wanted, *, after: str | None = None, limit: int = 100
    ) -> EventPage:
        """Give the newest events; or, with ``after``, the first ones behind that one.

        Raises:
            InputError: the limit or the event's id is none.
        """
        ...

    def follow(
        self, wanted: Wanted, *, after: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[MonitorEvent]]:
        """Get events as they happen, in an ``async with`` block; see the monitor's ``subscribe``.

        Args:
            wanted: which.
            after: those behind this one come first; None begins with what happens from now on.

        Raises:
            InputError: the event's id is none.
        """
        ...


class EngineManagement(Protocol):
    """The engines."""

    async def list(self) -> Sequence[EngineView]:
        """Give the engines, by id."""
        ...

    async def drain(self, engine_id: str, *, on: bool) -> EngineView:
        """Let an engine take no more runs, or take some again. Those that it has go on.

        Raises:
            NotFound: there is no such engine, or it is not connected.
        """
        ...


class Management(Protocol):
    """All of it."""

    @property
    def workflows(self) -> WorkflowManagement:
        """The registered workflows."""
        ...

    @property
    def runs(self) -> RunManagement:
        """The runs."""
        ...

    @property
    def events(self) -> EventManagement:
        """What happens."""
        ...

    @property
    def engines(self) -> EngineManagement:
        """The engines."""
        ...
