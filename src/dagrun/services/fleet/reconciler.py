"""What an engine says that it has, against what it should have."""

from collections.abc import Iterable

import trio

from dagrun.domain.ids import RunId
from dagrun.ports.frames import Hello, Tell, Welcome
from dagrun.ports.journal import JournalFeed
from dagrun.ports.patience import patiently
from dagrun.ports.store import Store
from dagrun.ports.tasks import Spawn
from dagrun.services.fleet.assignments import Assignments
from dagrun.services.fleet.outbox import Outbox
from dagrun.services.fleet.remote import Assigned, RemoteEngine


class Reconciler:
    """Answers inventories, with which each stream begins.

    Args:
        lease: seconds after which a silent engine loses its runs.
        store: keeps what was posted to runs.
        journal: knows what is durable.
        assignments: takes back what an engine should have, and has not.
        spawn: starts what takes a while.
    """

    def __init__(
        self,
        *,
        lease: float,
        store: Store,
        journal: JournalFeed,
        assignments: Assignments,
        spawn: Spawn,
    ) -> None:
        self._lease = lease
        self._store = store
        self._journal = journal
        self._assignments = assignments
        self._spawn = spawn

    def reconcile(self, engine: RemoteEngine, hello: Hello, outbox: Outbox) -> None:
        """Welcome an engine: say of each run whether it is kept, and take back what it lacks."""
        kept: list[tuple[RunId, int]] = []
        stopped: list[tuple[RunId, int]] = []
        for run_id, epoch in hello.held:
            keeps = self._keeps(engine, run_id, epoch)
            (kept if keeps else stopped).append((run_id, epoch))
        outbox.put(self._welcome(kept, stopped))
        has = {run_id for run_id, _ in kept}
        for run_id, assigned in list(engine.runs.items()):
            if run_id in has:
                self._spawn(self._tell_again, engine, assigned, outbox)
            elif assigned.sent:
                self._assignments.take_back(engine, run_id, lost=False)

    def _keeps(self, engine: RemoteEngine, run_id: RunId, epoch: int) -> bool:
        """Renew the lease of a run, if the engine rightly has it."""
        assigned = self._assigned(engine, run_id, epoch)
        if assigned is None:
            return False
        assigned.renewed = trio.current_time()
        return True

    def _assigned(self, engine: RemoteEngine, run_id: RunId, epoch: int) -> Assigned | None:
        """Give what an engine rightly has of its inventory."""
        assigned = engine.assigned(run_id, epoch)
        return assigned if assigned is not None and assigned.sent else None

    def _welcome(
        self, kept: Iterable[tuple[RunId, int]], stopped: Iterable[tuple[RunId, int]]
    ) -> Welcome:
        return Welcome(
            lease=self._lease,
            kept=tuple((run_id, epoch, self._journal.durable(run_id)) for run_id, epoch in kept),
            stopped=tuple(stopped),
        )

    async def _tell_again(self, engine: RemoteEngine, assigned: Assigned, outbox: Outbox) -> None:
        """Send what was posted to a run while its engine was away."""
        messages = await patiently(lambda: self._store.messages(assigned.run_id))
        if engine.runs.get(assigned.run_id) is assigned:
            for message in messages:
                outbox.put(Tell(run_id=assigned.run_id, epoch=assigned.epoch, message=message))
