"""What waits for a commit: new runs, portions of events, and assignments."""

from collections.abc import Mapping, Sequence

import attrs
import trio

from dagrun.domain.events import Event, size_of
from dagrun.domain.ids import RunId
from dagrun.errors import ConflictError, LimitReached
from dagrun.ports.store import Assignment, Definition, NewRun, Refusal, Rejection, Taken


@attrs.define(eq=False)
class Submission:
    """A new run, and who waits for it."""

    new_run: NewRun
    definition: Definition
    events: Sequence[Event]
    answered: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None
    run_id: RunId | None = None
    """The run that stands for it."""


@attrs.define(eq=False)
class Portion:
    """What was appended at once, and about how many bytes it has."""

    events: Sequence[Event]
    taken: Sequence[Taken]
    size: int


@attrs.define(eq=False)
class Handing:
    """An assignment, and who waits for it. It stands in one line with the portions before it."""

    assignment: Assignment
    answered: trio.Event = attrs.field(factory=trio.Event)
    given_up: bool = False
    """Whether nobody wants it any more if it is not written by what is under way."""

    written: bool = False
    error: Exception | None = None
    refusal: Refusal | None = None


def portion(events: Sequence[Event], taken: Sequence[Taken]) -> Portion:
    """Make a portion of events, and what was taken up in them."""
    return Portion(events, taken, sum(map(size_of, events)))


def answer(submissions: Sequence[Submission], unsaved: Mapping[RunId, RunId | Rejection]) -> None:
    """Tell who submitted runs what became of them."""
    for submission in submissions:
        run_id = submission.new_run.run_id
        match unsaved.get(run_id, run_id):
            case Rejection() as rejection:
                submission.error = rejected(submission.new_run, rejection)
            case standing:
                submission.run_id = standing
        submission.answered.set()


def answer_handings(handings: Sequence[Handing], unassigned: Mapping[RunId, Refusal]) -> None:
    """Tell who assigned runs what became of that."""
    for handing in handings:
        handing.written = True
        handing.refusal = unassigned.get(handing.assignment.run_id)
        handing.answered.set()


def closed() -> ConflictError:
    """Make the error of who comes too late."""
    return ConflictError("dagrun is closed, or about to be: nothing more is accepted")


def rejected(run: NewRun, rejection: Rejection) -> ConflictError:
    """Say why a new run was not stored."""
    match rejection:
        case Rejection.NO_SLOT if run.slot is not None:
            return LimitReached(run.workflow_id, run.slot.key, run.slot.limit)
        case Rejection.ORPHAN if run.parent is not None:
            return ConflictError(
                f"run {run.parent.run_id} starts no child any more: it has ended, is being"
                " cancelled, or was taken over by somebody else"
            )
    key = "" if run.request is None else run.request.key
    return ConflictError(
        f"the idempotency key {key!r} was used for another submission of {run.workflow_id}"
    )
