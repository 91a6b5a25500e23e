"""How a run went, as the command line, the API and Python programs see it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from dagrun.domain.handlers import PREFIX
from dagrun.domain.jsonvalue import Raw, decode
from dagrun.domain.rules import Verdict, verdict
from dagrun.domain.state import Error, NodeState, RunState, Work
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.errors import RunFailed

_SELDOM: Final = ("reason", "kept_from", "items")
"""What is not written where there is none."""


@attrs.frozen(kw_only=True)
class ItemResult:
    """How an item of a ``for_each`` node went."""

    index: int
    status: NodeStatus
    attempts: int
    error: Error | None
    kept_from: str | None = None
    """The run in which it was done, if it was kept from there; then it has no attempts."""


@attrs.frozen(kw_only=True)
class NodeResult:
    """How a node went."""

    id: str
    status: NodeStatus
    attempts: int
    """Attempts that were started; with ``for_each`` the most that one item needed."""

    started_at: datetime | None
    finished_at: datetime | None
    outputs: Any
    """Decoded JSON; None unless the node succeeded."""

    error: Error | None
    reason: str | None = None
    """Why it was skipped."""

    kept_from: str | None = None
    """The run in which it was done, if it was kept from there; then it has no attempts."""

    items: tuple[ItemResult, ...] | None = None
    """None without ``for_each``."""


@attrs.frozen(kw_only=True)
class RunResult:
    """How a run went so far."""

    run_id: str
    workflow_id: str
    version: str
    status: RunStatus
    outputs: Any
    """Decoded JSON; None unless the run succeeded."""

    error: Error | None
    started_at: datetime | None
    finished_at: datetime | None
    duration: float | None
    """Seconds from the first start to the end; None before the end."""

    rerun_of: str | None = None
    """The run of which this one is run again."""

    nodes: tuple[NodeResult, ...]
    handlers: tuple[NodeResult, ...] | None = None
    """Those that the run's outcome calls for, in their order; None if the workflow has none."""

    def node(self, node_id: str) -> NodeResult:
        """Give how a node went.

        Raises:
            KeyError: the workflow has no such node.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    def raise_for_status(self) -> "RunResult":
        """Give the result itself.

        Raises:
            RunFailed: the run did not succeed.
        """
        if self.status is not RunStatus.SUCCEEDED:
            message = None if self.error is None else self.error["message"]
            raise RunFailed(self.run_id, self.status, message, self)
        return self


def run_result(state: RunState) -> RunResult:
    """Take a picture of a run."""
    workflow = state.plan.workflow
    return RunResult(
        run_id=state.run_id,
        workflow_id=workflow.id,
        version=workflow.version,
        status=state.status,
        outputs=_decoded(state.outputs),
        error=state.error,
        started_at=state.started_at,
        finished_at=state.finished_at,
        duration=_seconds(state.started_at, state.finished_at),
        nodes=tuple(node_result(node, is_in_line=is_in_line(state, node)) for node in state.nodes),
        handlers=tuple(map(node_result, state.due)) if state.handlers else None,
        rerun_of=state.rerun_of,
    )


def node_result(node: NodeState, *, is_in_line: bool = False) -> NodeResult:
    """Take a picture of a node."""
    return NodeResult(
        id=node.step.node.id,
        status=NodeStatus.READY if is_in_line else node.status,
        attempts=_attempts(node),
        started_at=node.started_at,
        finished_at=node.finished_at,
        outputs=_decoded(node.outputs),
        error=node.error,
        reason=node.reason,
        kept_from=node.kept_from,
        items=None if node.step.items is None else _items(node),
    )


def is_in_line(state: RunState, node: NodeState) -> bool:
    """Whether a node may start, and waits for its turn; no event tells of that."""
    pending = state.status is RunStatus.RUNNING and node.status is NodeStatus.PENDING
    return pending and verdict(node) is Verdict.START


def to_json(result: RunResult) -> dict[str, Any]:
    """Give the object that ``dagrun run --json`` prints. Times are RFC 3339, in UTC."""
    fields = attrs.asdict(result, recurse=False, value_serializer=_plain)
    fields["nodes"] = [_node_json(node) for node in result.nodes]
    if result.handlers is None:
        del fields["handlers"]
    else:
        fields["handlers"] = [_handler_json(handler) for handler in result.handlers]
    return fields


def from_json(fields: Mapping[str, Any]) -> RunResult:
    """Read what :func:`to_json` wrote. Names that it does not know are left out.

    Raises:
        ValueError, LookupError, TypeError: it is something else.
    """
    handlers = fields.get("handlers")
    return RunResult(
        run_id=fields["run_id"],
        workflow_id=fields["workflow_id"],
        version=fields["version"],
        status=RunStatus(fields["status"]),
        outputs=fields["outputs"],
        error=fields["error"],
        started_at=_time(fields["started_at"]),
        finished_at=_time(fields["finished_at"]),
        duration=fields["duration"],
        nodes=tuple(map(_node, fields["nodes"])),
        handlers=None if handlers is None else tuple(map(_node, handlers)),
        rerun_of=fields.get("rerun_of"),
    )


def _node(fields: Mapping[str, Any]) -> NodeResult:
    items = fields.get("items")
    return NodeResult(
        id=fields["id"],
        status=NodeStatus(fields["status"]),
        attempts=fields["attempts"],
        started_at=_time(fields["started_at"]),
        finished_at=_time(fields["finished_at"]),
        outputs=fields["outputs"],
        error=fields["error"],
        reason=fields.get("reason"),
        kept_from=fields.get("kept_from"),
        items=None if items is None else tuple(map(_item_of, items)),
    )


def _item_of(fields: Mapping[str, Any]) -> ItemResult:
    return ItemResult(
        index=fields["index"],
        status=NodeStatus(fields["status"]),
        attempts=fields["attempts"],
        error=fields["error"],
        kept_from=fields.get("kept_from"),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _handler_json(handler: NodeResult) -> dict[str, Any]:
    return {"event": handler.id.removeprefix(PREFIX), **_node_json(handler)}


def _node_json(node: NodeResult) -> dict[str, Any]:
    fields = _without(attrs.asdict(node, recurse=False, value_serializer=_plain), _SELDOM)
    if node.items is not None:
        fields["items"] = [
            _without(attrs.asdict(item, value_serializer=_plain), _SELDOM) for item in node.items
        ]
    return fields


def _without(fields: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Leave out some fields that are None."""
    return {name: value for name, value in fields.items() if value is not None or name not in names}


