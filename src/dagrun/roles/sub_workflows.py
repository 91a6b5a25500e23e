"""Runs that belong to other runs, for Python programs."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dagrun.domain.ids import RunId
from dagrun.domain.result import RunResult
from dagrun.domain.status import RUN_ENDED
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConflictError, NodeError
from dagrun.ports.management import Registered, RunSummary
from dagrun.ports.store import Parent, RunRecord
from dagrun.roles.children import child_of, depth_below
from dagrun.roles.local import Local
from dagrun.roles.summary import NO_NODE, summary
from dagrun.roles.wanted import HasRunId, inputs_of, run_of, workflow_of


class SubWorkflows:
    """Starts runs for other runs, and tells of them.

    Args:
        local: this process.
        get_run: tells how a run stands.
    """

    def __init__(
        self, local: Local, get_run: Callable[[str | HasRunId], Awaitable[RunResult]]
    ) -> None:
        self._local, self._get_run = local, get_run

    async def execute(
        self,
        workflow: str | Workflow | Registered,
        version: str | None = None,
        *,
        parent: str | HasRunId,
        inputs: Mapping[str, Any] | None = None,
        priority: int | None = None,
    ) -> RunResult:
        """Start a run for another one, wait for its end, and tell how it went.

        It finds the parent as ``_parent_workflow_id`` and ``_parent_execution_id`` in its inputs,
        and is cancelled with it. Of a parent that has ended it is no child: then only the inputs
        tell of it.

        Args:
            workflow: the workflow, or its id.
            version: a version or a range such as ``^1.0``; None takes that of a workflow, and ``^``
                of the current one of an id.
            parent: the other run, or its id.
            inputs: for the run; checked against the workflow's schema.
            priority: None takes the parent's.

        Raises:
            NotFound: there is no such run, workflow or version.
            InputError: the inputs do not fit.
            LimitReached: the workflow's concurrency limit has no room, and it says ``reject``.
            ConflictError: the parent is being cancelled, or too many runs are above it.
            TypeError: the inputs are no mapping, or this is no workflow or no run.
        """
        found = await self._local.registrations.find_for(None, *workflow_of(workflow, version))
        given, parent_id = inputs_of(inputs), run_of(parent)
        while True:
            of = await self._local.store.run(parent_id)
            submission = child_of(of, *found, given, relation_to(of), priority=priority)
            try:
                ticket = await self._local.submit(submission)
            except ConflictError:
                now = await self._local.store.run(of.run_id)
                if (now.epoch, now.status in RUN_ENDED) == (of.epoch, of.status in RUN_ENDED):
                    raise
            else:
                return await self._local.result(ticket)

    async def status(self, run_id: str | HasRunId) -> RunResult:
        """Tell how a run stands, or how it went.

        Raises:
            NotFound: there is no such run.
        """
        return await self._get_run(run_id)

    async def children(self, parent: str | HasRunId) -> Sequence[RunSummary]:
        """Give the runs that a run, or a program for it, started, the oldest first.

        Raises:
            NotFound: there is no such run.
        """
        known = await self._local.store.run(run_of(parent))
        records = await self._local.store.children(known.run_id)
        return [summary(self._local.data_dir, record) for record in records]

    async def cancel_children(self, parent: str | HasRunId) -> Sequence[str]:
        """Cancel all runs that a run started and that have not ended; give their ids.

        Nodes that wait for them fail, with the type ``child_cancelled``.

        Raises:
            NotFound: there is no such run.
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
