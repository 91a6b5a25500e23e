"""Drive a run's state without an engine: for tests of the rules, in no time at all."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dagrun.domain import decide
from dagrun.domain.events import Event
from dagrun.domain.fold import apply
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw, encode
from dagrun.domain.plan import Handling, Plan, compile_plan
from dagrun.domain.rerun import Again, keep
from dagrun.domain.state import RunState, Work
from dagrun.domain.status import NodeStatus
from dagrun.domain.workflow import ExecutorSpec, Node, Workflow

START = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Handling(strict=False, limited=False)


def make_workflow(*nodes: Node, **fields: Any) -> Workflow:
    """Make a workflow of some nodes."""
    return Workflow("w", "1.0.0", nodes=nodes, **fields)


def make_node(node_id: str, *dependencies: str, **fields: Any) -> Node:
    """Make a node whose executor nobody calls."""
    executor = fields.pop("executor", ExecutorSpec(type="none"))
    return Node(id=node_id, executor=executor, dependencies=dependencies, **fields)


def make_plan(*nodes: Node, handling: Handling = PLAIN, **fields: Any) -> Plan:
    """Compile a plan whose nodes all have the same handling."""
    return compile_plan(make_workflow(*nodes, **fields), lambda _: handling)


class Driver:
    """A run that the test moves on by hand. Each step takes one second.

    Args:
        plan: what runs.
        inputs: of the run.
        events: a journal to go on from, under the next epoch.
        again: what is run once more of an earlier run; the rest is kept from there.
    """

    def __init__(
        self,
        plan: Plan,
        inputs: Mapping[str, Any] | None = None,
        *,
        events: list[Event] | None = None,
        again: Again | None = None,
    ) -> None:
        self.now = START
        run_id = RunId("r") if again is None else RunId(f"{again.of.run_id}+")
        self.state = RunState(plan, run_id, encode(dict(inputs or {})))
        self.journal: list[Event] = []
        self.going: list[Work] = []
        """Attempts that were started and have not ended."""

        self.waiting: list[Work] = []
        """What waits for a child run."""

        for event in events or ():
            apply(self.state, event)
            self.journal.append(event)
            self.now = max(self.now, event.time)
        if not events:
            decide.submit(
                self.state, self.tick(), rerun_of=None if again is None else again.of.run_id
            )
        if again is not None:
            keep(again, self.state, self.now)

    def tick(self, seconds: float = 1) -> datetime:
        """Let time pass, and give the new time."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def begin(self, **how: Any) -> "Driver":
        """Start, or go on under the next epoch."""
        epoch = self.state.epoch + (self.state.seq > 1)
        decide.begin(self.state, self.tick(), epoch=epoch, engine="test", **how)
        self.waiting = [work for work in self.state.works() if work.status is NodeStatus.WAITING]
        return self.take()

    def take(self) -> "Driver":
        """Move new events to the journal, and start everything that may start."""
        while (work := self._pop()) is not None:
            decide.start(self.state, work, self.tick())
            self.going.append(work)
        self.journal += self.state.take_events()
        return self

    def _pop(self) -> Work | None:
        return decide.pop_startable(self.state, processes=False) or decide.pop_startable(
            self.state, processes=True
        )

    def find(self, node_id: str, item: int | None = None) -> Work:
        """Give what is going on for a node or item."""
        return next(
            work for work in self.going if work.node.step.node.id == node_id and work.index == item
        )

    def succeed(self, node_id: str, outputs: Any = None, item: int | None = None) -> "Driver":
        """End an attempt well."""
        work = self._end(node_id, item)
        raw: Raw = encode({} if outputs is None else outputs)
        decide.succeed(self.state, work, raw, self.tick())
        return self.take()

    def fail(
        self,
        node_id: str,
        item: int | None = None,
        *,
        type: str = "boom",  # noqa: A002 — the journal's word
        retryable: bool = True,
        draw: float = 0.5,
    ) -> "Driver":
        """End an attempt badly."""
        work = self._end(node_id, item)
        error = {"type": type, "message": "it failed"}
        decide.fail(self.state, work, error, self.tick(), draw=draw, retryable=retryable)
        return self.take()

    def stop(self, node_id: str, item: int | None = None) -> "Driver":
        """End an attempt because the run is being cancelled."""
        decide.stopped(self.state, self._end(node_id, item), self.tick())
        return self.take()

    def wait(self, node_id: str, child: str, item: int | None = None) -> "Driver":
        """Let an attempt hand over to a child run."""
        work = self._end(node_id, item)
        decide.wait(self.state, work, {"child": child, "version": "1.0.0"}, self.tick())
        self.waiting.append(work)
        return self.take()

    def child_ended(self, work: Work, status: str, **more: Any) -> bool:
        """Tell of the end of the child that something waits for."""
        data = {
            "node_id": work.node.step.node.id,
            "item": work.index,
            "attempt": work.attempt,
            "run_id": work.child,
            "status": status,
            **more,
        }
        answer = decide.child_ended(self.state, data, self.tick(), draw=0.5)
        self.waiting = [one for one in self.waiting if one.status is NodeStatus.WAITING]
        self.take()
        return answer

    def wake(self) -> "Driver":
        """Let all delays pass."""
        for work in self.state.take_delayed():
            self.tick(work.delay)
            decide.wake(self.state, work)
        return self.take()

    def ask(self, what: Callable[..., bool], **arguments: Any) -> bool:
        """Cancel, pause or resume."""
        answer = what(self.state, self.tick(), **arguments)
        self.take()
        return answer

    def _end(self, node_id: str, item: int | None) -> Work:
        work = self.find(node_id, item)
        self.going.remove(work)
        return work

    @property
    def started(self) -> list[str]:
        """Ids of what is going on, in the order of the starts."""
        return [_name(work) for work in self.going]

    def statuses(self) -> dict[str, str]:
        """Node id → state."""
        return {node.step.node.id: str(node.status) for node in self.state.nodes}


def _name(work: Work) -> str:
    node_id = work.node.step.node.id
    return node_id if work.index is None else f"{node_id}[{work.index}]"


def replayed(driver: Driver) -> RunState:
    """Fold a driver's journal from the beginning."""
    state = RunState(driver.state.plan, driver.state.run_id, driver.state.inputs)
    for event in driver.journal:
        apply(state, event)
    return state


def picture(state: RunState) -> dict[str, Any]:
    """Give everything that the journal decides about a run, to be compared."""
    return {
        "status": state.status,
        "seq": state.seq,
        "epoch": state.epoch,
        "unfinished": state.unfinished,
        "running": state.running,
        "waiting": state.waiting,
        "retrying": state.retrying,
        "losses": state.losses,
        "rerun_of": state.rerun_of,
        "outputs": _bytes(state.outputs),
        "error": state.error,
        "outcome": state.outcome,
        "bytes": state.output_bytes,
        "nodes": [
            _node_picture(work) for node in (*state.nodes, *state.due) for work in _works(node)
        ],
    }


def _works(node: Any) -> list[Work]:
    items = [node.items[index] for index in sorted(node.items)]
    return [node, *(item for item in items if item.attempt or item.kept_from)]


def _node_picture(work: Work) -> tuple[Any, ...]:
    return (
        _name(work),
        work.status,
        work.attempt,
        work.epoch,
        work.child,
        _bytes(work.outputs),
        work.error,
        work.started_at,
        work.finished_at,
        work.kept_from,
    )


def _bytes(raw: Raw | None) -> bytes | None:
    return None if raw is None else bytes(raw)
