"""The store ``memory``."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import attrs
import trio

from dagrun.builtin.intake import KEPT, check_limit
from dagrun.builtin.memory_store import families
from dagrun.builtin.memory_store.tables import Tables
from dagrun.builtin.memory_store.tokens import TokenTable
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.status import RunStatus
from dagrun.errors import ConflictError, NoSuchRun, NotFound, RunHasEnded, StoreError
from dagrun.ports.store import (
    Assignment,
    CommitResult,
    Definition,
    Logged,
    Message,
    MessageKind,
    NewRun,
    NodeRecord,
    Posted,
    Registration,
    Rejection,
    RunRecord,
    Slot,
    Taken,
)


class MemoryStore(Tables, TokenTable):
    """Keeps journals in dictionaries; implements :class:`~dagrun.ports.store.Store`.

    Args:
        faults: what the next commits raise, one after the other; None for a commit that works.
        seconds: how long a commit takes.
    """

    def __init__(self, *, faults: Iterable[Exception | None] = (), seconds: float = 0.0) -> None:
        Tables.__init__(self)
        TokenTable.__init__(self)
        self._faults = list(faults)
        self._seconds = seconds

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
        taken: Sequence[Taken] = (),
        assignments: Sequence[Assignment] = (),
    ) -> CommitResult:
        """Write a batch; see the port."""
        await trio.sleep(self._seconds)
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault
        return self._write(events, new_runs, definitions, taken, assignments)

    async def claim(self, run_id: RunId, *, owner: str, expected_epoch: int) -> RunRecord:
        """Hand a run over; see the port."""
        record = await self.run(run_id)
        if record.finished_at is not None:
            raise RunHasEnded(run_id)
        if record.epoch != expected_epoch:
            raise ConflictError(f"run {run_id} was taken over by somebody else")
        self._runs[run_id] = attrs.evolve(
            record, owner=owner, epoch=expected_epoch + 1, engine_id=None, instance=None
        )
        return self._runs[run_id]

    async def post(
        self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any] | None = None
    ) -> Sequence[Posted]:
        """Post something to a run; see the port."""
        run = await self.run(run_id)
        cancel = kind is MessageKind.CANCEL
        if run.finished_at is not None or (
            cancel and not families.can_be_cancelled(run, self._boxes)
        ):
            return []
        posted = self._boxes.put(run_id, kind, data or {})
        if not cancel:
            return [posted]
        return [posted, *families.cancel_descendants(self._runs, self._boxes, [run_id])]

    async def messages(self, run_id: RunId) -> Sequence[Message]:
        """Give what was posted to a run and not taken up yet."""
        await trio.lowlevel.checkpoint()
        return self._boxes.waiting(run_id)

    async def messages_to_others(self, owner: str) -> Sequence[Posted]:
        """Give what was posted to runs of other owners and not taken up yet."""
        await trio.lowlevel.checkpoint()
        return [
            Posted(run_id=run_id, message=message)
            for run_id, run in sorted(self._runs.items())
            if run.owner != owner
            for message in self._boxes.waiting(run_id)
        ]

    async def children(self, run_id: RunId) -> Sequence[RunRecord]:
        """Give the runs that a run started."""
        await trio.lowlevel.checkpoint()
        return families.children(self._runs, {run_id})

    async def child(
        self, run_id: RunId, node_id: str, item: int | None, attempt: int
    ) -> RunRecord | None:
        """Give the run that an attempt of a run started."""
        await trio.lowlevel.checkpoint()
        return families.child(self._runs, (run_id, node_id, item, attempt))

    async def unfinished(self, owner: str) -> Sequence[RunRecord]:
        """Give all runs of an owner that have not ended."""
        await trio.lowlevel.checkpoint()
        return [
            run
            for _, run in sorted(self._runs.items())
            if run.owner == owner and run.finished_at is None
        ]

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free; see the port."""
        record = await self.run(run_id)
        if not self._is_free(run_id, slot):
            return False
        self._runs[run_id] = attrs.evolve(record, admitted=True, slot_key=slot.key)
        return True

    async def standing(self, run: NewRun) -> RunId | Rejection | None:
        """Give the run that an idempotency key stands for; see the port."""
        await trio.lowlevel.checkpoint()
        return self._same_request(run)

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

    async def unregister(self, workflow_id: str, versions: Collection[str]) -> Sequence[str]:
        """Delete versions of a workflow; see the port."""
        await trio.lowlevel.checkpoint()
        there = [one for one in versions if self._registrations.pop((workflow_id, one), None)]
        self._delete_unused()
        return there

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
        self._boxes.forget(gone)
        self._nodes = {key: node for key, node in self._nodes.items() if key[0] in self._runs}
        self._log = [entry for entry in self._log if entry[1].run_id in self._runs]
        self._requests = {k: run for k, run in self._requests.items() if run.run_id in self._runs}
        self._delete_unused()
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
        top_level: bool = False,
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
            and not (top_level and self._runs[run_id].parent)
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

    async def definition(self, definition_hash: str) -> Definition:
        """Give a stored definition."""
        await trio.lowlevel.checkpoint()
        if definition_hash not in self._definitions:
            raise NotFound(f"there is no definition {definition_hash!r}")
        return self._definitions[definition_hash]
