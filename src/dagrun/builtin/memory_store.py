"""The store ``memory``: the same as SQLite, but gone with the process. For tests."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Self

import attrs
import trio

from dagrun.builtin.intake import KEPT, check_limit, choose
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.monitoring import engine_at, places
from dagrun.domain.projection import CLEARED, NodeChange, RunChange, project
from dagrun.domain.status import NodeStatus, RunStatus
from dagrun.errors import ConflictError, NoSuchRun, NotFound, StoreError
from dagrun.ports.store import (
    CommitResult,
    Definition,
    Logged,
    NewRun,
    NodeRecord,
    Registration,
    Rejection,
    RunRecord,
    Slot,
)

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
        self._log: list[tuple[int, Event, str | None]] = []
        """Positions, events, and the engines that executed the runs then."""

        self._placed: dict[RunId, Event] = {}
        """The last event of each run that says which engine has it."""

        self._position = 0
        self._requests: dict[tuple[str, str], NewRun] = {}
        self._registrations: dict[tuple[str, str], Registration] = {}

    @property
    def place(self) -> str:
        """It has none, so a name."""
        return "the memory store"

    async def __aenter__(self) -> Self:
        """Do nothing: there is nothing to open."""
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(self, *_: object) -> None:
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
        unsaved = {run.run_id: problem for run in new_runs if (problem := self._add(run))}
        mine = [event for event in events if event.run_id not in unsaved]
        chosen, refused = choose(mine, self._positions(mine), self._stored_epoch)
        position = self._position + 1 if chosen else 0
        self._apply(chosen)
        return CommitResult(refused=refused, unsaved=unsaved, taken=chosen, position=position)

    def _add(self, run: NewRun) -> RunId | Rejection | None:
        """Add a run, or say why not."""
        slot = run.slot
        if problem := self._same_request(run):
            return problem
        if slot is not None and slot.at_once and not self._is_free(run.run_id, slot):
            return Rejection.NO_SLOT
        self._runs[run.run_id] = _record(run)
        self._events[run.run_id] = []
        if run.request is not None:
            self._requests[run.workflow_id, run.request.key] = run
        return None

    def _same_request(self, run: NewRun) -> RunId | Rejection | None:
        if run.request is None:
            return None
        earlier = self._requests.get((run.workflow_id, run.request.key))
        if earlier is None or earlier.run_id not in self._runs:
            return None
        if run.created_at - earlier.created_at > KEPT:
            return None
        same = earlier.request == run.request
        return earlier.run_id if same else Rejection.OTHER_REQUEST

    def _is_free(self, run_id: RunId, slot: Slot) -> bool:
        return sum(r.run_id != run_id for r in self._holders(slot.key)) < slot.limit

    def _holders(self, key: str) -> list[RunRecord]:
        return [
            record
            for _, record in sorted(self._runs.items())
            if record.admitted and record.slot_key == key and record.finished_at is None
        ]

    def _positions(self, events: Sequence[Event]) -> dict[RunId, tuple[int, int]]:
        known = {event.run_id for event in events} & self._runs.keys()
        return {id_: (self._runs[id_].epoch, self._runs[id_].last_seq) for id_ in known}

    def _stored_epoch(self, run_id: RunId, seq: int) -> int:
        return self._events[run_id][seq - 1].epoch

    def _apply(self, events: Sequence[Event]) -> None:
        changes = project(events)
        for event in events:
            self._events[event.run_id].append(event)
            self._position += 1
            if places(event):
                self._placed[event.run_id] = event
            engine = engine_at(self._placed.get(event.run_id), event)
            self._log.append((self._position, event, engine))
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

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free; see the port."""
        record = await self.run(run_id)
        if not self._is_free(run_id, slot):
            return False
        self._runs[run_id] = attrs.evolve(record, admitted=True, slot_key=slot.key)
        return True

    async def holders(self, key: str) -> Sequence[RunRecord]:
        """Give the runs that hold slots of a key."""
        await trio.lowlevel.checkpoint()
        return self._holders(key)

    async def rivals(self, run_id: RunId, key: str) -> Sequence[RunRecord]:
        """Give the runs with a key that have a slot, or wait and are not newer; see the port."""
        await trio.lowlevel.checkpoint()
        return [
            record
            for other, record in sorted(self._runs.items())
            if record.slot_key == key
            and record.finished_at is None
            and (record.admitted or other <= run_id)
        ]

    async def register(self, registration: Registration, definition: Definition) -> bool:
        """Store a version of a workflow; see the port."""
        await trio.lowlevel.checkpoint()
        key = (registration.workflow_id, registration.version)
        earlier = self._registrations.get(key)
        if earlier is None:
            self._registrations[key] = registration
            self._definitions.setdefault(definition.hash, definition)
        elif earlier.definition_hash != registration.definition_hash:
            raise ConflictError(
                f"{' '.join(key)} is registered with another content; a version never changes: "
                "give the new content a new version"
            )
        return earlier is None

    async def registrations(self, workflow_id: str | None = None) -> Sequence[Registration]:
        """Give the versions of a workflow, or of all."""
        await trio.lowlevel.checkpoint()
        found = [r for r in self._registrations.values() if workflow_id in (None, r.workflow_id)]
        return sorted(found, key=lambda r: (r.workflow_id, r.registered_at, r.version))

    async def log(self, *, after: int, limit: int, run_id: RunId | None = None) -> Sequence[Logged]:
        """Give the events of all runs, or of one, behind a position."""
        check_limit(limit)
        await trio.lowlevel.checkpoint()
        begin = bisect_right(self._log, after, key=itemgetter(0))
        behind = map(self._log.__getitem__, range(begin, len(self._log)))
        found = (entry for entry in behind if run_id in (None, entry[1].run_id))
        return [
            Logged(
                position=position,
                workflow_id=self._runs[event.run_id].workflow_id,
                engine_id=engine,
                event=event,
            )
            for position, event, engine in islice(found, limit)
        ]

    async def last_position(self) -> int:
        """Give the position of the newest event."""
        await trio.lowlevel.checkpoint()
        return self._position

    async def prune(self, *, before: datetime, now: datetime, limit: int) -> Sequence[RunId]:
        """Delete runs that ended before a time; see the port."""
        check_limit(limit)
        await trio.lowlevel.checkpoint()
        keyed = {run.run_id for run in self._requests.values() if now - run.created_at <= KEPT}
        ended = [
            (run.finished_at, run_id)
            for run_id, run in self._runs.items()
            if run.finished_at and run_id not in keyed
        ]
        gone = [run_id for time, run_id in sorted(ended) if time < before][:limit]
        for run_id in gone:
            del self._runs[run_id], self._events[run_id]
            self._placed.pop(run_id, None)
        self._nodes = {key: node for key, node in self._nodes.items() if key[0] in self._runs}
        self._log = [entry for entry in self._log if entry[1].run_id in self._runs]
        self._requests = {k: run for k, run in self._requests.items() if run.run_id in self._runs}
        used = {run.definition_hash for run in self._runs.values()}
        used |= {version.definition_hash for version in self._registrations.values()}
        self._definitions = {h: d for h, d in self._definitions.items() if h in used}
        return gone

    async def backup(self, target: Path) -> None:
        """Refuse: there is nothing that a file could bring back."""
        raise StoreError(f"{target}: the memory store keeps nothing that could be copied")

    async def run(self, run_id: RunId) -> RunRecord:
        """Give one run."""
        await trio.lowlevel.checkpoint()
        if run_id not in self._runs:
            raise NoSuchRun(run_id)
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
        check_limit(limit)
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
        slot_key=None if run.slot is None else run.slot.key,
        admitted=run.slot is not None and run.slot.at_once,
    )
