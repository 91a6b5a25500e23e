"""Child runs, in the process that has their parent."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from dagrun.domain.children import DEPTH
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode
from dagrun.domain.schema import check_inputs
from dagrun.domain.workflow import Workflow
from dagrun.errors import (
    ConfigError,
    ConflictError,
    DefinitionError,
    InputError,
    LimitReached,
    NodeError,
    NotFound,
)
from dagrun.ports.children import Child, ChildRequest
from dagrun.ports.patience import patiently
from dagrun.ports.store import Parent, RunRecord, Store
from dagrun.roles.registrations import Registrations
from dagrun.roles.submission import Submission

OURS: Final = ("_trigger_", "_http_", "_parent_")
"""What the names of inputs begin with that dagrun adds, and that a child does not inherit."""


_ERRORS: Final = (LimitReached, InputError, NotFound, ConfigError, DefinitionError, ConflictError)
"""Why a child is not started."""


class Submits(Protocol):
    """Accepts runs."""

    async def submit_child(self, submission: Submission) -> RunId:
        """Store a run that another one waits for, or give the one that was stored before."""
        ...

    async def attach_child(self, run_id: RunId) -> None:
        """Let a run go on that was stored before, if it was cut off."""
        ...


class StoredChildren:
    """Implements :class:`~dagrun.ports.children.Children` where runs are accepted.

    Args:
        store: an open store.
        registrations: finds workflows.
    """

    def __init__(self, store: Store, registrations: Registrations) -> None:
        self._store, self._registrations = store, registrations
        self.runs: Submits
        """Set before the first call."""

    async def start(self, request: ChildRequest) -> Child:
        """Start a child, or give the one that was started before; see the port.

        Waits while the store has no room, or is held by another process: a child is started once,
        however often that is tried.
        """
        return await patiently(partial(self._started, request))

    async def _started(self, request: ChildRequest) -> Child:
        parent = await self._store.run(request.parent)
        if parent.epoch != request.epoch:
            raise ConflictError(f"run {request.parent} was handed over")
        if request.epoch > 1 and (earlier := await self._earlier(request)) is not None:
            return await self._again(earlier)
        try:
            return await self._start(request, parent)
        except _ERRORS as error:
            # Asked for again, it was started whatever would be said of it now.
            if (earlier := await self._earlier(request)) is not None:
                return await self._again(earlier)
            raise _node_error(error) from error

    async def _earlier(self, request: ChildRequest) -> RunRecord | None:
        """Give the child that this very attempt started before."""
        place = request.parent, request.node_id, request.item, request.attempt
        return await self._store.child(*place)

    async def _again(self, earlier: RunRecord) -> Child:
        await self.runs.attach_child(earlier.run_id)
        return Child(run_id=earlier.run_id, version=earlier.version)

    async def _start(self, request: ChildRequest, parent: RunRecord) -> Child:
        depth = depth_below(parent)
        workflow, base = await self._registrations.find_for(
            parent, request.workflow_id, request.version
        )
        submission = child_of(
            parent,
            workflow,
            base,
            decode(request.inputs),
            Parent(
                run_id=request.parent,
                epoch=request.epoch,
                node_id=request.node_id,
                item=request.item,
                attempt=request.attempt,
                depth=depth,
                wait=request.wait,
            ),
            held=await self._held(parent) if request.wait else frozenset(),
        )
        run_id = await self.runs.submit_child(submission)
        return Child(run_id=run_id, version=(await self._store.run(run_id)).version)

    async def _held(self, run: RunRecord) -> frozenset[str]:
        """Give the keys of which a run, and those that wait for it, have slots."""
        keys = set()
        while True:
            if run.slot_key is not None:
                keys.add(run.slot_key)
            if run.parent is None or not run.parent.wait:
                return frozenset(keys)
            run = await self._store.run(run.parent.run_id)


def _node_error(error: Exception) -> NodeError:
    """Say why a child cannot be started."""
    match error:
        case LimitReached():
            return NodeError("limit_reached", str(error))
        case InputError(problems=problems):
            return NodeError("inputs", "; ".join(map(str, problems)), retryable=False)
        case ConflictError():
            return NodeError("workflow", str(error))
        case _:
            return NodeError("workflow", str(error), retryable=False)


def depth_below(parent: RunRecord) -> int:
    """Give the depth of a child.

    Raises:
        NodeError: it is too deep.
    """
    depth = 1 if parent.parent is None else parent.parent.depth + 1
    if depth > DEPTH:
        message = f"{DEPTH} runs are above this one, and there may be no more"
        raise NodeError("workflow", message, retryable=False)
    return depth


def child_of(
    parent: RunRecord,
    workflow: Workflow,
    base: Path | None,
    inputs: Mapping[str, Any],
    relation: Parent | None,
    *,
    held: frozenset[str] = frozenset(),
    priority: int | None = None,
) -> Submission:
    """Say what is to be run for another run.

    Args:
        parent: the other run.
        workflow: what is to be run.
        base: the folder of its document.
        inputs: what the child is given; those that dagrun added for the parent are left out.
        relation: how the child belongs to the parent; None if it does not any more.
        held: see :class:`~dagrun.roles.submission.Submission`.
        priority: None takes the parent's.

    Raises:
        InputError: the inputs do not fit.
    """
    given = {name: value for name, value in inputs.items() if not name.startswith(OURS)}
    added = {"_parent_workflow_id": parent.workflow_id, "_parent_execution_id": parent.run_id}
    return Submission(
        workflow=workflow,
        inputs={**check_inputs(workflow.inputs, given), **added},
        base=base,
        priority=parent.priority if priority is None else priority,
        parent=relation,
        held=held,
    )
