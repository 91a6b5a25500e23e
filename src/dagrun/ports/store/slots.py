"""The slots of concurrency keys."""

from collections.abc import Sequence
from typing import Protocol

from dagrun.domain.ids import RunId
from dagrun.ports.store.runs import RunRecord
from dagrun.ports.store.submissions import Slot


class Slots(Protocol):
    """Admits runs of the same concurrency key."""

    async def admit(self, run_id: RunId, slot: Slot) -> bool:
        """Give a run its slot, if one is free or it has one already.

        Raises:
            NotFound: there is no such run.
        """
        ...

    async def holders(self, key: str) -> Sequence[RunRecord]:
        """Give the runs that hold slots of a key, the oldest first."""
        ...

    async def rivals(self, run_id: RunId, key: str) -> Sequence[RunRecord]:
        """Give the runs that hold slots of a key, or wait for one and are not newer than one.

        The oldest comes first. The run itself is among them unless it has ended.
        """
        ...
