"""Runs as the store knows them: replayed, taken over, and asked for things wherever they are."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import trio

from dagrun.builtin.ownership import ORCHESTRATOR, owner_pid
from dagrun.domain.events import Event, Type
from dagrun.domain.fold import replay
from dagrun.domain.ids import RunId
from dagrun.domain.jsonvalue import decode, parse
from dagrun.domain.plan import Plan
from dagrun.domain.reasons import REQUESTED
from dagrun.domain.remembered import Remembered, is_small
from dagrun.domain.scope import run_key
from dagrun.domain.serialize import from_json
from dagrun.domain.state import RunState
from dagrun.domain.status import RUN_ENDED, RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConflictError, DagrunError, NotFound, RunOwned, StoreCorrupt
from dagrun.ports.store import Definition, Message, MessageKind, Posted, RunRecord, Slot, Store
from dagrun.roles.owners import Request, ask_owner, is_cut_off, orchestrator_is_gone
from dagrun.services.dispatcher import Dispatcher, Ticket
from dagrun.services.plans import Plans, Prepared

ON_THE_WAY_TO_ITS_END: Final = (RunStatus.CANCELLING, RunStatus.ENDING)


async def stored_workflow(store: Store, record: RunRecord) -> Workflow:
    """Give the workflow of a run as it was when the run was accepted.

    Raises:
        StoreCorrupt: it is damaged.
    """
    definition = await stored_definition(store, record)
    with _sound(store, record, "definition"):
        return from_json(definition.body)


async def stored_definition(store: Store, record: RunRecord) -> Definition:
    """Give the definition of a run.

    Raises:
        StoreCorrupt: it is missing, or damaged.
    """
    try:
        return await store.definition(record.definition_hash)
    except NotFound as error:
        raise damaged(store, record, "definition", error) from error


async def restore(store: Store, record: RunRecord, plan: Plan) -> tuple[RunState, Sequence[Event]]:
    """Let the journal of a run happen again. Give the state, and the events.

    Raises:
        StoreCorrupt: the journal or the inputs are damaged.
    """
    with _sound(store, record, "inputs"):
        _check_inputs(record)
    state = RunState(plan, record.run_id, record.inputs)
    return state, await read_on(store, record, state)


async def read_on(store: Store, record: RunRecord, state: RunState) -> Sequence[Event]:
    """Let happen what a state has not seen of its journal, and give it.

    Raises:
        StoreCorrupt: the journal is damaged.
    """
    events = list(await store.events(record.run_id, after=state.seq))
    with _sound(store, record, "journal"):
        replay(state, events)
        if state.seq < record.last_seq:
            raise ValueError(f"of {record.last_seq} events there are {state.seq}")
    return events


@contextmanager
def _sound(store: Store, record: RunRecord, what: str) -> Iterator[None]:
    """Say of what cannot be understood that it is damaged."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(store, record, what, error) from error


def _check_inputs(record: RunRecord) -> None:
    if not isinstance(decode(parse(bytes(record.inputs))), dict):
        raise ValueError("they are no object")  # noqa: TRY004 — what is stored is wrong


def damaged(store: Store, record: RunRecord, what: str, error: Exception) -> StoreCorrupt:
    """Say that something that is stored of a run is of no use."""
    return StoreCorrupt(
        f"{store.place}: the {what} of run {record.run_id} is damaged ({error}); "
        "restore the database from a backup, or start the workflow anew"
    )


