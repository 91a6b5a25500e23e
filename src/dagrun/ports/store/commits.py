"""What is written in one transaction, and what becomes of it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import attrs

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.ports.store.definitions import Definition
from dagrun.ports.store.messages import Posted
from dagrun.ports.store.submissions import NewRun, Rejection


@attrs.frozen(kw_only=True)
class Taken:
    """A message that whoever executes a run has taken up. It is deleted with the commit."""

    run_id: RunId
    epoch: int
    number: int


@attrs.frozen(kw_only=True)
class Assignment:
    """Which engine executes a run from now on, or that none does."""

    run_id: RunId
    epoch: int
    """The run's; another one is refused."""

    engine_id: str | None
    instance: str | None
    seen: int | None = None
    """Refuse this if there is a newer message than this one; None accepts any."""


class Refusal(StrEnum):
    """Why the events of a run, or its assignment, were not taken."""

    UNKNOWN_RUN = "unknown_run"
    STALE_EPOCH = "stale_epoch"
    GAP = "gap"
    UNSEEN = "unseen"
    """There is a message that must be taken up first: a request to cancel before the end of the
    run, or any before it is given back."""

    ENDED = "ended"
    """An assignment of a run that has ended."""


@attrs.frozen(kw_only=True)
class CommitResult:
    """What became of a batch that is now durable."""

    refused: Mapping[RunId, Refusal] = attrs.field(factory=dict)
    """Runs none of whose events in this batch were taken."""

    unsaved: Mapping[RunId, RunId | Rejection] = attrs.field(factory=dict)
    """New runs that were not stored, nor their events: the run that has the idempotency key
    already, or why.
    """

    taken: Sequence[Event] = attrs.field(default=(), eq=False)
    """The events that were stored, in their order."""

    position: int = attrs.field(default=0, eq=False)
    """Position of the first of them; the others follow without gaps."""

    unassigned: Mapping[RunId, Refusal] = attrs.field(factory=dict)
    """Assignments that were refused. The run's events in this batch are not affected."""

    posted: Sequence[Posted] = attrs.field(default=(), eq=False)
    """Messages that this commit posted: a child's end to its parent, and a request to cancel to
    the children of a run that is being cancelled."""


class Commits(Protocol):
    """Writes all that comes of running workflows."""

    async def commit(
        self,
        events: Sequence[Event],
        *,
        new_runs: Sequence[NewRun] = (),
        definitions: Sequence[Definition] = (),
        taken: Sequence[Taken] = (),
        assignments: Sequence[Assignment] = (),
    ) -> CommitResult:
        """Write all of it in one transaction, and return when it is durable.

        For each run: events whose ``seq`` is already there under the same epoch are dropped;
        those of another epoch than the run's, or that leave a gap, make the store refuse all of
        the run's events in this batch. Other runs are not affected. A definition that is
        already there is left as it is.

        Messages that were taken up are deleted if their epoch is the run's; that is done before
        the run's events are looked at. They stay if these are refused: what they brought about is
        not stored. Events that decide on a run's end or end it, other than ``run.cancelled``, are
        refused (``UNSEEN``), with all others of the run in this batch, while a request to cancel it
        is there that was not taken up, unless it is being cancelled anyway. The assignments come
        last. The end of a run deletes its messages, and its assignment.

        A child's end is posted to its parent, if that waits for it and has not ended. A
        ``run.cancelling`` is posted to all children of the run that have not ended, and to theirs.
        A new run with a parent is the earlier one if there is one for the same run, node, item and
        attempt.

        Raises:
            StoreFull: no room. Nothing of the batch was written.
        """
        ...
