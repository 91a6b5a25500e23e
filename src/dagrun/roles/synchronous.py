"""The same as :mod:`dagrun.roles.embedded`, for programs that are not async.

dagrun runs in a thread of its own, and each call waits for its answer.
"""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

import attrs
import trio

from dagrun.domain.monitoring import MonitorEvent
from dagrun.domain.result import RunResult
from dagrun.domain.status import RunStatus
from dagrun.domain.workflow import Workflow
from dagrun.errors import sole
from dagrun.ports.management import Registered, RunSummary
from dagrun.roles.embedded import open_orchestrator
from dagrun.roles.program import Orchestrator, Run
from dagrun.roles.sub_workflows import SubWorkflows
from dagrun.roles.wanted import HasRunId
from dagrun.roles.workflows import Source

P = ParamSpec("P")
T = TypeVar("T")


class Closed(RuntimeError):
    """The ``with`` block of the orchestrator was left."""


class Portal:
    """Calls async functions in the thread in which dagrun runs."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call, and wait for the result.

        Raises:
            Closed: the ``with`` block of the orchestrator was left.
        """
        try:
            return trio.from_thread.run(partial(function, *args, **kwargs), trio_token=self._token)
        except trio.RunFinishedError as error:
            raise Closed("the orchestrator is closed: its with block was left") from error


class SyncRun:
    """A run that was started; see :class:`~dagrun.roles.program.Run`."""

    def __init__(self, run: Run, portal: Portal) -> None:
        self._run, self._portal = run, portal

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._run.run_id

    def result(self) -> RunResult:
        """Wait for the end, and tell how the run went."""
        return self._portal.call(self._run.result)


class SyncSubWorkflows:
    """What :class:`~dagrun.roles.sub_workflows.SubWorkflows` does, with methods that wait."""

    def __init__(self, sub_workflows: SubWorkflows, portal: Portal) -> None:
        self._sub_workflows, self._portal = sub_workflows, portal

    def execute(
        self, workflow: str | Workflow | Registered, version: str | None = None, **options: Any
    ) -> RunResult:
        """Start a run for another one, and wait for its end; see the async method."""
        return self._portal.call(self._sub_workflows.execute, workflow, version, **options)

    def status(self, run_id: str | HasRunId) -> RunResult:
        """Tell how a run stands, or how it went."""
        return self._portal.call(self._sub_workflows.status, run_id)

    def children(self, parent: str | HasRunId) -> Sequence[RunSummary]:
        """Give the runs that a run started."""
        return self._portal.call(self._sub_workflows.children, parent)

    def cancel_children(self, parent: str | HasRunId) -> Sequence[str]:
        """Cancel all runs that a run started and that have not ended; give their ids."""
        return self._portal.call(self._sub_workflows.cancel_children, parent)


