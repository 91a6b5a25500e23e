"""Runs that other runs started: which of them are stored, and what one run hears of the other."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from dagrun.builtin.intake import CANCELLED_WITH_PARENT, child_ended, turns
from dagrun.builtin.memory_store.boxes import Boxes
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.status import RunStatus
from dagrun.ports.store import MessageKind, NewRun, Posted, Rejection, RunRecord

Runs = Mapping[RunId, RunRecord]
Place = tuple[object, ...]
"""Parent, node, item and attempt that started a run."""


def child_problem(runs: Runs, boxes: Boxes, new: NewRun) -> RunId | Rejection | None:
    """Give the child that is there already, or say why a new one is not stored."""
    if new.parent is None:
        return None
    if (earlier := child(runs, _place(new))) is not None:
        return earlier.run_id
    parent = runs.get(new.parent.run_id)
    if parent is None or parent.epoch != new.parent.epoch or not goes_on(parent, boxes):
        return Rejection.ORPHAN
    return None


def child(runs: Runs, place: Place | None) -> RunRecord | None:
    """Give the run that was started at a place."""
    return next((run for run in runs.values() if run.parent and _place(run) == place), None)


def goes_on(run: RunRecord, boxes: Boxes) -> bool:
    """Whether a run has neither ended nor is to be cancelled."""
    cancelled = run.status is RunStatus.CANCELLING or boxes.cancel_waits(run.run_id)
    return run.finished_at is None and not cancelled


def can_be_cancelled(run: RunRecord, boxes: Boxes) -> bool:
    """Whether a request to cancel a run changes anything."""
    return run.status is not RunStatus.ENDING and goes_on(run, boxes)


def children(runs: Runs, parents: Collection[RunId]) -> Sequence[RunRecord]:
    """Give the runs that some runs started, the oldest first."""
    found = [run for run in runs.values() if run.parent and run.parent.run_id in parents]
    return sorted(found, key=lambda run: run.run_id)


def spread(runs: Runs, boxes: Boxes, events: Sequence[Event]) -> list[Posted]:
    """Tell runs of what became of others by events that were stored, and give what was posted."""
    ended, cancelled = turns(events)
    for end in ended:
        boxes.discard(end.run_id)
    posted = [told for end in ended if (told := _tell_parent(runs, boxes, end))]
    return posted + cancel_descendants(runs, boxes, cancelled)


def cancel_descendants(runs: Runs, boxes: Boxes, ancestors: Sequence[RunId]) -> list[Posted]:
    """Post a request to cancel to all descendants of runs that go on, and give what was posted."""
    return [
        boxes.put(run_id, MessageKind.CANCEL, CANCELLED_WITH_PARENT)
        for run_id in sorted(set(_descendants(runs, ancestors)))
        if can_be_cancelled(runs[run_id], boxes)
    ]


def _descendants(runs: Runs, ancestors: Collection[RunId]) -> Iterator[RunId]:
    generation = [run.run_id for run in children(runs, ancestors)]
    if generation:
        yield from generation
        yield from _descendants(runs, generation)


def _tell_parent(runs: Runs, boxes: Boxes, end: Event) -> Posted | None:
    parent = runs[end.run_id].parent
    if parent is None or not parent.wait or parent.run_id not in runs:
        return None
    if runs[parent.run_id].finished_at is not None:
        return None
    return boxes.put(parent.run_id, MessageKind.CHILD_ENDED, child_ended(end, parent))


def _place(run: NewRun | RunRecord) -> Place | None:
    if run.parent is None:
        return None
    return run.parent.run_id, run.parent.node_id, run.parent.item, run.parent.attempt
