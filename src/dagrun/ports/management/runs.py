"""What can be asked of the runs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from dagrun.domain.events import Event
from dagrun.domain.result import RunResult
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.ports.management.lists import Page
from dagrun.ports.management.run_views import (
    Change,
    ChildRun,
    Explanation,
    LogPiece,
    RunSummary,
    RunView,
)


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
        top_level: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Give runs, newest first.

        Args:
            workflow_id: only those of this workflow.
            status: only those in this state.
            cut_off: only those that have not ended, and whose processes have.
            top_level: only those without a parent.
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