class SyncOrchestrator:
    """An :class:`~dagrun.roles.program.Orchestrator` whose methods wait.

    Any thread may call them, several at once.
    """

    def __init__(self, orchestrator: Orchestrator, portal: Portal) -> None:
        self._orchestrator, self._portal = orchestrator, portal

    @property
    def sub_workflows(self) -> SyncSubWorkflows:
        """Starts runs for other runs, and tells of them."""
        return SyncSubWorkflows(self._orchestrator.sub_workflows, self._portal)

    def register_workflow(
        self, source: Source, *, metadata: Mapping[str, Any] | None = None
    ) -> Registered:
        """Keep a version of a workflow under its id."""
        return self._portal.call(self._orchestrator.register_workflow, source, metadata=metadata)

    def start_workflow(
        self,
        workflow_id: str | Workflow | Registered,
        inputs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> SyncRun:
        """Accept a run; the options are those of the async method."""
        run = self._portal.call(self._orchestrator.start_workflow, workflow_id, inputs, **options)
        return SyncRun(run, self._portal)

    def execute_workflow(
        self,
        workflow_id: str | Workflow | Registered,
        inputs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> RunResult:
        """Start a run, and wait for its end; the options are those of the async method."""
        return self._portal.call(
            self._orchestrator.execute_workflow, workflow_id, inputs, **options
        )

    def retry(self, run_id: str | HasRunId, **options: Any) -> SyncRun:
        """Do once more what a run did not bring off; the options are those of the async method."""
        run = self._portal.call(self._orchestrator.retry, run_id, **options)
        return SyncRun(run, self._portal)

    def rerun(self, run_id: str | HasRunId, **options: Any) -> SyncRun:
        """Do once more what a run did; the options are those of the async method."""
        run = self._portal.call(self._orchestrator.rerun, run_id, **options)
        return SyncRun(run, self._portal)

    def get_run(self, run_id: str | HasRunId) -> RunResult:
        """Tell how a run stands, or how it went."""
        return self._portal.call(self._orchestrator.get_run, run_id)

    def list_runs(
        self,
        *,
        workflow_id: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[Sequence[RunSummary], str | None]:
        """Give runs, newest first, and the cursor of the next page or None."""
        return self._portal.call(
            self._orchestrator.list_runs,
            workflow_id=workflow_id,
            status=status,
            limit=limit,
            cursor=cursor,
        )

    def cancel(self, run_id: str | HasRunId) -> bool:
        """Cancel a run."""
        return self._portal.call(self._orchestrator.cancel, run_id)

    def pause(self, run_id: str | HasRunId) -> bool:
        """Start nothing more of a run."""
        return self._portal.call(self._orchestrator.pause, run_id)

    def resume(self, run_id: str | HasRunId) -> bool:
        """Go on with a paused run."""
        return self._portal.call(self._orchestrator.resume, run_id)

    def recover(self, *, workflow_id: str | None = None) -> list[SyncRun]:
        """Go on with the runs of programs that have ended before their runs did."""
        runs = self._portal.call(self._orchestrator.recover, workflow_id=workflow_id)
        return [SyncRun(run, self._portal) for run in runs]

    @contextmanager
    def subscribe(self, **options: Any) -> Iterator[Iterator[MonitorEvent]]:
        """Get events in a ``with`` block; the options are those of ``monitor.subscribe``.

        The iteration ends when the orchestrator is closed.
        """
        subscription = self._orchestrator.monitor.subscribe(**options)
        events = self._portal.call(subscription.__aenter__)
        try:
            yield self._each(events)
        finally:
            with suppress(Closed):  # then the subscription is gone, too
                self._portal.call(subscription.__aexit__, None, None, None)

    def _each(self, events: AsyncIterator[MonitorEvent]) -> Iterator[MonitorEvent]:
        with suppress(StopAsyncIteration, Closed):
            while True:
                yield self._portal.call(events.__anext__)


@attrs.define(eq=False)
class _Thread:
    """What the thread in which dagrun runs tells the one that opened it."""

    opened: threading.Event = attrs.field(factory=threading.Event)
    orchestrator: Orchestrator | None = None
    token: trio.lowlevel.TrioToken | None = None
    done: trio.Event | None = None
    error: BaseException | None = None

    def run(self, options: Mapping[str, Any]) -> None:
        try:
            trio.run(self._main, options)
        except BaseException as error:  # noqa: BLE001 — raised again where it is waited for
            self.error = sole(error)
        finally:
            self.opened.set()

    async def _main(self, options: Mapping[str, Any]) -> None:
        self.token, self.done = trio.lowlevel.current_trio_token(), trio.Event()
        async with open_orchestrator(**options) as self.orchestrator:
            self.opened.set()
            await self.done.wait()


@contextmanager
def open_sync_orchestrator(**options: Any) -> Iterator[SyncOrchestrator]:
    """Run workflows in this program, for as long as the ``with`` block lasts.

    The options and errors are those of :func:`~dagrun.roles.embedded.open_orchestrator`.
    """
    inner = _Thread()
    thread = threading.Thread(target=inner.run, args=(options,), name="dagrun", daemon=True)
    thread.start()
    inner.opened.wait()
    try:
        if inner.orchestrator is not None and inner.token is not None and inner.done is not None:
            try:
                yield SyncOrchestrator(inner.orchestrator, Portal(inner.token))
            finally:
                _end(inner.token, inner.done)
    finally:
        thread.join()
        if inner.error is not None:
            raise inner.error


def _end(token: trio.lowlevel.TrioToken, done: trio.Event) -> None:
    try:
        token.run_sync_soon(done.set)
    except trio.RunFinishedError:
        return  # it ended by itself, with an error that is raised when the thread is joined
