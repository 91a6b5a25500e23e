"""Says what is illegal in a run's journal.

It shares no code with the fold, so that a mistake there does not hide itself here.
"""

from collections.abc import Sequence
from typing import Final

import attrs

from dagrun.domain.events import Event, Type
from dagrun.domain.workflow import Node, TriggerRule, Workflow

RUN_ENDS: Final = frozenset({Type.RUN_SUCCEEDED, Type.RUN_FAILED, Type.RUN_CANCELLED})
NODE_ENDS: Final = frozenset(
    {Type.NODE_SUCCEEDED, Type.NODE_FAILED, Type.NODE_SKIPPED, Type.NODE_CANCELLED}
)
_KEPT: Final = frozenset(
    {Type.NODE_READY, Type.NODE_SUCCEEDED, Type.NODE_FAILED, Type.NODE_SKIPPED}
)
"""What a run may know from the one of which it is run again."""
_HANDLERS: Final = {"succeeded": "success", "failed": "failure", "cancelled": "cancelled"}
"""Status of a run that ends → its own handler."""

_Key = tuple[str, int | None]


def check(workflow: Workflow, events: Sequence[Event]) -> list[str]:
    """Give every violation in the journal of one run, which need not have ended.

    Args:
        workflow: what the run executes.
        events: the journal, from its first event, as a store gives it.
    """
    handlers = frozenset(map(str, workflow.handlers))
    return _Checker({node.id: node for node in workflow.nodes}, handlers).check(events)


@attrs.define(eq=False)
class _Part:
    """What the journal has said of a node or an item so far."""

    attempt: int = 0
    epoch: int = 0
    """Of the last start."""

    running: bool = False
    child: str | None = None
    """The run that it waits for; it is running all the same."""

    failed: bool = False
    """Whether the last attempt failed, and another one may follow."""

    end: Type | None = None
    kept: bool = False
    """Whether all that is known of it was done in another run."""


