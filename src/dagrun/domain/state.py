"""Where one run stands.

What is journaled changes in :mod:`dagrun.domain.fold`, one event at a time. The lists of what is
to be done next are kept by it and :mod:`dagrun.domain.decide`, and follow from the rest. One loop owns a state and changes it in place, so that an event costs time in proportion to the
node's dependants, never to the size of the graph.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import NULL, Raw
from dagrun.domain.plan import Plan, Step
from dagrun.domain.status import NODE_ENDED, RUN_ENDED, NodeStatus, RunStatus

Error = Mapping[str, str]
"""``{type, message}``."""


@attrs.frozen
class Outcome:
    """What a run comes to. It is decided before the handlers start, and they do not change it."""

    status: RunStatus
    outputs: Raw | None = None
    """None unless it succeeded."""

    error: Error | None = None
    """None unless it failed."""


class Work:
    """What an attempt is made of: a node without ``for_each``, or one item."""

    __slots__ = (
        "attempt",
        "child",
        "delay",
        "epoch",
        "error",
        "finished_at",
        "hold",
        "index",
        "kept_from",
        "node",
        "outputs",
        "queued",
        "retrying_since",
        "started_at",
        "status",
    )

    def __init__(self, index: int | None) -> None:
        self.node: NodeState
        self.index = index
        """The item's index, from 0; None for a node."""

        self.status = NodeStatus.PENDING
        self.attempt = 0
        self.epoch = 0
        """Hand-over under which the last attempt started."""

        self.child: RunId | None = None
        """The run that the last attempt started, if it is one that waits for its end."""

        self.kept_from: RunId | None = None
        """The run in which it was done, if it was kept from there; then it has no attempt here."""

        self.outputs: Raw | None = None
        self.error: Error | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.retrying_since: datetime | None = None
        self.delay = 0.0
        """Seconds from ``retrying_since`` to the next attempt."""

        self.queued = False
        """Whether it was handed out for execution, or stands in line for it."""

        self.hold = 0
        """``seq`` that must be durable before what comes next: the start, or the dependants."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in NODE_ENDED


class NodeState(Work):
    """Where a node stands. With ``for_each`` its items carry the attempts."""

    __slots__ = (
        "active_items",
        "announced",
        "condition",
        "entry",
        "failed_dependency",
        "failed_items",
        "gave_up",
        "item_bytes",
        "items",
        "next_item",
        "reason",
        "step",
        "unresolved",
        "unsuccessful_dependency",
        "values",
    )

    def __init__(self, step: Step) -> None:
        super().__init__(None)
        self.node = self
        self.step = step
        self.unresolved = len(step.dependencies)
        """Direct dependencies that have not ended."""

        self.failed_dependency: int | None = None
        """The first direct dependency, in document order, that failed."""

        self.unsuccessful_dependency: int | None = None
        """The first one that did not succeed: it failed, was skipped or cancelled."""

        self.entry = 0
        """``seq`` that must be durable before its first attempts, as its dependencies say."""

        self.announced = False
        """Whether ``when`` and ``for_each`` are evaluated and journaled."""

        self.condition = True
        self.reason: str | None = None
        """Why it was skipped."""

        self.values: list[Any] | None = None
        """The items, decoded; None without ``for_each`` or before it is evaluated."""

        self.items: dict[int, Work] = {}
        """Items that were taken up, by index."""

        self.next_item = 0
        self.active_items = 0
        """Items taken up that have not ended."""

        self.failed_items = 0
        self.item_bytes = 1  # two brackets, and one comma less than there are items
        """Size of the array that the outputs of the items make up so far, with null for those that
        failed."""

        self.gave_up = False
        """Whether it fails because of its items, and those that waited were dropped."""

    @property
    def failed(self) -> bool:
        """Whether it failed in a way that counts for its dependants and its run."""
        return self.status is NodeStatus.FAILED and not self.step.node.allow_failure

    @property
    def counts_as_succeeded(self) -> bool:
        """Whether it succeeded, or failed where failing is allowed."""
        return self.status is NodeStatus.SUCCEEDED or (
            self.status is NodeStatus.FAILED and self.step.node.allow_failure
        )

    def result(self) -> Raw:
        """Give the outputs as others see them: null unless it succeeded."""
        return NULL if self.outputs is None else self.outputs


class RunState:
    """The fold over a run's journal, and what is to be done next."""

    def __init__(self, plan: Plan, run_id: RunId, inputs: Raw) -> None:
        self.plan = plan
        self.run_id = run_id
        self.inputs = inputs
        self.status = RunStatus.QUEUED
        self.seq = 0
        """Position of the last event."""

        self.epoch = 0
        self.nodes = [NodeState(step) for step in plan.steps]
        self.unfinished = len(self.nodes)
        """Nodes that have not ended; while the run is ending, handlers."""

        self.handlers = [NodeState(step) for step in plan.handlers]
        self.due: list[NodeState] = []
        """The handlers that this outcome calls for, in their order."""

        self.outcome: Outcome | None = None
        """What the run comes to; None until it is decided, and for a run without handlers."""

        self.running = 0
        """Attempts that are being made under the current epoch."""

        self.waiting = 0
        """Nodes and items that wait for the end of a child run."""

        self.retrying = 0
        """Nodes and items whose attempt failed, and of which the next one has not started."""

        self.losses: dict[str, int] = {}
        """Node id → how many engines in a row were lost while it ran, without anything between."""

        self.reason: str | None = None
        """Why it is paused or being cancelled; None when it is not."""

        self.was_cancelled = False
        """Whether somebody asked for its end before that was decided, or its time was over."""

        self.base: str | None = None
        """The folder of the workflow's document, if it came from a file."""

        self.rerun_of: RunId | None = None
        """The run of which this one is run again."""

        self.created_at: datetime | None = None
        self.started_at: datetime | None = None
        self.finished_at: datetime | None = None
        self.paused_at: datetime | None = None
        """Start of the present pause."""

        self.paused_for = 0.0
        """Seconds spent in ended pauses."""

        self.outputs: Raw | None = None
        self.error: Error | None = None
        self.output_bytes = 0
        """Size of all outputs that nodes and items returned."""

        self.outbox: list[Event] = []
        """Events that were applied here and are not journaled yet."""

        self.dirty: deque[int] = deque()
        """Nodes for which something may follow."""

        self.startable: deque[Work] = deque()
        """What may start now."""

        self.startable_processes: deque[Work] = deque()
        """What may start when ``DAGRUN_PARALLEL`` has room."""

        self.taken_over = False
        """Whether a new epoch has begun, and nobody looked yet at what is to be done under it."""

        self.lost: list[Work] = []
        """Attempts of an earlier epoch whose end nobody saw."""

        self.delayed: list[Work] = []
        """Failed attempts for which a timer is to be set."""

        self.cache: dict[str, Any] = {}
        """What is made once for a run: decoded values, see :mod:`dagrun.domain.scope`."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the run."""
        return self.status in RUN_ENDED

    def node(self, node_id: str) -> NodeState:
        """Give the state of a node, or of a handler that is due.

        Raises:
            KeyError: the run has no such node.
        """
        for handler in self.due:
            if handler.step.node.id == node_id:
                return handler
        return self.nodes[self.plan.by_id[node_id].index]

    def next_handler(self) -> NodeState | None:
        """Give the handler whose turn it is, or None when all that are due have ended."""
        return next((handler for handler in self.due if not handler.ended), None)

    def works(self) -> Iterator[Work]:
        """Give all nodes, all items that were taken up, and the handlers that are due."""
        for node in self.nodes:
            yield node
            yield from node.items.values()
        yield from self.due

    def take_events(self) -> list[Event]:
        """Give the new events, once."""
        events, self.outbox = self.outbox, []
        return events

    def take_delayed(self) -> list[Work]:
        """Give the failed attempts for which timers are to be set, once."""
        works, self.delayed = self.delayed, []
        return [work for work in works if work.status is NodeStatus.RETRYING]
