"""All that the store has, and how a batch changes it."""

from collections.abc import Mapping, Sequence

import attrs

from dagrun.builtin.intake import KEPT, choose, refusal
from dagrun.builtin.memory_store import families
from dagrun.builtin.memory_store.boxes import Boxes
from dagrun.builtin.memory_store.records import changed_node, changed_run, new_node, record_of
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import Raw
from dagrun.domain.monitoring import engine_at, places
from dagrun.domain.projection import project
from dagrun.domain.status import RunStatus
from dagrun.errors import StoreError
from dagrun.ports.store import (
    Assignment,
    CommitResult,
    Definition,
    Message,
    NewRun,
    NodeRecord,
    Refusal,
    Registration,
    Rejection,
    RunRecord,
    Slot,
    Taken,
)

_Key = tuple[RunId, str, int | None]


class Tables:
    """Runs, nodes, events, messages, and registered workflows."""

    def __init__(self) -> None:
        self._definitions: dict[str, Definition] = {}
        self._runs: dict[RunId, RunRecord] = {}
        self._nodes: dict[_Key, NodeRecord] = {}
        self._events: dict[RunId, list[Event]] = {}
        self._log: list[tuple[int, Event, str | None]] = []
        """Positions, events, and the engines that executed the runs then."""

        self._placed: dict[RunId, Event] = {}
        """The last event of each run that says which engine has it."""

        self._position = 0
        self._boxes = Boxes()
        self._requests: dict[tuple[str, str], NewRun] = {}
        self._registrations: dict[tuple[str, str], Registration] = {}

    def _write(
        self,
        events: Sequence[Event],
        new_runs: Sequence[NewRun],
        definitions: Sequence[Definition],
        taken: Sequence[Taken],
        assignments: Sequence[Assignment],
    ) -> CommitResult:
        """Write a batch, all of it or nothing."""
        if there := [run.run_id for run in new_runs if run.run_id in self._runs]:
            raise StoreError(f"run {there[0]!r} is there already")
        for definition in definitions:
            self._definitions.setdefault(definition.hash, definition)
        unsaved = {run.run_id: problem for run in new_runs if (problem := self._add(run))}
        mine = [event for event in events if event.run_id not in unsaved]
        chosen, refused = self._choose(mine, taken)
        position = self._position + 1 if chosen else 0
        self._apply(chosen)
        posted = families.spread(self._runs, self._boxes, chosen)
        return CommitResult(
            refused=refused,
            unsaved=unsaved,
            taken=chosen,
            position=position,
            posted=posted,
            unassigned={a.run_id: why for a in assignments if (why := self._assign(a))},
        )

    def _add(self, run: NewRun) -> RunId | Rejection | None:
        """Add a run, or say why not."""
        slot = run.slot
        problem = families.child_problem(self._runs, self._boxes, run) or self._same_request(run)
        if problem is not None:
            return problem
        if slot is not None and slot.at_once and not self._is_free(run.run_id, slot):
            return Rejection.NO_SLOT
        self._runs[run.run_id] = record_of(run)
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

    def _choose(
        self, events: Sequence[Event], taken: Sequence[Taken]
    ) -> tuple[list[Event], Mapping[RunId, Refusal]]:
        """Delete messages that were taken up, and split events by what is there."""
        messages = [(one.run_id, self._take(one)) for one in taken]
        known = {event.run_id for event in events} & self._runs.keys()
        positions = {id_: (self._runs[id_].epoch, self._runs[id_].last_seq) for id_ in known}
        to_cancel = [
            run_id
            for run_id in known
            if self._boxes.cancel_waits(run_id)
            and self._runs[run_id].status not in (RunStatus.CANCELLING, RunStatus.ENDING)
        ]
        chosen, refused = choose(events, positions, self._stored_epoch, to_cancel)
        for run_id, message in messages:
            if message is not None and run_id in refused:
                self._boxes.put_back(run_id, message)
        return chosen, refused

    def _take(self, taken: Taken) -> Message | None:
        run = self._runs.get(taken.run_id)
        if run is None or run.epoch != taken.epoch:
            return None
        return self._boxes.take(taken.run_id, taken.number)

    def _assign(self, wanted: Assignment) -> Refusal | None:
        """Assign a run to an engine, or to none, or say why not."""
        run = self._runs.get(wanted.run_id)
        if run is None:
            return Refusal.UNKNOWN_RUN
        newest = self._boxes.newest(run.run_id)
        why = refusal(wanted, run.epoch, ended=run.finished_at is not None, newest=newest)
        if why is None:
            self._runs[run.run_id] = attrs.evolve(
                run, engine_id=wanted.engine_id, instance=wanted.instance
            )
        return why

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
        for run_id, run in changes.runs.items():
            outputs = self._outputs(run_id, run.outputs_seq)
            self._runs[run_id] = changed_run(self._runs[run_id], run, outputs)
        for key, node in changes.nodes.items():
            outputs = self._outputs(key[0], node.outputs_seq)
            self._nodes[key] = changed_node(self._nodes.get(key) or new_node(*key), node, outputs)

    def _delete_unused(self) -> None:
        """Delete the definitions that no run and no registered workflow has."""
        used = {run.definition_hash for run in self._runs.values()}
        used |= {version.definition_hash for version in self._registrations.values()}
        self._definitions = {h: d for h, d in self._definitions.items() if h in used}

    def _outputs(self, run_id: RunId, seq: int | None) -> Raw | None:
        if seq is None:
            return None
        return (self._events[run_id][seq - 1].data or {}).get("outputs")
