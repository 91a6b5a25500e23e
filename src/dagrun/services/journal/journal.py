"""The one writer of a store: takes events from everybody, and commits them in groups."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
import trio

from dagrun.domain.events import Event, size_of
from dagrun.domain.ids import RunId
from dagrun.errors import ConflictError, LimitReached, StoreBusy, StoreFull
from dagrun.ports.store import Definition, NewRun, Refusal, Rejection, Store, Taken
from dagrun.services.journal.watermarks import Watermarks

MAX_WAITING: Final = 16 * 1024 * 1024  # bytes; beyond it no more nodes are started
MAX_GROUP: Final = 4000  # events in one commit, so that it takes some 30 ms at most
GATHER: Final = 0.005  # seconds that a group may grow while nobody waits for it
RETRY: Final = 0.25  # seconds between tries while the disk is full

Committed = Callable[[Sequence[Event], int], None]

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class JournalStatistics:
    """Where the journal stands."""

    waiting_events: int
    """Events that are not durable yet."""

    waiting_bytes: int
    blocked: str | None
    """Why the last commit must be tried again; None when it went through."""


@attrs.define(eq=False)
class _Submission:
    new_run: NewRun
    definition: Definition
    events: Sequence[Event]
    answered: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None
    run_id: RunId | None = None
    """The run that stands for it."""


@attrs.define(eq=False)
class _Portion:
    """What was appended at once, and about how many bytes it has."""

    events: Sequence[Event]
    size: int
    taken: Sequence[Taken] = ()


class Journal:
    """Commits what waits, whenever something waits; the next group forms in the meantime.

    It implements :class:`~dagrun.ports.journal.JournalFeed`.

    Args:
        store: an open store, written to by nobody else in this process.
        committed: is told of events when they are durable, in the journal's order, and of the
            position of the first one; see :class:`~dagrun.ports.store.CommitResult`.
        refused: is told of runs whose events the store did not take: they belong to somebody
            else now.
    """

    def __init__(
        self,
        store: Store,
        *,
        committed: Committed = lambda _events, _position: None,
        refused: Callable[[RunId, Refusal], None] = lambda _run, _why: None,
    ) -> None:
        self._store = store
        self._committed = committed
        self._refused = refused
        self._events: deque[_Portion] = deque()
        self._submissions: deque[_Submission] = deque()
        self._bytes = 0
        self._blocked: str | None = None
        self._marks = Watermarks()
        self._work = trio.Event()
        self._room = trio.Event()
        self._awaited = trio.Event()
        self._closed = False

    async def run(
        self, *, task_status: trio.TaskStatus["Journal"] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Write until cancelled, and then what still waits.

        Raises:
            StoreError: a commit failed in a way that waiting does not mend.
        """
        task_status.started(self)
        try:
            while True:
                await self._work.wait()
                self._work = trio.Event()
                await self._write_all()
        finally:
            with trio.CancelScope(shield=True):
                await self._write_last()
            self._closed = True
            for submission in self._submissions:
                submission.error = _closed()
                submission.answered.set()

    async def submit(
        self, new_run: NewRun, definition: Definition, events: Sequence[Event]
    ) -> RunId:
        """Store a new run, and give its id when it is durable.

        It is the id of an earlier run if that was submitted with the same idempotency key.
        Cancelled before it is written, it leaves nothing; later, it returns all the same.

        Raises:
            LimitReached: no slot of its concurrency key is free, and it must not wait for one.
            ConflictError: its idempotency key was used for something else.
            StoreFull: there is no room; nothing was written.
            StoreBusy: another process holds the database; nothing was written.
        """
        if self._closed:
            raise _closed()
        submission = _Submission(new_run, definition, events)
        self._submissions.append(submission)
        self._work.set()
        self._awaited.set()
        try:
            await submission.answered.wait()
        except trio.Cancelled:
            if submission in self._submissions:
                self._submissions.remove(submission)
                raise
            # It is being written. The caller must learn whether there is a run now.
            with trio.CancelScope(shield=True):
                await submission.answered.wait()
        if submission.error is not None:
            raise submission.error
        assert submission.run_id is not None  # noqa: S101 — there is an error otherwise
        return submission.run_id

    def append(self, events: Sequence[Event], taken: Sequence[Taken] = ()) -> None:
        """Queue events of one run for the next commit, with messages that were taken up.

        Does not block.
        """
        portion = _Portion(events, sum(map(size_of, events)), taken)
        self._events.append(portion)
        self._bytes += portion.size
        self._work.set()

    def continue_from(self, run_id: RunId, seq: int) -> None:
        """Say that a run's events up to ``seq`` were read from the store."""
        self._marks.reach(run_id, seq)

    def durable(self, run_id: RunId) -> int:
        """Give the highest ``seq`` of a run that is known to be durable."""
        return self._marks.durable(run_id)

    async def wait_durable(self, run_id: RunId, seq: int) -> None:
        """Wait until a run's events up to ``seq`` are durable.

        Raises:
            ConflictError: they never will be, as the run belongs to somebody else now.
        """
        if self._marks.durable(run_id) < seq:
            self._awaited.set()
            await self._marks.wait(run_id, seq)

    def forget(self, run_id: RunId) -> None:
        """Drop what is remembered of a run that has ended."""
        self._marks.forget(run_id)

    def has_room(self) -> bool:
        """Whether nodes may still be started: the disk takes commits, little is waiting."""
        return self._blocked is None and self._bytes <= MAX_WAITING

    async def wait_room(self) -> None:
        """Wait until :meth:`has_room`."""
        while not self.has_room():
            await self._room.wait()

    def fenced(self) -> bool:
        """Give False: what this process writes is its own for as long as it lives."""
        return False

    def statistics(self) -> JournalStatistics:
        """Say how much waits."""
        return JournalStatistics(
            waiting_events=sum(len(portion.events) for portion in self._events),
            waiting_bytes=self._bytes,
            blocked=self._blocked,
        )

    async def _write_all(self) -> None:
        while self._submissions or self._events:
            await self._gather()
            try:
                await self._write_group()
            except (StoreFull, StoreBusy) as error:
                # Without events that wait there is nothing to try again with, and the next
                # submission shows whether there is room.
                self._blocked = str(error) if self._events else None
                if self._events:
                    await trio.sleep(RETRY)
            else:
                self._blocked = None
                self._wake_starters()

    async def _gather(self) -> None:
        """Let a group grow for a moment, unless somebody waits for what is in it.

        Each commit takes time from the loop, so many small ones slow down what nobody waits for.
        """
        if not self._submissions and not self._marks.waiting and self._bytes <= MAX_WAITING:
            self._awaited = trio.Event()
            with trio.move_on_after(GATHER):
                await self._awaited.wait()

    async def _write_last(self) -> None:
        """Write what waits when the journal is closed. A full disk ends that without a sound:
        what could not be written is as if the process had ended a moment earlier.
        """
        try:
            while self._submissions or self._events:
                await self._write_group()
        except (StoreFull, StoreBusy):
            return

    async def _write_group(self) -> None:
        submissions = list(self._submissions)
        self._submissions.clear()
        portions = self._take_portions()
        group = [event for portion in portions for event in portion.events]
        new = [event for submission in submissions for event in submission.events]
        try:
            result = await self._store.commit(
                [*new, *group],
                new_runs=[submission.new_run for submission in submissions],
                definitions=[submission.definition for submission in submissions],
            )
        except Exception as error:
            self._events.extendleft(reversed(portions))
            for submission in submissions:
                submission.error = error
                submission.answered.set()
            raise
        except BaseException:
            # Cancelled before anything was written: all of it belongs to the last groups.
            self._events.extendleft(reversed(portions))
            self._submissions.extendleft(reversed(submissions))
            raise
        self._marks.acknowledge(event for event in new if event.run_id not in result.unsaved)
        _answer(submissions, result.unsaved)
        self._bytes -= sum(portion.size for portion in portions)
        for run_id, why in result.refused.items():
            self._refused(run_id, why)
            self._marks.refuse(run_id, why)
        self._marks.acknowledge(event for event in group if event.run_id not in result.refused)
        self._tell(result.taken, result.position)

    def _tell(self, events: Sequence[Event], position: int) -> None:
        """Tell of durable events. An error of who listens concerns nobody else."""
        try:
            self._committed(events, position)
        except Exception:  # noqa: BLE001 — see above
            _log.exception("an error while durable events were told of")

    def _take_portions(self) -> list["_Portion"]:
        """Take what goes into the next commit: all that waits, or enough of it."""
        taken: list[_Portion] = []
        count = 0
        while self._events and count < MAX_GROUP:
            taken.append(self._events.popleft())
            count += len(taken[-1].events)
        return taken

    def _wake_starters(self) -> None:
        if self.has_room():
            self._room.set()
            self._room = trio.Event()


def _answer(submissions: Sequence[_Submission], unsaved: Mapping[RunId, RunId | Rejection]) -> None:
    for submission in submissions:
        run_id = submission.new_run.run_id
        match unsaved.get(run_id, run_id):
            case Rejection() as rejection:
                submission.error = _rejected(submission.new_run, rejection)
            case standing:
                submission.run_id = standing
        submission.answered.set()


def _closed() -> ConflictError:
    return ConflictError("dagrun is closed, or about to be: nothing more is accepted")


def _rejected(run: NewRun, rejection: Rejection) -> ConflictError:
    if rejection is Rejection.NO_SLOT and run.slot is not None:
        return LimitReached(run.workflow_id, run.slot.key, run.slot.limit)
    key = "" if run.request is None else run.request.key
    return ConflictError(
        f"the idempotency key {key!r} was used for another submission of {run.workflow_id}"
    )
