"""What people ask of a run that is executed elsewhere: it is posted, and stays until taken up."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagrun.domain.ids import RunId
from dagrun.domain.status import PAUSABLE, RESUMABLE, RunStatus
from dagrun.ports.store import MessageKind, Posted, Store


class Mailbox:
    """Posts to runs.

    Args:
        store: keeps what is posted.
        pass_on: passes it on to where the runs are, without blocking.
    """

    def __init__(self, store: Store, pass_on: Callable[[Sequence[Posted]], None]) -> None:
        self._store = store
        self._pass_on = pass_on

    async def post(
        self, run_id: RunId, kind: MessageKind, data: Mapping[str, Any] | None = None
    ) -> bool:
        """Post something to a run, and tell its engine. Give False if that changes nothing.

        Returns when it is durable.

        Raises:
            NotFound: there is no such run.
        """
        if kind is not MessageKind.CANCEL and not await self._is_of_use(run_id, kind):
            return False
        posted = await self._store.post(run_id, kind, data)
        self._pass_on(posted)
        return bool(posted)

    async def _is_of_use(self, run_id: RunId, kind: MessageKind) -> bool:
        """Whether pausing a run, or going on with it, changes how it stands, or will stand."""
        status = (await self._store.run(run_id)).status
        for message in await self._store.messages(run_id):
            if message.kind is MessageKind.CANCEL:
                return False
            if message.kind is MessageKind.PAUSE and status in PAUSABLE:
                status = RunStatus.PAUSED
            elif message.kind is MessageKind.RESUME and status is RunStatus.PAUSED:
                status = RunStatus.RUNNING
        if kind is MessageKind.PAUSE:
            return status in PAUSABLE
        return status in RESUMABLE