@attrs.define(eq=False)
class _Checker:
    nodes: dict[str, Node]
    handlers: frozenset[str]
    parts: dict[_Key, _Part] = attrs.field(factory=dict)
    problems: list[str] = attrs.field(factory=list)
    seq: int = 0
    epoch: int = 0
    status: Type | None = None
    started: bool = False
    rerun_of: str | None = None
    outcome: str | None = None
    """What the run comes to, once that was decided for the sake of handlers."""

    turns: list[str] = attrs.field(factory=list)
    """Handlers that are to run, in order."""

    def check(self, events: Sequence[Event]) -> list[str]:
        for event in events:
            self._position(event)
            if self.status in RUN_ENDS:
                self._say(event, f"follows the end of the run ({self.status})")
            elif event.node_id is None:
                self._run(event)
            else:
                self._node(event)
        return self.problems

    def _say(self, event: Event, what: str) -> None:
        names = (event.node_id, event.item)
        place = "/".join(str(name) for name in names if name is not None)
        subject = f"{event.type} of {place}" if place else str(event.type)
        self.problems.append(f"event {event.seq}: {subject} {what}")

    def _position(self, event: Event) -> None:
        if event.seq != self.seq + 1:
            self._say(event, f"should have seq {self.seq + 1}")
        if event.epoch < self.epoch:
            self._say(event, f"goes back from epoch {self.epoch} to {event.epoch}")
        if event.epoch > self.epoch > 0 and event.node_id is not None:
            self._say(event, f"begins epoch {event.epoch}, which an event of the run must do")
        self.seq, self.epoch = event.seq, max(self.epoch, event.epoch)

    def _run(self, event: Event) -> None:
        kind, before = event.type, self.status
        requeued = before is Type.RUN_PAUSED and kind is Type.RUN_QUEUED
        if (before is None) != (kind is Type.RUN_QUEUED) and not requeued:
            self._say(event, "is not how a journal begins" if before is None else "comes again")
        if before is Type.RUN_CANCELLING and kind in (Type.RUN_RUNNING, Type.RUN_PAUSED):
            self._say(event, "follows a cancellation")
        if before is Type.RUN_ENDING and kind not in RUN_ENDS | {Type.RUN_ENDING}:
            self._say(event, "follows the decision about the end")
        if before is None:
            self.rerun_of = (event.data or {}).get("rerun_of")
        if kind is Type.RUN_ENDING:
            self._ending(event)
        elif kind in RUN_ENDS:
            self._run_end(event)
        self.started = self.started or kind is Type.RUN_RUNNING
        self.status = kind

    def _ending(self, event: Event) -> None:
        status = (event.data or {}).get("status")
        if (status is None) != (self.outcome is not None):
            self._say(event, "decides twice" if status else "decides nothing")
        elif status is not None:
            if self.status is Type.RUN_PAUSED:
                self._say(event, "comes while the run is paused")
            self._graph_end(event, Type(f"run.{status}"))
            self.outcome = status
            self.turns = self._due(status)

    def _due(self, status: str) -> list[str]:
        wanted = (_HANDLERS[status], "exit")
        return [f"handler:{name}" for name in wanted if name in self.handlers and self.started]

    def _run_end(self, event: Event) -> None:
        if self.outcome is None:
            self._graph_end(event, event.type)
            if self._due(event.type.removeprefix("run.")):
                self._say(event, "comes without handlers")
            return
        if event.type != f"run.{self.outcome}":
            self._say(event, f"is not what was decided ({self.outcome})")
        for handler in self.turns:
            self._say(event, f"comes before the end of {handler}")

    def _graph_end(self, event: Event, kind: Type) -> None:
        cancelling = self.status is Type.RUN_CANCELLING
        if kind is Type.RUN_CANCELLED and not cancelling:
            self._say(event, "follows no cancellation")
        if kind is Type.RUN_SUCCEEDED and cancelling:
            self._say(event, "follows a cancellation")
        for (node_id, item), part in self.parts.items():
            if part.child or (part.running and part.epoch == self.epoch):
                self._say(event, f"comes while {name_of(node_id, item)} is running")
        if not cancelling:
            for node_id in self.nodes:
                if self._end_of(node_id) is None:
                    self._say(event, f"comes before the end of {node_id}")
        if kind is Type.RUN_SUCCEEDED and any(map(self._counts_as_failed, self.nodes)):
            self._say(event, "hides a failed node")

    def _node(self, event: Event) -> None:
        if event.node_id in {f"handler:{name}" for name in self.handlers}:
            self._handler(event)
            return
        if self.outcome is not None:
            self._say(event, "follows the end of the graph")
        node = self.nodes.get(event.node_id or "")
        if node is None:
            self._say(event, "names no node of the workflow")
            return
        part = self.parts.setdefault((node.id, event.item), _Part())
        if part.end is not None:
            self._say(event, f"follows its end ({part.end})")
            return
        if event.item is not None and self._end_of(node.id) is not None:
            self._say(event, "follows the end of its node")
        if "kept_from" in (event.data or {}):
            self._keep(event, node, part)
        if event.type is Type.NODE_RUNNING:
            self._start(event, node, part)
        elif event.type is Type.NODE_READY:
            self._allowed(event, node)
        elif event.type is Type.NODE_WAITING:
            self._wait(event, part)
        elif event.type is Type.NODE_RETRYING:
            self._retry(event, node, part)
        elif event.type in NODE_ENDS:
            self._end(event, node, part)

    def _handler(self, event: Event) -> None:
        if event.node_id not in self.turns[:1]:
            self._say(event, "comes when it is not its turn")
            return
        part = self.parts.setdefault((event.node_id, None), _Part())
        if event.type is Type.NODE_RUNNING:
            if part.running and event.epoch == part.epoch:
                self._say(event, "starts while it is running")
            if event.attempt != 1:
                self._say(event, f"is attempt {event.attempt}, and a handler has one")
            part.running, part.epoch = True, event.epoch
        elif event.type in (Type.NODE_SUCCEEDED, Type.NODE_FAILED):
            self._was_running(event, part)
            self.turns.pop(0)
        else:
            self._say(event, "does not happen to a handler")

    def _keep(self, event: Event, node: Node, part: _Part) -> None:
        if self.rerun_of is None:
            self._say(event, "is kept, and no run is run again")
        if self.status is not Type.RUN_QUEUED or self.started:
            self._say(event, "is kept after the run has begun")
        if event.type not in _KEPT or event.attempt is not None:
            self._say(event, "is nothing to be kept")
        if event.type is not Type.NODE_SKIPPED:
            self._allowed(event, node)
        if event.type is Type.NODE_FAILED and event.item is None and not node.allow_failure:
            self._say(event, "keeps a failure that is not allowed")
        for dependency in node.dependencies:
            if not self.parts.get((dependency, None), _Part()).kept:
                self._say(event, f"is kept, and {dependency} is not")
        part.kept = event.type in NODE_ENDS

    def _start(self, event: Event, node: Node, part: _Part) -> None:
        if self.status is not Type.RUN_RUNNING:
            self._say(event, f"starts while the run is at {self.status}")
        self._allowed(event, node)
        again = part.running and event.epoch > part.epoch and part.child is None
        if part.running and not again:
            self._say(event, f"starts while attempt {part.attempt} is running")
        expected = part.attempt + (not again)
        if event.attempt != expected:
            self._say(event, f"is attempt {event.attempt}, and should be {expected}")
        if part.attempt and not again and not part.failed:
            self._say(event, "is another attempt without a journaled failure")
        part.running, part.failed = True, False
        part.attempt, part.epoch = event.attempt or 0, event.epoch

    def _wait(self, event: Event, part: _Part) -> None:
        self._was_running(event, part)
        if part.child is not None:
            self._say(event, f"comes while run {part.child} is waited for")
        if part.epoch != event.epoch:
            self._say(event, f"is of an attempt under epoch {part.epoch}")
        part.child = (event.data or {}).get("child")
        if part.child is None:
            self._say(event, "names no child")

    def _retry(self, event: Event, node: Node, part: _Part) -> None:
        self._was_running(event, part)
        if part.attempt >= node.retry.max_attempts:
            self._say(event, f"goes beyond {node.retry.max_attempts} attempts")
        part.running, part.failed, part.child = False, True, None

    def _end(self, event: Event, node: Node, part: _Part) -> None:
        stands_for_items = node.for_each is not None and event.item is None
        if event.type is Type.NODE_SUCCEEDED and not stands_for_items and not part.kept:
            self._was_running(event, part)
        if event.type is Type.NODE_CANCELLED and self.status is not Type.RUN_CANCELLING:
            self._say(event, "is cancelled, and nobody asked for it")
        if event.type is Type.NODE_SKIPPED:
            self._skip(event, node, part)
        if event.item is None:
            self._items_ended(event, node)
        if part.running and event.attempt not in (None, part.attempt):
            self._say(event, f"ends attempt {event.attempt}, while {part.attempt} is running")
        part.running, part.end, part.child = False, event.type, None

    def _was_running(self, event: Event, part: _Part) -> None:
        if not part.running:
            self._say(event, "was not running")

    def _items_ended(self, event: Event, node: Node) -> None:
        for (node_id, item), part in self.parts.items():
            if node_id == node.id and item is not None and part.running:
                self._say(event, f"ends while item {item} is running")

    def _skip(self, event: Event, node: Node, part: _Part) -> None:
        if part.attempt:
            self._say(event, "is skipped after it was started")
        if self._verdict(node) is None:
            self._say(event, "is skipped before its dependencies have ended")
        elif self._verdict(node) and node.when is None:
            self._say(event, "is skipped though its dependencies allow it")

    def _allowed(self, event: Event, node: Node) -> None:
        verdict = self._verdict(node)
        if verdict is None:
            self._say(event, "comes before its dependencies have ended")
        elif not verdict:
            self._say(event, f"is against its trigger rule ({node.trigger_rule})")

    def _verdict(self, node: Node) -> bool | None:
        """Whether the node's trigger rule lets it start; None when that is still open."""
        failed = any(map(self._counts_as_failed, node.dependencies))
        if node.trigger_rule is TriggerRule.ONE_FAILED and failed:
            return True
        if any(self._end_of(dependency) is None for dependency in node.dependencies):
            return None
        if node.trigger_rule is TriggerRule.ALL_SUCCEEDED:
            return all(map(self._counts_as_succeeded, node.dependencies))
        if node.trigger_rule is TriggerRule.NONE_FAILED:
            return not failed
        return node.trigger_rule is TriggerRule.ALL_DONE

    def _end_of(self, node_id: str) -> Type | None:
        part = self.parts.get((node_id, None))
        return part.end if part else None

    def _counts_as_failed(self, node_id: str) -> bool:
        allowed = self.nodes[node_id].allow_failure
        return self._end_of(node_id) is Type.NODE_FAILED and not allowed

    def _counts_as_succeeded(self, node_id: str) -> bool:
        end = self._end_of(node_id)
        allowed = self.nodes[node_id].allow_failure
        return end is Type.NODE_SUCCEEDED or (end is Type.NODE_FAILED and allowed)


def name_of(node_id: str, item: int | None) -> str:
    """Write which node or item is meant."""
    return node_id if item is None else f"{node_id}/{item}"
