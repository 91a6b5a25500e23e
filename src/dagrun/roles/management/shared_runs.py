"""The runs of a data directory, as all who share it can look at them and ask for them."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from dagrun.builtin.ownership import ORCHESTRATOR
from dagrun.domain.events import Event
from dagrun.domain.ids import RunId
from dagrun.domain.result import RunResult, run_result
from dagrun.domain.scope import run_inputs
from dagrun.domain.state import RunState
from dagrun.domain.status import CANCELLABLE, PAUSABLE, RESUMABLE, RUN_ENDED, RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import ConflictError, NotFound
from dagrun.ports.management import (
    MOST,
    Change,
    ChildRun,
    Explanation,
    LogPiece,
    Page,
    RunSummary,
    RunView,
)
from dagrun.ports.store import RunRecord, Store
from dagrun.roles.explaining import explain
from dagrun.roles.management.arguments import check_cursor, check_limit, run_id_of
from dagrun.roles.management.looks import PATIENCE, Looks
from dagrun.roles.owners import Request, ask_owner
from dagrun.roles.run_logs import LATE, RunLogs
from dagrun.roles.stored_runs import stored_workflow
from dagrun.roles.summary import child_run, summary

MOMENT: Final = 0.5  # seconds that an engine has to do what was asked of it, before the answer

Select = Callable[..., Awaitable[tuple[Sequence[RunRecord], str | None]]]
"""Gives a page of the runs of a store that are asked for; takes status, limit and cursor."""


@attrs.frozen(kw_only=True)
class SharedRuns:
    """What of :class:`~dagrun.ports.management.RunManagement` needs the data directory only."""

    data_dir: Path
    store: Store
    restored: Callable[[RunRecord], Awaitable[tuple[RunState, Sequence[Event]]]]
    """Gives a run as its journal tells it, and that."""

    looks: Looks
    run_logs: RunLogs
    _large: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Held by who reads something that may be large."""

    async def get(self, run_id: str) -> RunView:
        """Tell how a run stands; see the port."""
        record = await self._record(run_id)
        state, _ = await self._read(record)
        resumable = summary(self.data_dir, record).resumable
        return RunView(result=run_result(state), inputs=run_inputs(state), resumable=resumable)

    async def wait(self, run_id: str) -> RunResult:
        """Wait for the end of a run; see the port."""
        while (record := await self._record(run_id)).status not in RUN_ENDED:
            async with aclosing(self.looks.at(record.run_id, after=record.last_seq)) as looks:
                async for _ in looks:
                    pass
            if (await self._record(run_id)).status not in RUN_ENDED:
                await trio.sleep(PATIENCE)  # its process has ended; somebody may go on with it
        return (await self.get(run_id)).result

    async def list(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | None = None,
        cut_off: bool = False,
        top_level: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Give runs, newest first; see the port."""
        check_limit(limit)
        check_cursor(cursor)
        select = partial(self.store.runs, workflow_id=workflow_id, top_level=top_level)
        if cut_off:
            return await self._cut_off(select, status, limit, cursor)
        records, following = await select(status=status, limit=limit, cursor=cursor)
        return Page(items=[summary(self.data_dir, one) for one in records], next=following)

    async def cancel(self, run_id: str) -> Change:
        """Cancel a run; see the port."""
        return await self._changed(run_id, self._cancel, CANCELLABLE)

    async def pause(self, run_id: str) -> Change:
        """Start nothing more of a run; see the port."""
        return await self._changed(run_id, self._pause, PAUSABLE)

    async def resume(self, run_id: str) -> Change:
        """Go on with a paused run; see the port."""
        return await self._changed(run_id, self._resume, RESUMABLE)

    async def explain(self, run_id: str) -> Explanation:
        """Say why a run stands where it stands; see the port."""
        record = await self._record(run_id)
        state, _ = await self._read(record)
        reasons = await explain(self.data_dir, self.store, record, state, here=self._whereabouts)
        return Explanation(run_id=record.run_id, status=state.status, reasons=reasons)

    async def children(self, run_id: str) -> Sequence[ChildRun]:
        """Give the runs that a run started; see the port."""
        record = await self._record(run_id)
        return [
            child
            for one in await self.store.children(record.run_id)
            if (child := child_run(self.data_dir, one)) is not None
        ]

    async def child(self, run_id: str) -> ChildRun:
        """Tell how a child run stands; see the port."""
        child = child_run(self.data_dir, await self._record(run_id))
        if child is None:
            raise NotFound(f"run {run_id} is the child of no other run")
        return child

    @asynccontextmanager
    async def journal(
        self, run_id: str, *, after: int = 0, follow: bool = True
    ) -> AsyncIterator[AsyncIterator[Sequence[Event]]]:
        """Read the journal of a run; see the port."""
        record = await self._record(run_id)
        async with aclosing(self._batches(record.run_id, after, follow=follow)) as batches:
            yield batches

    async def workflow_of(self, run_id: str) -> Workflow:
        """Give the workflow of a run; see the port."""
        record = await self._record(run_id)
        async with self._large:
            return await stored_workflow(self.store, record)

    def logs(
        self,
        run_id: str,
        *,
        node_id: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        follow: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[LogPiece]]:
        """Read what the nodes of a run wrote; see the port."""
        return self._logs(run_id, node_id, item, attempt, follow=follow)

    @asynccontextmanager
    async def _logs(
        self,
        run_id: str,
        node_id: str | None,
        item: int | None,
        attempt: int | None,
        *,
        follow: bool,
    ) -> AsyncIterator[AsyncIterator[LogPiece]]:
        record = await self._record(run_id)
        state, events = await self._read(record)
        wanted = (node_id, item, attempt)
        if follow:
            late = LATE if record.owner == ORCHESTRATOR else 0.0
            pieces = self.run_logs.followed(state, events, wanted, self.looks, late=late)
        else:
            pieces = self.run_logs.so_far(state, wanted)
        async with aclosing(pieces):
            yield pieces

    async def _batches(
        self, run_id: RunId, after: int, *, follow: bool
    ) -> AsyncGenerator[Sequence[Event], None]:
        async with aclosing(self.looks.at(run_id, after=after)) as looks:
            async for events in looks:
                if events:
                    yield events
                if not follow:
                    return

    async def _record(self, run_id: str) -> RunRecord:
        return await self.store.run(run_id_of(run_id))

    async def _read(self, record: RunRecord) -> tuple[RunState, Sequence[Event]]:
        """Read a run as its journal tells it; one after the other, and others have their turn.

        A large one takes a second. If a hundred callers had theirs in one turn of the loop, engines
        would wait for their answers for longer than their leases.
        """
        async with self._large:
            return await self.restored(record)

    async def _summary(self, run_id: RunId) -> RunSummary:
        return summary(self.data_dir, await self.store.run(run_id))

    async def _changed(
        self,
        run_id: str,
        change: Callable[[RunRecord], Awaitable[bool]],
        before: Collection[RunStatus],
    ) -> Change:
        """Change a run, and say what came of it. It is in one of the states ``before`` until then."""
        record = await self._record(run_id)
        changed = await change(record)
        if changed:
            with trio.move_on_after(MOMENT), suppress(ConflictError):
                await self._leaves(record, before)
        status = (await self.store.run(record.run_id)).status
        return Change(run_id=record.run_id, changed=changed, status=status)

    async def _leaves(self, record: RunRecord, statuses: Collection[RunStatus]) -> None:
        """Wait until a run is in none of some states: an engine elsewhere may yet have to hear."""
        async with aclosing(self.looks.at(record.run_id, after=record.last_seq)) as looks:
            async for _ in looks:
                if (await self.store.run(record.run_id)).status not in statuses:
                    return

    async def _cut_off(
        self, select: Select, status: RunStatus | None, limit: int, cursor: str | None
    ) -> Page[RunSummary]:
        """Give a page of the runs that have not ended, and whose processes have."""
        found: list[RunSummary] = []
        for one in RunStatus if status is None else [status]:
            if one not in RUN_ENDED:
                found += await self._cut_off_in(one, select, limit, cursor)
        found.sort(key=lambda run: run.run_id, reverse=True)
        following = found[limit - 1].run_id if len(found) > limit else None
        return Page(items=found[:limit], next=following)

    async def _cut_off_in(
        self, status: RunStatus, select: Select, limit: int, cursor: str | None
    ) -> Sequence[RunSummary]:
        """Give those in one state, the newest first, and one more than are asked for."""
        found: list[RunSummary] = []
        while len(found) <= limit:
            records, cursor = await select(status=status, limit=MOST, cursor=cursor)
            runs = [summary(self.data_dir, record) for record in records]
            found += [run for run in runs if run.resumable]
            if cursor is None:
                break
        return found

    async def _cancel(self, record: RunRecord) -> bool:
        return await self._ask(record, Request.CANCEL)

    async def _pause(self, record: RunRecord) -> bool:
        return await self._ask(record, Request.PAUSE)

    async def _resume(self, record: RunRecord) -> bool:
        return await self._ask(record, Request.RESUME)

    async def _ask(self, record: RunRecord, what: Request) -> bool:
        return bool(await ask_owner(self.data_dir, record, what))

    def _whereabouts(self, run_id: RunId) -> str | None:
        """Say where a run of this process is; None for another one's."""
        return None