class StoredRuns:
    """Implements :class:`~dagrun.services.dispatcher.runs.Runs` for one process of many.

    Args:
        data_dir: the directory that they share.
        owner: this process's owner id.
        store: an open store.
        plans: compiles workflows.
        folded: remembers runs, of which nobody here changes what was claimed; None for no such.
        pass_on: passes on what was posted to other runs on the way.
        go_on: goes on with a run that was cut off, and with what it waits for.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        owner: str,
        store: Store,
        plans: Plans,
        pass_on: Callable[[Sequence[Posted]], None],
        go_on: Callable[[RunId], Awaitable[object]],
        folded: Remembered[RunState] | None = None,
    ) -> None:
        self._data_dir, self._owner = data_dir, owner
        self._store, self._plans = store, plans
        self._pass_on = pass_on
        self._go_on = go_on
        self._folded = folded
        self.dispatcher: Dispatcher
        """Set before the first call."""

    def owns(self, record: RunRecord) -> bool:
        """Whether a run is of this process."""
        return record.owner == self._owner

    async def load(self, run_id: RunId) -> tuple[RunState, int]:
        """Give a run as its journal tells it, and its present epoch.

        Raises:
            ConflictError: it is another process's now.
        """
        record = await self._store.run(run_id)
        if record.owner != self._owner:
            raise ConflictError(f"run {run_id} was taken over by somebody else")
        state, _ = await self.restored(record)
        self._check_whole(state, record, claimed=False)
        return state, record.epoch

    async def status(self, run_id: RunId) -> RunStatus:
        """Give how a run stands."""
        return (await self._store.run(run_id)).status

    async def claim(self, run_id: RunId) -> tuple[RunState, int, Sequence[Message]]:
        """Begin a new epoch of a run of this process. Give what was posted to it, too.

        Raises:
            ConflictError: it is another process's now.
        """
        record = await self._store.run(run_id)
        if record.owner != self._owner:
            raise ConflictError(f"run {run_id} was taken over by somebody else")
        record = await self._store.claim(run_id, owner=self._owner, expected_epoch=record.epoch)
        state = await self._looked_at(record)
        self._check_whole(state, record, claimed=True)
        return state, record.epoch, await self._store.messages(run_id)

    async def look(self, run_id: RunId) -> RunState:
        """Give a run as its journal tells it, to be looked at only."""
        return await self._looked_at(await self._store.run(run_id))

    async def _looked_at(self, record: RunRecord) -> RunState:
        """Give a run as its journal tells it; of one that is remembered, only the rest is read."""
        if self._folded is None:
            return (await self.restored(record))[0]
        state = self._folded.take(record.run_id)
        if state is None:
            state, _ = await self.restored(record)
        else:
            await read_on(self._store, record, state)
        if is_small(state):
            self._folded.put(record.run_id, state, state.seq)
        return state

    async def take_over(self, record: RunRecord) -> tuple[Ticket, Sequence[Event]]:
        """Make a run whose process has ended a run of this process. Give what it did so far, too.

        Raises:
            ConflictError: it has ended, or is an orchestrator's, or somebody else was faster.
            RunOwned: a live process executes it.
            StoreCorrupt: what is stored of it is damaged.
        """
        if record.status in RUN_ENDED:
            raise ConflictError(
                f"run {record.run_id} has ended: {record.status}. Only a run that was cut off can be "
                f"gone on with; run it again with: dagrun runs {_again(record)} {record.run_id}"
            )
        if (pid := owner_pid(self._data_dir, record.owner)) is not None:
            raise RunOwned(record.run_id, pid)
        if record.owner == ORCHESTRATOR:
            raise ConflictError(f"run {record.run_id}: {orchestrator_is_gone(self._data_dir)}")
        prepared = await self._prepared(record)
        # Read before it is claimed, so that what is damaged stays as it is, and whose it is.
        state, events = await restore(self._store, record, prepared.plan)
        present = await self._store.run(record.run_id)
        if present.epoch == record.epoch:
            self._check_whole(state, present, claimed=False)
        record = await self._store.claim(
            record.run_id, owner=self._owner, expected_epoch=record.epoch
        )
        self._check_whole(state, record, claimed=True)
        ticket = Ticket(
            run_id=record.run_id,
            workflow=prepared.workflow,
            make=lambda: state,
            priority=record.priority,
            epoch=record.epoch,
            fresh=state.started_at is None,
            slot=slot_of(prepared.workflow, record),
            admitted=record.admitted,
            needs=state.plan.needs,
            key=self._placement_key(state, record),
            due=_due(prepared.workflow, record, events),
            child=record.parent is not None,
            posted=await self._store.messages(record.run_id),
        )
        return ticket, events

    async def ticket(self, record: RunRecord) -> Ticket:
        """Give the ticket of a run of this process that is stored, and no engine's of it.

        Its journal is not read, nor its definition if another run has the same: a full queue is to
        be known in no time.

        Raises:
            StoreCorrupt: what is stored of it is damaged.
        """
        prepared = await self._prepared(record)
        return Ticket(
            run_id=record.run_id,
            workflow=prepared.workflow,
            priority=record.priority,
            fresh=record.started_at is None,
            child=record.parent is not None,
            slot=slot_of(prepared.workflow, record),
            admitted=record.admitted,
            needs=prepared.plan.needs,
            key=self._stored_placement_key(prepared.plan, record),
            due=await self._stored_due(prepared.workflow, record),
        )

    async def post_cancel(self, run_id: RunId, *, reason: str) -> bool:
        """Keep a request to cancel a run until an engine has it. Give False if there is one.

        Its descendants are to be cancelled, too, and are told of it.

        Raises:
            ConflictError: the run is another process's now.
        """
        record = await self._store.run(run_id)
        if record.owner != self._owner:
            raise ConflictError(f"run {run_id} was taken over by somebody else")
        posted = await self._store.post(run_id, MessageKind.CANCEL, {"reason": reason})
        self._pass_on([one for one in posted if one.run_id != run_id])
        return bool(posted)

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free."""
        return await self._store.admit(run_id, slot)

    async def rivals(self, run_id: RunId, slot: Slot) -> Sequence[RunRecord]:
        """Give the runs that may give way to a newer one with their key; see the dispatcher.

        Those that were cut off on the way to their end go on: nobody else frees their slots.
        """
        rivals = await self._store.rivals(run_id, slot.key)
        for run in rivals:
            if run.status in ON_THE_WAY_TO_ITS_END and self._cut_off(run):
                with suppress(DagrunError):  # it is damaged, or somebody else was faster
                    await self._go_on(run.run_id)
        return rivals

    async def cancel(self, record: RunRecord, *, reason: str = REQUESTED) -> bool:
        """Cancel a run, whoever has it. Give False if it has ended, or is being cancelled.

        Raises:
            ConflictError: the run was taken over.
            RemoteError: its process lives and does not answer.
        """
        if record.status in RUN_ENDED:
            return False
        if self.dispatcher.ticket(record.run_id) is not None:
            return await self.dispatcher.cancel(record.run_id, reason=reason)
        if self.owns(record):
            return False  # it has just ended
        if owner_pid(self._data_dir, record.owner) is not None:
            return bool(await ask_owner(self._data_dir, record, Request.CANCEL, reason=reason))
        if record.status in ON_THE_WAY_TO_ITS_END:
            await self._go_on(record.run_id)
            return False
        ticket, _ = await self.take_over(record)
        self.dispatcher.adopt(ticket)
        return await self.dispatcher.cancel(record.run_id, reason=reason)

    def _cut_off(self, record: RunRecord) -> bool:
        here = self.owns(record) or self.dispatcher.ticket(record.run_id) is not None
        return not here and is_cut_off(self._data_dir, record)

    async def restored(self, record: RunRecord) -> tuple[RunState, Sequence[Event]]:
        """Give a stored run, and its journal.

        Raises:
            StoreCorrupt: what is stored of it is damaged.
        """
        return await restore(self._store, record, (await self._prepared(record)).plan)

    async def _prepared(self, record: RunRecord) -> Prepared:
        if (known := self._plans.known(record.definition_hash)) is not None:
            return known
        definition = await stored_definition(self._store, record)
        with _sound(self._store, record, "definition"):
            return await self._plans.restore(definition)

    async def _stored_due(self, workflow: Workflow, record: RunRecord) -> float | None:
        if workflow.start_timeout is None or record.last_seq == 1:
            return _due(workflow, record, ())  # as of most: nothing happened since it was accepted
        return _due(workflow, record, await self._store.events(record.run_id))

    def _stored_placement_key(self, plan: Plan, record: RunRecord) -> str | None:
        if plan.placement_key is None:
            return None  # as of most: there may be many, and a state is much to make
        return self._placement_key(RunState(plan, record.run_id, record.inputs), record)

    def _placement_key(self, state: RunState, record: RunRecord) -> str | None:
        template = state.plan.placement_key
        if template is None:
            return None
        with _sound(self._store, record, "placement key"):
            return run_key(state, template)

    def _check_whole(self, state: RunState, record: RunRecord, *, claimed: bool) -> None:
        """See whether a journal and the run's row, between which nobody wrote, are of one mind."""
        with _sound(self._store, record, "journal"):
            if state.seq != record.last_seq:
                raise ValueError(f"there are {state.seq} events, not {record.last_seq}")
            if record.epoch < state.epoch + claimed:
                raise ValueError(f"epoch {record.epoch} comes after {state.epoch}")


def _again(record: RunRecord) -> str:
    """Give the command that runs a run again which has ended."""
    return "rerun" if record.status is RunStatus.SUCCEEDED else "retry"


def _due(workflow: Workflow, record: RunRecord, events: Sequence[Event]) -> float | None:
    """Give when a stored run's ``start_timeout`` ends, on the loop's clock.

    A run that was paused, or was started, has none.
    """
    patience = workflow.start_timeout
    if patience is None or record.started_at is not None:
        return None
    if any(event.type is Type.RUN_PAUSED for event in events):
        return None
    waited = (datetime.now(UTC) - record.created_at).total_seconds()
    return trio.current_time() + min(max(patience - waited, 0.0), patience)


def slot_of(workflow: Workflow, record: RunRecord) -> Slot | None:
    """Give the slot that a stored run has or waits for."""
    if record.slot_key is None or workflow.concurrency is None:
        return None
    return Slot(key=record.slot_key, limit=workflow.concurrency.limit)
