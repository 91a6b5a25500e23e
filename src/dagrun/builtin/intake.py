"""What stores take: of a batch, so that each journal is a prefix of what happened, and of limits."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.ports.store import MAX_LIMIT, Refusal

KEPT: Final = timedelta(hours=24)
"""How long an idempotency key stands for its run."""


def choose(
    events: Sequence[Event],
    positions: Mapping[RunId, tuple[int, int]],
    stored_epoch: Callable[[RunId, int], int],
) -> tuple[list[Event], dict[RunId, Refusal]]:
    """Split a batch by what the store has.

    Args:
        events: in journal order for each run.
        positions: run → its epoch and the last ``seq`` that is stored.
        stored_epoch: gives the epoch of a stored event; asked for repeated ones only.
    """
    refused: dict[RunId, Refusal] = {}
    last = {run_id: seq for run_id, (_, seq) in positions.items()}
    taken = []
    for event in events:
        run_id = event.run_id
        if run_id in refused:
            continue
        if run_id not in positions:
            refused[run_id] = Refusal.UNKNOWN_RUN
        elif event.epoch != positions[run_id][0]:
            refused[run_id] = Refusal.STALE_EPOCH
        elif event.seq > last[run_id] + 1:
            refused[run_id] = Refusal.GAP
        elif event.seq <= positions[run_id][1]:
            # Stored by an earlier owner: this one's journal parts from ours before its epoch.
            if stored_epoch(run_id, event.seq) != event.epoch:
                refused[run_id] = Refusal.GAP
        elif event.seq == last[run_id] + 1:
            last[run_id] = event.seq
            taken.append(event)
    if refused:
        taken = [event for event in taken if event.run_id not in refused]
    return taken, refused


def check_limit(limit: int) -> None:
    """Refuse a limit that the port does not allow.

    Raises:
        ValueError: it is too small or too large.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"a limit from 1 to {MAX_LIMIT} is needed, not {limit}")
