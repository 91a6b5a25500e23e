"""What stores take, by the same rules: of a batch, so that each journal is a prefix of what happened,
of assignments, of limits; and what they post by themselves.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from dagrun.domain.events import Event, Type
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import MAX_OUTPUT
from dagrun.domain.projection import ENDS
from dagrun.ports.store import MAX_LIMIT, Assignment, Parent, Refusal

KEPT: Final = timedelta(hours=24)
"""How long an idempotency key stands for its run."""

DECIDE: Final = frozenset({Type.RUN_ENDING, Type.RUN_SUCCEEDED, Type.RUN_FAILED})
"""Events after which a request to cancel would come too late."""

CANCELLED_WITH_PARENT: Final = {"reason": "parent cancelled"}
"""Data of the request that the descendants of a run get."""


def choose(
    events: Sequence[Event],
    positions: Mapping[RunId, tuple[int, int]],
    stored_epoch: Callable[[RunId, int], int],
    to_cancel: Collection[RunId] = (),
) -> tuple[list[Event], dict[RunId, Refusal]]:
    """Split a batch by what the store has.

    Of a run whose end is refused, what happened before is taken all the same.

    Args:
        events: in journal order for each run.
        positions: run → its epoch and the last ``seq`` that is stored.
        stored_epoch: gives the epoch of a stored event; asked for repeated ones only.
        to_cancel: runs with a request to cancel that nobody took up, which are not being cancelled.
    """
    refused: dict[RunId, Refusal] = {}
    last = {run_id: seq for run_id, (_, seq) in positions.items()}
    waiting = set(to_cancel)
    taken = []
    for event in events:
        run_id = event.run_id
        if run_id in refused:
            continue
        if run_id not in positions:
            refused[run_id] = Refusal.UNKNOWN_RUN
        elif event.epoch != positions[run_id][0]:
            refused[run_id] = Refusal.STALE_EPOCH
        elif event.seq < 1 or event.seq > last[run_id] + 1:
            refused[run_id] = Refusal.GAP
        elif event.seq <= positions[run_id][1]:
            # Stored by an earlier owner: this one's journal parts from ours before its epoch.
            if stored_epoch(run_id, event.seq) != event.epoch:
                refused[run_id] = Refusal.GAP
        elif waiting and run_id in waiting and event.type in DECIDE:
            refused[run_id] = Refusal.UNSEEN
        elif event.seq == last[run_id] + 1:
            if waiting and event.type is Type.RUN_CANCELLING:
                waiting.discard(run_id)
            last[run_id] = event.seq
            taken.append(event)
    wrong = {run_id for run_id, why in refused.items() if why is not Refusal.UNSEEN}
    return [event for event in taken if event.run_id not in wrong] if wrong else taken, refused


def refusal(
    assignment: Assignment, epoch: int | None, *, ended: bool, newest: int
) -> Refusal | None:
    """Say why an assignment cannot be taken; None if it can.

    Args:
        assignment: what is wanted.
        epoch: the run's; None if there is no such run.
        ended: whether the run has ended.
        newest: number of the last message that waits for the run; 0 for none.
    """
    if epoch is None:
        return Refusal.UNKNOWN_RUN
    if ended:
        return Refusal.ENDED
    if epoch != assignment.epoch:
        return Refusal.STALE_EPOCH
    if assignment.seen is not None and newest > assignment.seen:
        return Refusal.UNSEEN
    return None


def turns(events: Sequence[Event]) -> tuple[list[Event], list[RunId]]:
    """Give what other runs hear of: the events that end runs, and the runs that are cancelled."""
    of_runs = [event for event in events if event.node_id is None]
    ends = [event for event in of_runs if event.type in ENDS]
    return ends, [event.run_id for event in of_runs if event.type is Type.RUN_CANCELLING]


def child_ended(end: Event, parent: Parent) -> dict[str, Any]:
    """Give what a parent is told of the end of its child.

    Outputs that no node may return are an error there: they would be the outputs of the node.
    """
    data = end.data or {}
    told: dict[str, Any] = {
        "node_id": parent.node_id,
        "item": parent.item,
        "attempt": parent.attempt,
        "run_id": end.run_id,
        "status": end.type.removeprefix("run."),
    }
    size = len(bytes(data.get("outputs") or b""))
    if size > MAX_OUTPUT:
        message = (
            f"the outputs of run {end.run_id} have {size} bytes of JSON;"
            f" at most {MAX_OUTPUT} are allowed"
        )
        return told | {"status": "failed", "error": {"type": "output", "message": message}}
    return told | {name: data[name] for name in ("outputs", "error") if name in data}


def check_limit(limit: int) -> None:
    """Refuse a limit that the port does not allow.

    Raises:
        ValueError: it is too small or too large.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"a limit from 1 to {MAX_LIMIT} is needed, not {limit}")
