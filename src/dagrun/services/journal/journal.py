"""The one writer of a store: takes events from everybody, and commits them in groups."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.errors import StoreBusy, StoreFull
from dagrun.ports.store import (
    Assignment,
    CommitResult,
    Definition,
    NewRun,
    Posted,
    Refusal,
    Store,
    Taken,
)
from dagrun.services.journal.entries import (
    Handing,
    Portion,
    Submission,
    answer,
    answer_handings,
    closed,
    portion,
)
from dagrun.services.journal.watermarks import Watermarks

MAX_WAITING: Final = 16 * 1024 * 1024  # bytes; beyond it no more nodes are started
MAX_GROUP: Final = 4000  # events in one commit, so that it takes some 30 ms at most
GATHER: Final = 0.005  # seconds that a group may grow while nobody waits for it
RETRY: Final = 0.25  # seconds between tries while the disk is full

Committed = Callable[[Sequence[Event], int], None]
Refused = Callable[[RunId, Refusal, int], None]

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class JournalStatistics:
    """Where the journal stands."""

    waiting_events: int
    """Events that are not durable yet."""

    waiting_bytes: int
    blocked: str | None
    """Why the last commit must be tried again; None when it went through."""


class Journal:
    """Commits what waits, whenever something waits; the next group forms in the meantime.

    It implements :class:`~dagrun.ports.journal.JournalFeed`.

    Args:
        store: an open store, written to by nobody else in this process.
        committed: is told of events when they are durable, in the journal's order, and of the
            position of the first one; see :class:`~dagrun.ports.store.CommitResult`.
        posted: is told of the messages that a commit posted to runs, after ``committed``.
        refused: is told of runs whose events the store did not take, why, and under which epoch
            these were: the runs belong to somebody else now.
        troubled: is told why the disk takes no commit, and then once, with None, that it does again.
    """

    def __init__(
        self,
        store: Store,
        *,
        committed: Committed = lambda _events, _position: None,
        posted: Callable[[Sequence[Posted]], None] = lambda _posted: None,
        refused: Refused = lambda _run, _why, _epoch: None,
        troubled: Callable[[str | None], None] = lambda _problem: None,
    ) -> None:
        self._store = store
        self._committed = committed
        self._posted = posted
        self._refused = refused
        self._troubled = troubled
        self._events: deque[Portion | Handing] = deque()
        self._submissions: deque[Submission] = deque()
        self._bytes = 0
        self._assigning = 0
        """Calls of :meth:`assign` that have not returned."""

        self._blocked: str | None = None
        self._in_trouble = False
        self._marks = Watermarks()
        self._work = trio.Event()
        self._room = trio.Event()
        self._awaited = trio.Event()
        self._hurried = False
        """Whether somebody elsewhere waits for what was appended."""

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
            try:
                with trio.CancelScope(shield=True):
                    await self._write_last()
            finally:
                self._close()

    def _close(self) -> None:
        """Take nothing more, and tell who still waits."""
        self._closed = True
        waiting: list[Submission | Handing] = list(self._submissions)
        waiting += [entry for entry in self._events if isinstance(entry, Handing)]
        for entry in waiting:
            entry.error = closed()
            entry.answered.set()

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
            raise closed()
        submission = Submission(new_run, definition, events)
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

    async def assign(self, assignment: Assignment) -> Refusal | None:
        """Assign a run to an engine, or to none, behind all events that were appended before.

        Returns when it is durable, or gives why it was refused. While the disk takes nothing, it
        waits as events do. Cancelled before it is written, it leaves nothing; later, it returns all
        the same.

        Raises:
            ConflictError: dagrun is closed.
        """
        if self._closed:
            raise closed()
        handing = Handing(assignment)
        self._events.append(handing)
        self._assigning += 1
        self._work.set()
        self._awaited.set()
        try:
            await self._wait_assigned(handing)
        finally:
            self._assigning -= 1
        if handing.error is not None:
            raise handing.error
        return handing.refusal

    async def _wait_assigned(self, handing: Handing) -> None:
        try:
            await handing.answered.wait()
        except trio.Cancelled:
            if handing in self._events:
                self._events.remove(handing)
                raise
            # It is being written. The caller must learn whether the run is assigned now.
            handing.given_up = True
            with trio.CancelScope(shield=True):
                await handing.answered.wait()
            if not handing.written:
                raise

    def append(self, events: Sequence[Event], taken: Sequence[Taken] = ()) -> None:
        """Queue events of one run for the next commit, and what was taken up in them.

        Does not block.
        """
        added = portion(events, taken)
        self._events.append(added)
        self._bytes += added.size
        self._work.set()

    def hurry(self) -> None:
        """Commit what was appended without waiting for more; see the port."""
        self._hurried = True
        self._awaited.set()

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
            waiting_events=sum(
                len(entry.events) for entry in self._events if isinstance(entry, Portion)
            ),
            waiting_bytes=self._bytes,
            blocked=self._blocked,
        )

    async def _write_all(self) -> None:
        while self._submissions or self._events:
            await self._gather()
            try:
                await self._write_group()
            except (StoreFull, StoreBusy) as error:
                self._note_trouble(str(error))
                # Without events that wait there is nothing to try again with, and the next
                # submission shows whether there is room.
                self._blocked = str(error) if self._events else None
                if self._events:
                    await trio.sleep(RETRY)
            else:
                self._note_trouble(None)
                self._unblock()
        self._unblock()  # also if what could not be written was given up

    def _unblock(self) -> None:
        self._blocked = None
        self._wake_starters()

    def _note_trouble(self, problem: str | None) -> None:
        if (problem is not None) != self._in_trouble:
            self._in_trouble = not self._in_trouble
            self._troubled(problem)

    async def _gather(self) -> None:
        """Let a group grow for a moment, unless somebody waits for what is in it.

        Each commit takes time from the loop, so many small ones slow down what nobody waits for.
        """
        awaited = self._submissions or self._assigning or self._marks.waiting or self._hurried
        if not awaited and self._bytes <= MAX_WAITING:
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
        entries = self._take_entries()
        self._hurried = False
        portions = [entry for entry in entries if isinstance(entry, Portion)]
        handings = [entry for entry in entries if isinstance(entry, Handing)]
        group = [event for portion in portions for event in portion.events]
        new = [event for submission in submissions for event in submission.events]
        try:
            result = await self._store.commit(
                [*new, *group],
                new_runs=[submission.new_run for submission in submissions],
                definitions=[submission.definition for submission in submissions],
                taken=[taken for portion in portions for taken in portion.taken],
                assignments=[handing.assignment for handing in handings],
            )
        except Exception as error:
            self._put_back(entries)
            for submission in submissions:
                submission.error = error
                submission.answered.set()
            raise
        except BaseException:
            # Cancelled before anything was written: all of it belongs to the last groups.
            self._put_back(entries)
            self._submissions.extendleft(reversed(submissions))
            raise
        self._marks.acknowledge(event for event in new if event.run_id not in result.unsaved)
        answer(submissions, result.unsaved)
        answer_handings(handings, result.unassigned)
        self._bytes -= sum(portion.size for portion in portions)
        epochs = {event.run_id: event.epoch for event in group} if result.refused else {}
        for run_id, why in result.refused.items():
            self._refused(run_id, why, epochs.get(run_id, 0))
            self._marks.refuse(run_id, why)
        self._marks.acknowledge(event for event in group if event.run_id not in result.refused)
        self._tell(result)

    def _tell(self, result: CommitResult) -> None:
        """Tell of what is durable. An error of who listens concerns nobody else."""
        try:
            self._committed(result.taken, result.position)
        except Exception:  # noqa: BLE001 — see above
            _log.exception("an error while durable events were told of")
        if not result.posted:
            return
        try:
            self._posted(result.posted)
        except Exception:  # noqa: BLE001 — see above
            _log.exception("an error while posted messages were told of")

    def _take_entries(self) -> list[Portion | Handing]:
        """Take what goes into the next commit: all that waits, or enough of it.

        Of two assignments of one run, the later one waits for the answer to the first.
        """
        taken: list[Portion | Handing] = []
        assigned: set[RunId] = set()
        count = 0
        while self._events and count < MAX_GROUP:
            match self._events[0]:
                case Handing(assignment) if assignment.run_id in assigned:
                    break
                case Handing(assignment):
                    assigned.add(assignment.run_id)
                    count += 1
                case entry:
                    count += len(entry.events)
            taken.append(self._events.popleft())
        return taken

    def _put_back(self, entries: Sequence[Portion | Handing]) -> None:
        """Let what was not written wait again, but for what nobody wants any more."""
        for entry in reversed(entries):
            if isinstance(entry, Handing) and entry.given_up:
                entry.answered.set()
            else:
                self._events.appendleft(entry)

    def _wake_starters(self) -> None:
        if self.has_room():
            self._room.set()
            self._room = trio.Event()