def _plain(_instance: Any, _attribute: Any, value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


def rfc3339(time: datetime) -> str:
    """Write a UTC time with microseconds and a ``Z``."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _items(node: NodeState) -> tuple[ItemResult, ...]:
    return tuple(
        _item(index, node.items.get(index), node) for index in range(len(node.values or ()))
    )


def _unstarted(node: NodeState, item: Work | None) -> NodeStatus:
    """Give the state of an item that has made no attempt."""
    if node.status is NodeStatus.CANCELLED:
        return NodeStatus.CANCELLED
    if node.ended:
        return NodeStatus.SKIPPED
    return NodeStatus.PENDING if item is None else NodeStatus.READY


def _item(index: int, item: Work | None, node: NodeState) -> ItemResult:
    if item is None or item.status is NodeStatus.PENDING:
        return ItemResult(index=index, status=_unstarted(node, item), attempts=0, error=None)
    return ItemResult(
        index=index,
        status=item.status,
        attempts=item.attempt,
        error=item.error,
        kept_from=item.kept_from,
    )


def _attempts(node: NodeState) -> int:
    return max((item.attempt for item in node.items.values()), default=node.attempt)


def _decoded(outputs: Raw | None) -> Any:
    return None if outputs is None else decode(outputs)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max((end - start).total_seconds(), 0.0)
