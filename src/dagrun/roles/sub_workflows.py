"""Runs that belong to other runs, for Python programs."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dagrun.domain.ids import RunId
from dagrun.domain.result import RunResult
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import ConflictError, NodeError
from dagrun.ports.management import RunSummary
from dagrun.ports.store import Parent, RunRecord
from dagrun.roles.children import child_of, depth_below
from dagrun.roles.local import Local
from dagrun.roles.summary import NO_NODE, summary


class SubWorkflows:
    """Starts runs for other runs, and tells of them.

    Args:
        local: this process.
        get_run: tells how a run stands.
    """

    def __init__(self, local: Local, get_run: Callable[[str], Awaitable[RunResult]]) -> None:
        self._local, self._get_run = local, get_run

    async def execute(
        self,
        workflow_id: str,
        version: str | None = None,
        *,
        parent: str,
        inputs: Mapping[str, Any] | None = None,
        priority: int | None = None,
    ) -> RunResult:
        """Start a run for another one, wait for its end, and tell how it went.

        It finds the parent as ``_parent_workflow_id`` and ``_parent_execution_id`` in its inputs,
        and is cancelled with it. Of a parent that has ended it is no child: then only the inputs
        tell of it.

        Args:
            workflow_id: the workflow.
            version: a version or a range such as ``^1.0``; None takes ``^`` of the current one.
            parent: id of the other run.
            inputs: for the run; checked against the workflow's schema.
            priority: None takes the parent's.

        Raises:
            NotFound: there is no such run, workflow or version.
            InputError: the inputs do not fit.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
            ConflictError: the parent is being cancelled, or too many runs are above it.
        """
        found = await self._local.registrations.find_for(None, workflow_id, version)
        while True:
            of = await self._local.store.run(RunId(parent))
            submission = child_of(of, *found, inputs or {}, relation_to(of), priority=priority)
            try:
                ticket = await self._local.submit(submission)
            except ConflictError:
                now = await self._local.store.run(of.run_id)
                if (now.epoch, now.status in RUN_ENDED) == (of.epoch, of.status in RUN_ENDED):
                    raise
            else:
                return await self._local.result(ticket)

    async def status(self, run_id: str) -> RunResult:
        """Tell how a run stands, or how it went.

        Raises:
            NotFound: there is no such run.
        """
        return await self._get_run(run_id)

    async def children(self, parent: str) -> Sequence[RunSummary]:
        """Give the runs that a run, or a program for it, started, the oldest first."""
        records = await self._local.store.children(RunId(parent))
        return [summary(self._local.data_dir, record) for record in records]

    async def cancel_children(self, parent: str) -> Sequence[str]:
        """Cancel all runs that a run started and that have not ended; give their ids.

        Nodes that wait for them fail, with the type ``child_cancelled``.
        """
        left = [run for run in await self.children(parent) if run.status not in RUN_ENDED]
        return [run.run_id for run in left if await self._local.cancel(RunId(run.run_id))]


def relation_to(parent: RunRecord) -> Parent | None:
    """Say how a run belongs to another one for which a client starts it; None if that has ended.

    Raises:
        ConflictError: too many runs are above it.
    """
    if parent.status in RUN_ENDED:
        return None
    try:
        depth = depth_below(parent)
    except NodeError as error:
        raise ConflictError(error.message) from error
    return Parent(
        run_id=parent.run_id,
        epoch=parent.epoch,
        node_id=NO_NODE,
        item=None,
        attempt=secrets.randbits(53),  # so that each call starts one
        depth=depth,
        wait=False,
    )
