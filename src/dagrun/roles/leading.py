"""An orchestrator that leads, for those who use it in its own process."""

from collections.abc import Sequence

import attrs

from dagrun.domain.ids import RunId
from dagrun.domain.result import RunResult, run_result
from dagrun.domain.status import RUN_ENDED
from dagrun.errors import ConflictError
from dagrun.ports.management import Management
from dagrun.ports.store import Store
from dagrun.roles.accepting import Accepting
from dagrun.roles.registrations import Registrations
from dagrun.roles.stored_runs import StoredRuns
from dagrun.roles.submission import Submission
from dagrun.services.discoveries import Discoveries
from dagrun.services.dispatcher import Dispatcher
from dagrun.services.fleet import EngineView, Fleet
from dagrun.services.journal import Journal
from dagrun.services.monitor import Monitor
from dagrun.services.node_logs.keeping import Keeping
from dagrun.services.plans import Plans


@attrs.define(kw_only=True)
class Leading:
    """An orchestrator that leads, and its engines."""

    store: Store
    owner: str
    journal: Journal
    monitor: Monitor
    dispatcher: Dispatcher
    fleet: Fleet
    plans: Plans
    runs: StoredRuns
    registrations: Registrations
    discoveries: Discoveries
    keeping: Keeping
    """Writes what nodes write elsewhere."""

    management: Management
    """What clients can ask for."""

    accepting: Accepting
    addresses: Sequence[str] = ()
    """Where it listens for engines and clients."""

    async def submit(self, submission: Submission) -> RunId:
        """Store a run, and let it start when there is room. Returns when it is durable.

        Gives an earlier run if that had the same idempotency key; raises as the same method of a
        program's class.

        Raises:
            QueueFull: too many runs wait already.
        """
        return await self.accepting.submit(submission)

    async def cancel(self, run_id: RunId) -> bool:
        """Cancel a run. Give False if it has ended, or is being cancelled."""
        return await self.dispatcher.cancel(run_id)

    async def pause(self, run_id: RunId) -> bool:
        """Start nothing more of a run. Give False if it has ended or is paused."""
        return await self.dispatcher.pause(run_id)

    async def resume(self, run_id: RunId) -> bool:
        """Go on with a paused run. Give False if it is not paused."""
        return await self.dispatcher.resume(run_id)

    async def result(self, run_id: RunId) -> RunResult:
        """Wait for the end of a run, and tell how it went.

        Raises:
            ConflictError: it was taken over, or this orchestrator is closed before.
        """
        ticket = self.dispatcher.ticket(run_id)
        if ticket is not None:
            await ticket.wait()
            if ticket.abandoned is not None:
                raise ConflictError(f"run {run_id} is left: {ticket.abandoned}")
        record = await self.store.run(run_id)
        if record.status not in RUN_ENDED:
            raise ConflictError(f"the orchestrator was closed before run {run_id} has ended")
        state, _ = await self.runs.restored(record)
        return run_result(state)

    def register(self, address: str) -> None:
        """Know an engine that waits to be dialled at ``host:port``. Does not block.

        Raises:
            ConfigError: no discovery of this orchestrator takes registrations, or it has too many.
        """
        self.discoveries.register(address)

    def engines(self) -> Sequence[EngineView]:
        """List the engines."""
        return self.fleet.engines()
