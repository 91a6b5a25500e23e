"""The store ``memory``: the same as SQLite, but gone with the process. For tests."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import attrs
import trio

from dagrun.builtin.intake import choose
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.projection import CLEARED, NodeChange, RunChange, project
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.errors import ConflictError, NotFound, StoreError
from dagrun.ports.store import CommitResult, Definition, NewRun, NodeRecord, RunRecord

_Key = tuple[RunId, str, int | None]


class MemoryStore:
    """Keeps journals in dictionaries; implements :class:`~dagrun.ports.store.Store`.

    Args:
        faults: what the next commits raise, one after the other; None for a commit that works.
        seconds: how long a commit takes.
    """

    def __init__(self, *, faults: Iterable[Exception | None] = (), seconds: float = 0.0) -> None:
        self._faults = list(faults)
        self._seconds = seconds
        self._definitions: dict[str, Definition] = {}
        self._runs: dict[RunId, RunRecord] = {}
        self._nodes: dict[_Key, NodeRecord] = {}
        self._events: dict[RunId, list[Event]] = {}

    async def __aenter__(self) -> Self:
        """Do nothing: there is nothing to open."""
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep what is there: the same object may be opened again."""

    async def commit(
        self,
        events: Sequence[Event],
        *,
        new_runs: Sequence[NewRun] = (),
        definitions: Sequence[Definition] = (),
    ) -> CommitResult:
        """Write a batch; see the port."""
        await trio.sleep(self._seconds)
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault
        if taken := [run.run_id for run in new_runs if run.run_id in self._runs]:
            raise StoreError(f"run {taken[0]!r} is there already")
        for definition in definitions:
            self._definitions.setdefault(definition.hash, definition)
        for run in new_runs:
            self._runs[run.run_id] = _record(run)
            self._events[run.run_id] = []
        chosen, refused = choose(events, self._positions(events), self._stored_epoch)
        self._apply(chosen)
        return CommitResult(refused=refused)

    def _positions(self, events: Sequence[Event]) -> dict[RunId, tuple[int, int]]:
        known = {event.run_id for event in events} & self._runs.keys()
        return {id_: (self._runs[id_].epoch, self._runs[id_].last_seq) for id_ in known}

    def _stored_epoch(self, run_id: RunId, seq: int) -> int:
        return self._events[run_id][seq - 1].epoch

    def _apply(self, events: Sequence[Event]) -> None:
        changes = project(events)
        for event in events:
            self._events[event.run_id].append(event)
        for run in changes.runs.values():
            self._runs[run.run_id] = self._changed_run(run)
        for key, node in changes.nodes.items():
            self._nodes[key] = self._changed_node(key, node)

    def _changed_run(self, change: RunChange) -> RunRecord:
        old = self._runs[change.run_id]
        return attrs.evolve(
            old,
            status=RunStatus(change.status) if change.status else old.status,
            epoch=change.epoch,
            last_seq=change.last_seq,
            started_at=old.started_at or change.started_at,
            finished_at=change.finished_at or old.finished_at,
            error=change.error or old.error,
            outputs=self._outputs(change.run_id, change.outputs_seq) or old.outputs,
        )

    def _changed_node(self, key: _Key, change: NodeChange) -> NodeRecord:
        run_id, node_id, item = key
        old = self._nodes.get(key) or NodeRecord(
            run_id=run_id,
            node_id=node_id,
            item=item,
            status=NodeStatus.PENDING,
            attempts=0,
            started_at=None,
            finished_at=None,
            outputs=None,
            error=None,
        )
        return attrs.evolve(
            old,
            status=NodeStatus(change.status),
            attempts=max(old.attempts, change.attempts),
            started_at=old.started_at or change.started_at,
            finished_at=change.finished_at or old.finished_at,
            error=None if change.error is CLEARED else change.error or old.error,
            outputs=self._outputs(run_id, change.outputs_seq) or old.outputs,
        )

    def _outputs(self, run_id: RunId, seq: int | None) -> Raw | None:
        if seq is None:
            return None
        return (self._events[run_id][seq - 1].data or {}).get("outputs")

    async def claim(self, run_id: RunId, *, owner: str, expected_epoch: int) -> RunRecord:
        """Hand a run over; see the port."""
        record = await self.run(run_id)
        if record.epoch != expected_epoch:
            raise ConflictError(f"run {run_id} was taken over by somebody else")
        self._runs[run_id] = attrs.evolve(record, owner=owner, epoch=expected_epoch + 1)
        return self._runs[run_id]

    async def run(self, run_id: RunId) -> RunRecord:
        """Give one run."""
        await trio.lowlevel.checkpoint()
        if run_id not in self._runs:
            raise NotFound(f"there is no run {run_id!r}")
        return self._runs[run_id]

    async def runs(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunRecord], str | None]:
        """Give a page of runs, newest first."""
        await trio.lowlevel.checkpoint()
        found = [
            self._runs[run_id]
            for run_id in sorted(self._runs, reverse=True)
            if (cursor is None or run_id < cursor)
            and workflow_id in (None, self._runs[run_id].workflow_id)
            and status in (None, self._runs[run_id].status)
        ]
        page = found[:limit]
        return page, page[-1].run_id if len(found) > limit else None

    async def nodes(self, run_id: RunId) -> Sequence[NodeRecord]:
        """Give the nodes and items of a run."""
        await trio.lowlevel.checkpoint()
        found = [record for key, record in self._nodes.items() if key[0] == run_id]
        return sorted(found, key=lambda r: (r.node_id, -1 if r.item is None else r.item))

    async def events(self, run_id: RunId, *, after: int = 0) -> Sequence[Event]:
        """Give a run's journal from the event behind ``after``."""
        await trio.lowlevel.checkpoint()
        return self._events.get(run_id, [])[after:]

    async def definition(self, hash: str) -> Definition:  # noqa: A002 — the port's word
        """Give a stored definition."""
        await trio.lowlevel.checkpoint()
        if hash not in self._definitions:
            raise NotFound(f"there is no definition {hash!r}")
        return self._definitions[hash]


def _record(run: NewRun) -> RunRecord:
    return RunRecord(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        version=run.version,
        definition_hash=run.definition_hash,
        status=RunStatus.QUEUED,
        inputs=run.inputs,
        outputs=None,
        error=None,
        owner=run.owner,
        epoch=1,
        last_seq=0,
        priority=run.priority,
        created_at=run.created_at,
        started_at=None,
        finished_at=None,
    )
